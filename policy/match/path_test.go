package match

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

var cleanTests = []struct {
	raw, want string
	bad       bool
}{
	{raw: "", want: "/"},
	{raw: "/", want: "/"},
	{raw: "?a=b", want: "/"},
	{raw: "#a", want: "/"},
	{raw: "/a/b", want: "/a/b"},
	{raw: "/a/b/", want: "/a/b/"},
	{raw: "/a?b/../c", want: "/a"},
	{raw: "/a#b?c", want: "/a"},
	{raw: "/a//b", want: "/a/b"},
	{raw: "//a", want: "/a"},
	{raw: "////", want: "/"},
	{raw: "/a/./b", want: "/a/b"},
	{raw: "/a/../b", want: "/b"},
	{raw: "/a//../b", want: "/b"},
	{raw: "/../../a", want: "/a"},
	{raw: "/..", want: "/"},
	{raw: "/.", want: "/"},
	{raw: "/a/.", want: "/a/"},
	{raw: "/a/b/..", want: "/a/"},
	{raw: "/a/b/../", want: "/a/"},
	{raw: "/.../a", want: "/.../a"},
	{raw: "/.well-known/x", want: "/.well-known/x"},
	{raw: "/a/.b/..c", want: "/a/.b/..c"},
	{raw: "/a.", want: "/a."},
	{raw: "/%61", want: "/a"},
	{raw: "/%2E%2e/a", want: "/a"},
	{raw: "/a%2Fb", want: "/a/b"},
	{raw: "/a/%2f/b", want: "/a/b"},
	{raw: "/a%2f..%2fb", want: "/b"},
	{raw: "/%252e%252e/a", want: "/%2e%2e/a"},
	{raw: "/%252Fa", want: "/%2Fa"},
	{raw: "/a%3Fb%23c", want: "/a?b#c"},
	{raw: "/a;v=1/b", want: "/a;v=1/b"},
	{raw: `/a\..\b`, want: `/a\..\b`},
	{raw: "/a%5Cb", want: `/a\b`},
	{raw: "/A/a", want: "/A/a"},
	{raw: "/%C3%A4", want: "/ä"},
	{raw: "/%ff", want: "/\xff"},
	{raw: "/a b+c", want: "/a b+c"},
	{raw: "*", bad: true},
	{raw: "a/b", bad: true},
	{raw: "%2Fa", bad: true},
	{raw: "/%", bad: true},
	{raw: "/%4", bad: true},
	{raw: "/%4g", bad: true},
	{raw: "/%g4", bad: true},
	{raw: "/%%41", bad: true},
	{raw: "/%4?1", bad: true},
	{raw: "/%u0041", bad: true},
	{raw: "/%00", bad: true},
	{raw: "/a%0d%0ab", bad: true},
	{raw: "/%7f", bad: true},
	{raw: "/a\x00", bad: true},
	{raw: "/a\tb", bad: true},
}

func TestCleanPath(t *testing.T) {
	t.Parallel()
	for _, test := range cleanTests {
		got, ok := CleanPath(test.raw)
		if got != test.want || ok == test.bad {
			t.Errorf("CleanPath(%q) = %q, %t, want %q, %t", test.raw, got, ok, test.want, !test.bad)
		}
	}
}

// cleanTwin is CleanPath made of the standard library.
func cleanTwin(raw string) (string, bool) {
	raw, _, _ = strings.Cut(raw, "#")
	raw, _, _ = strings.Cut(raw, "?")
	if raw == "" {
		return "/", true
	}
	p, err := url.PathUnescape(raw)
	if err != nil || raw[0] != '/' || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", false
	}
	cleaned := path.Clean(p)
	if last := p[strings.LastIndexByte(p, '/')+1:]; cleaned != "/" && (last == "" || last == "." || last == "..") {
		cleaned += "/"
	}
	return cleaned, true
}

func FuzzCleanPath(f *testing.F) {
	for _, test := range cleanTests {
		f.Add(test.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, ok := CleanPath(raw)
		if want, wantOK := cleanTwin(raw); got != want || ok != wantOK {
			t.Fatalf("CleanPath(%q) = %q, %t, its twin: %q, %t", raw, got, ok, want, wantOK)
		}
		if !ok {
			return
		}
		if !strings.HasPrefix(got, "/") || strings.Contains(got, "//") {
			t.Errorf("CleanPath(%q) = %q has an empty segment", raw, got)
		}
		for segment := range strings.SplitSeq(got, "/") {
			if segment == "." || segment == ".." {
				t.Errorf("CleanPath(%q) = %q has a dot segment", raw, got)
			}
		}
		if again, ok := CleanPath(got); !strings.ContainsAny(got, "%?#") && (again != got || !ok) {
			t.Errorf("CleanPath(%q) = %q, and of that %q, %t", raw, got, again, ok)
		}
	})
}
