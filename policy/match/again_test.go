package match

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
)

var againTests = []struct {
	path, want string
	bad        bool
}{
	{path: "/"},
	{path: "/a/b.c"},
	{path: "/a b+c/"},
	{path: "/a?b#c"},
	{path: "/a.b/..c"},
	{path: "/%61", want: "/a"},
	{path: "/%2561", want: "/%61"}, // once more, not for ever
	{path: "/a%2Fb", want: "/a/b"},
	{path: "/a/%2e%2E/b", want: "/b"},
	{path: "/a/%2e/b/", want: "/a/b/"},
	{path: "/100%"},
	{path: "/100%/%zz%4"},
	{path: "/100%/%62", want: "/100%/b"},
	{path: "/%%362", want: "/%62"},
	{path: "/a%00b%0d%7F"},
	{path: `/a\b`, want: "/a/b"},
	{path: `/a\\b`, want: "/a/b"},
	{path: `/a/\..\b`, want: "/b"},
	{path: `\`, want: "/"},
	{path: "/a;p", want: "/a"},
	{path: "/a;p=1;q/b;", want: "/a/b"},
	{path: "/;p/a", want: "/a"},
	{path: "/a/;p", want: "/a/"},
	{path: "/a/..;/b", want: "/b"},
	{path: "/a/..;/b/..;/c", want: "/c"},
	{path: "/a/.;x/b", want: "/a/b"},
	{path: `/a;p\b`, want: "/a/b"},
	{path: "/a%3Bp/b", want: "/a/b"},
	{path: "/a%5Cb", want: "/a/b"},
	{path: "/a%5Cb%3Bc", want: "/a/b"},
	{path: "/a;p%2Fb", want: "/a/b"},
	{path: "/a/..%3B/b", bad: true},
	{path: "/a/..%5Cb", bad: true},
	{path: `/a/..;\b`, bad: true},
	{path: "/docs/..;/secret/.%2e/docs", bad: true},
	{path: "/ä;b", want: "/ä"},
	{path: "/\xff%61", want: "/\xffa"},
}

func TestReadAgain(t *testing.T) {
	t.Parallel()
	for _, test := range againTests {
		got, ok := ReadAgain(test.path)
		if got != test.want || ok == test.bad {
			t.Errorf("ReadAgain(%q) = %q, %t, want %q, %t", test.path, got, ok, test.want, !test.bad)
		}
	}
}

var (
	escapes    = regexp.MustCompile(`%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e]|[89A-Fa-f][0-9A-Fa-f])`) // of no control character
	parameters = regexp.MustCompile(`;[^/]*`)
)

// againTwin is ReadAgain made of the standard library, a pass for each thing that is lenient.
func againTwin(p string) (again string, ok bool) {
	decoded := escapes.ReplaceAllStringFunc(p, func(s string) string {
		c, err := url.PathUnescape(s)
		if err != nil {
			panic(err)
		}
		return c
	})
	turned := strings.ReplaceAll(decoded, `\`, "/")
	dropped := parameters.ReplaceAllString(turned, "")
	ways := 0
	for _, did := range []bool{decoded != p, turned != decoded, dropped != turned} {
		if did {
			ways++
		}
	}
	segments := strings.Split(dropped, "/")
	for _, s := range segments {
		if s == ".." && ways > 1 {
			return "", false
		}
	}
	again = path.Clean(dropped)
	if last := segments[len(segments)-1]; again != "/" && (last == "" || last == "." || last == "..") {
		again += "/"
	}
	if again == p {
		again = ""
	}
	return again, true
}

func FuzzReadAgain(f *testing.F) {
	for _, test := range againTests {
		f.Add(test.path)
	}
	for _, test := range cleanTests {
		f.Add(test.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		clean, ok := CleanPath(raw)
		if !ok {
			return
		}
		again, ok := ReadAgain(clean)
		if want, wantOK := againTwin(clean); again != want || ok != wantOK {
			t.Fatalf("ReadAgain(%q) = %q, %t, its twin: %q, %t", clean, again, ok, want, wantOK)
		}
		if again == clean || !strings.ContainsAny(clean, `%\;`) && (again != "" || !ok) {
			t.Errorf("ReadAgain(%q) = %q, %t", clean, again, ok)
		}
		if again != "" && (again[0] != '/' || strings.ContainsAny(again, `\;`) || strings.Contains(again, "//")) {
			t.Errorf("ReadAgain(%q) = %q", clean, again)
		}
		if more, ok := ReadAgain(again); again != "" && !strings.Contains(again, "%") && (more != "" || !ok) {
			t.Errorf("ReadAgain(%q) = %q, and of that %q, %t", clean, again, more, ok)
		}
	})
}
