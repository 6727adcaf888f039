package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxText = 512 // bytes of one text
	cutMark = " [cut]"
)

// clean makes any text one line without anything that has no glyph (controls, direction marks, line separators, broken
// UTF-8), which is spelled out as Go does, "\x1b": texts of the record are so already. What is longer than maxText is cut between two characters and ends with
// cutMark.
func clean(s string) string {
	if len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for rest := s; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		part := rest[:size]
		rest = rest[size:]
		switch {
		case r == utf8.RuneError && size == 1:
			part = fmt.Sprintf(`\x%02x`, part[0])
		case unicode.IsPrint(r):
		case r <= 0xff:
			part = fmt.Sprintf(`\x%02x`, r)
		case r <= 0xffff:
			part = fmt.Sprintf(`\u%04x`, r)
		default:
			part = fmt.Sprintf(`\U%08x`, r)
		}
		if b.Len()+len(part) > maxText {
			b.WriteString(cutMark)
			break
		}
		b.WriteString(part)
	}
	return b.String()
}

func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}
