package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	maxText = 2 << 10 // bytes of one text in a line, between its quotes
	maxList = 16      // texts of one list
	cutMark = " [cut]"
)

// text is a string that a stranger may have chosen. As JSON it is printable ASCII of at most maxText bytes: what is
// longer is cut between two characters and ends with cutMark. Printable characters outside ASCII are JSON escapes, so a
// reader gets them back. What has no glyph (controls, direction marks, broken UTF-8) is spelled out as Go does, "\x1b",
// so that it stays harmless even when the line is decoded and shown.
type text string

var _ json.Marshaler = text("")

// MarshalJSON returns t as described; it never fails.
func (t text) MarshalJSON() ([]byte, error) {
	line := append(make([]byte, 0, min(len(t), maxText)+2), '"')
	fits := 1 // where to cut so that the mark has room
	for rest := string(t); rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		line = appendRune(line, r, rest[:size])
		rest = rest[size:]
		if len(line)-1 > maxText {
			line = append(line[:fits], cutMark...)
			break
		}
		if len(line)-1 <= maxText-len(cutMark) {
			fits = len(line)
		}
	}
	return append(line, '"'), nil
}

// appendRune appends r, which was read from raw, as it stands between the quotes of a JSON string.
func appendRune(line []byte, r rune, raw string) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(line, '\\', byte(r))
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Appendf(line, `\\x%02x`, raw[0])
	case unicode.IsPrint(r) && r < utf8.RuneSelf:
		return append(line, raw...)
	case unicode.IsPrint(r) && r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(line, `\u%04x\u%04x`, high, low)
	case unicode.IsPrint(r):
		return fmt.Appendf(line, `\u%04x`, r)
	case r > 0xffff:
		return fmt.Appendf(line, `\\U%08x`, r)
	case r > 0xff:
		return fmt.Appendf(line, `\\u%04x`, r)
	}
	return fmt.Appendf(line, `\\x%02x`, r)
}

// plain reports whether a JSON string of s is s: nearly always, and then nothing needs to be built.
func plain(s string) bool {
	if len(s) > maxText {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// fields is a line in the making. Its methods leave out what is absent.
type fields []zap.Field

func (f *fields) add(field zap.Field) { *f = append(*f, field) }

func (f *fields) text(key, s string) {
	switch {
	case s == "":
	case plain(s):
		f.add(zap.String(key, s))
	default:
		f.add(zap.Reflect(key, text(s)))
	}
}

func (f *fields) list(key string, list []string) {
	if len(list) > 0 {
		f.add(zap.Array(key, texts(list)))
	}
}

func (f *fields) number(key string, n int64) {
	if n != 0 {
		f.add(zap.Int64(key, n))
	}
}

func (f *fields) flag(key string, set bool) {
	if set {
		f.add(zap.Bool(key, true))
	}
}

// texts is a list of which at most maxList are written, and then a mark.
type texts []string

// MarshalLogArray writes the list for zap.
func (l texts) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	for i, s := range l {
		if i == maxList {
			enc.AppendString(strings.TrimSpace(cutMark))
			break
		}
		if err := enc.AppendReflected(text(s)); err != nil {
			return err
		}
	}
	return nil
}
