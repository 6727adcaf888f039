package policy

import (
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Known is a hint: the word that was probably meant, or those that there are.
func Known(word string, words []string) string {
	if meant := closest(word, words); meant != "" {
		return "did you mean " + strconv.Quote(meant) + "?"
	}
	const most = 20
	switch {
	case len(words) == 0:
		return "none is known"
	case len(words) > most:
		return "known are " + strings.Join(words[:most], ", ") + "..."
	}
	return "known are " + strings.Join(words, ", ")
}

// closest returns the one of the words that word is a slip of the fingers for, or "".
func closest(word string, words []string) string {
	best, meant := 3, ""
	for _, w := range words {
		if max(len(word), len(w)) > min(len(word), len(w))+3 {
			continue // it is far, and may be long
		}
		if d := levenshtein.ComputeDistance(word, w); d < best && 2*d < len(w) {
			best, meant = d, w
		}
	}
	return meant
}
