package config

import "strings"

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
		if d := distance(word, plain(k)); d < fewest {
			best, fewest = k, d
		}
	}
	return best
}

func plain(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "_", "-")
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := diagonal
			if a[i] != b[j] {
				substituted++
			}
			diagonal = row[j+1]
			row[j+1] = min(substituted, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
