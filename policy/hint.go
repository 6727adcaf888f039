package policy

import (
	"strconv"
	"strings"
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
		if d := edits(word, w); d < best && 2*d < len(w) {
			best, meant = d, w
		}
	}
	return meant
}

// edits counts the letters to insert, remove or replace that turn a into b. Words that differ much in length are far apart.
func edits(a, b string) int {
	const far = 1 << 10
	if len(a) > len(b)+3 || len(b) > len(a)+3 {
		return far
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
