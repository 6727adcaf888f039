package audit

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"plain", "s01.upd.kaspersky.com", `s01.upd.kaspersky.com`},
		{"quote and backslash", `a"b\c`, `a\"b\\c`},
		{"a letter outside ASCII", "bücher", `b\u00fccher`},
		{"outside the basic plane", "😀", `\ud83d\ude00`},
		{"line feed, escape, NUL, DEL", "\n\x1b\x00\x7f", `\\x0a\\x1b\\x00\\x7f`},
		{"C1 control", "\u009b", `\\x9b`},
		{"broken UTF-8", "a\xff\xc3", `a\\xff\\xc3`},
		{"the replacement character itself", "\ufffd", `\ufffd`},
		{"line separator, direction mark", "\u2028\u202e", `\\u2028\\u202e`},
		{"tag character", "\U000e0041", `\\U000e0041`},
		{"no-break space", "\u00a0", `\\xa0`},
		{"HTML stays", "<b>&", `<b>&`},
		{"just fits", strings.Repeat("a", maxText), strings.Repeat("a", maxText)},
		{"one too long", strings.Repeat("a", maxText+1), strings.Repeat("a", maxText-len(cutMark)) + cutMark},
		{"just fits, escaped", strings.Repeat(`"`, maxText/2), strings.Repeat(`\"`, maxText/2)},
		{"cut between characters", strings.Repeat("ü", 1000), strings.Repeat(`\u00fc`, (maxText-len(cutMark))/6) + cutMark},
		{"cut between pairs", strings.Repeat("😀", 1000), strings.Repeat(`\ud83d\ude00`, (maxText-len(cutMark))/12) + cutMark},
		{"cut where escapes meet", strings.Repeat("a", maxText-3) + "\n\n", strings.Repeat("a", maxText-len(cutMark)) + cutMark},
	}
	for _, tt := range tests {
		got, err := text(tt.in).MarshalJSON()
		if err != nil || string(got) != `"`+tt.want+`"` {
			t.Errorf("%s: %s, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// plain is only a short cut: what it lets by is what MarshalJSON would write.
func TestPlain(t *testing.T) {
	t.Parallel()
	for c := range 0x120 {
		for _, s := range []string{string(rune(c)), string([]byte{byte(c)})} {
			long, err := text(s).MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if plain(s) != (string(long) == `"`+s+`"` && len(s) == 1) {
				t.Errorf("plain(%q) = %v, but the text is %s", s, plain(s), long)
			}
		}
	}
	if plain(strings.Repeat("a", maxText+1)) {
		t.Error("a text that is too long is plain")
	}
}

func TestTextsAreCut(t *testing.T) {
	t.Parallel()
	many := make([]string, maxList+1)
	for i := range many {
		many[i] = string(rune('a' + i))
	}
	for n, want := range map[int]string{
		1:           `["a"]`,
		maxList:     `["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p"]`,
		maxList + 1: `["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","[cut]"]`,
	} {
		var got struct {
			Persons json.RawMessage `json:"gracegate.persons"`
		}
		if err := json.Unmarshal([]byte(write(t, &Record{Persons: many[:n]})), &got); err != nil {
			t.Fatal(err)
		}
		if string(got.Persons) != want {
			t.Errorf("%d persons: %s, want %s", n, got.Persons, want)
		}
	}
}

func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		url, want string
		hadQuery  bool
	}{
		{"http://dnl-01.geo.kaspersky.com/index/u1313g.xml", "http://dnl-01.geo.kaspersky.com/index/u1313g.xml", false},
		{"http://example.com", "http://example.com", false},
		{"http://example.com/a?token=s3cret", "http://example.com/a", true},
		{"http://example.com?token=s3cret", "http://example.com", true},
		{"http://example.com/?", "http://example.com/", true},
		{"http://example.com/#s3cret", "http://example.com/", false},
		{"http://example.com/#a?s3cret", "http://example.com/", false},
		{"http://me:s3cret@example.com:81/a", "http://example.com:81/a", false},
		{"http://me@s3cret@example.com/a", "http://example.com/a", false},
		{"http://me:s3cret@example.com?s3cret", "http://example.com", true},
		{"http://me:s3cret@", "http://", false},
		{"//me:s3cret@example.com/a", "//example.com/a", false},
		{"http:/me:s3cret@example.com/a", "http:/example.com/a", false},
		{`http:\\me:s3cret@example.com\a`, `http:\\example.com\a`, false},
		{"http:me:s3cret@example.com/a", "example.com/a", false},
		{"me:s3cret@example.com:443", "example.com:443", false},
		{"example.com:443", "example.com:443", false},
		{"[2001:db8::1]:443", "[2001:db8::1]:443", false},
		{"/@scope/name", "/@scope/name", false},
		{"/a:/b@c", "/a:/b@c", false},
		{"http://example.com/@scope/name", "http://example.com/@scope/name", false},
		{"", "", false},
		{":", ":", false},
		{"@", "", false},
		{"?", "", true},
	}
	for _, tt := range tests {
		if got, hadQuery := withoutSecrets(tt.url); got != tt.want || hadQuery != tt.hadQuery {
			t.Errorf("withoutSecrets(%q) = %q, %v, want %q, %v", tt.url, got, hadQuery, tt.want, tt.hadQuery)
		}
	}
}
