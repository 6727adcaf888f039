package config

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// didYouMean is the hint for an unknown word: the known one nearest to it, or "" if none is near.
func didYouMean(word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return "did you mean " + best + "?"
	}
	return ""
}

// nearest returns the known word with the fewest edits from word, if those are at most a third of its letters. Case and
// the choice between "-" and "_" cost nothing.
func nearest(word string, known []string) string {
	word = plain(word)
	best, fewest := "", len(word)/3+1
	for _, k := range known {
		if d := levenshtein.ComputeDistance(word, plain(k)); d < fewest {
			best, fewest = k, d
		}
	}
	return best
}

func plain(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "_", "-")
}
