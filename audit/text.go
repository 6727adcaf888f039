package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxText = 2 << 10 // bytes of one text in a line, between its quotes
	maxList = 16      // texts of one list
	cutMark = " [cut]"

	maxEscape = 6 // bytes that a byte of a text becomes in a line, at most
)

// appendText appends a string that a stranger may have chosen as it stands between the quotes of a JSON string: printable
// ASCII of at most maxText bytes. What is longer is cut between two characters and ends with cutMark. Printable characters
// outside ASCII are JSON escapes, so a reader gets them back. What has no glyph (controls, direction marks, broken UTF-8)
// is spelled out as Go does, "\x1b", so that it stays harmless even when the line is decoded and shown.
func appendText(to []byte, s string) []byte {
	if plain(s) {
		return append(to, s...)
	}
	return appendEscaped(to, s)
}

// asRead returns what a reader of a line gets of a text: that text, unless it had to be cut, or something in it spelled out.
func asRead(s string) string {
	if plain(s) {
		return s
	}
	var read string
	if err := json.Unmarshal(append(appendEscaped([]byte{'"'}, s), '"'), &read); err != nil {
		panic(err) // what appendEscaped makes is JSON
	}
	return read
}

func appendEscaped(to []byte, s string) []byte {
	start := len(to)
	fits := start // where to cut so that the mark has room
	for rest := s; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		to = appendRune(to, r, rest[:size])
		rest = rest[size:]
		if len(to)-start > maxText {
			return append(to[:fits], cutMark...)
		}
		if len(to)-start <= maxText-len(cutMark) {
			fits = len(to)
		}
	}
	return to
}

// cutText returns a text that takes at most about most bytes in a line. What is longer is cut between two characters and ends with
// cutMark, as in appendText.
func cutText(s string, most int) string {
	if len(s)*maxEscape <= most {
		return s
	}
	var escaped []byte
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		if escaped = appendRune(escaped, r, s[i:i+size]); len(escaped) > most {
			return s[:i] + cutMark
		}
	}
	return s
}

// Cell is a text as a cell of a table for spreadsheets: one that they could take for a formula gets an apostrophe in front. The wide
// forms of the signs count as them in some.
func Cell(s string) string {
	for _, sign := range []string{"=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"} {
		if strings.HasPrefix(s, sign) {
			return "'" + s
		}
	}
	return s
}

// appendRune appends r, which was read from raw, as it stands between the quotes of a JSON string.
func appendRune(to []byte, r rune, raw string) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(to, '\\', byte(r))
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Appendf(to, `\\x%02x`, raw[0])
	case unicode.IsPrint(r) && r < utf8.RuneSelf:
		return append(to, raw...)
	case unicode.IsPrint(r) && r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(to, `\u%04x\u%04x`, high, low)
	case unicode.IsPrint(r):
		return fmt.Appendf(to, `\u%04x`, r)
	case r > 0xffff:
		return fmt.Appendf(to, `\\U%08x`, r)
	case r > 0xff:
		return fmt.Appendf(to, `\\u%04x`, r)
	}
	return fmt.Appendf(to, `\\x%02x`, r)
}

// plain reports whether a JSON string of s is s: nearly always, and then nothing needs to be built.
func plain(s string) bool {
	if len(s) > maxText {
		return false
	}
	for i := range len(s) {
		if !plainByte[s[i]] {
			return false
		}
	}
	return true
}

// plainByte tells which bytes stand for themselves: printable ASCII but for the quote and the backslash.
var plainByte = func() (table [256]bool) {
	for c := ' '; c <= '~'; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()
