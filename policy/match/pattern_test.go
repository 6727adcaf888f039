package match

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

func mustPattern(tb testing.TB, s string) Pattern {
	tb.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

var matchTests = []struct {
	pattern string
	matches []string
	differs []string
}{
	{"/", []string{"/"}, []string{"", "/a", "//"}},
	{"/version.txt", []string{"/version.txt"}, []string{"/Version.txt", "/version_txt", "/version.txt/", "/version.tx", "/version.txtt"}},
	{"/v6/**", []string{"/v6/", "/v6/a", "/v6/index/u1313g.xml"}, []string{"/v6", "/v60/", "/V6/", "/a/v6/"}},
	{"/v6**", []string{"/v6", "/v60/a"}, []string{"/v"}},
	{"/v6/*", []string{"/v6/", "/v6/a"}, []string{"/v6/a/b", "/v6/a/", "/v6"}},
	{"/*/b", []string{"/a/b", "/aa/b"}, []string{"/b", "/a/a/b", "/a/b/"}},
	{"/**/b", []string{"/a/b", "/a/a/b", "/b/b"}, []string{"/b", "/ab"}},
	{"/**.cab", []string{"/.cab", "/a.cab", "/x/y.cab", "/a.cab/b.cab"}, []string{"/a.cab/", "/a.cabs"}},
	{"/*.c*b", []string{"/.cb", "/a.cab", "/a.b.cb"}, []string{"/a/.cb", "/.c/b"}},
	{"/index/u[0-9][0-9][0-9][0-9]g.xml", []string{"/index/u1313g.xml"}, []string{"/index/u131g.xml", "/index/u13133g.xml", "/index/u131ag.xml", "/index/u1313gxxml"}},
	{"/a?c", []string{"/abc", "/a?c", "/a\xffc"}, []string{"/ac", "/a/c", "/abbc"}},
	{"/[a-c_-]", []string{"/a", "/b", "/c", "/_", "/-"}, []string{"/d", "/", "/ab"}},
	{"/[]x]", []string{"/]", "/x"}, []string{"/[]x]"}},
	{"/[*][[][?][%]", []string{"/*[?%"}, []string{"/a[?%"}},
	{"/[{]x[}]", []string{"/{x}"}, nil},
	{`/[\]`, []string{`/\`}, nil},
	{"/ä*", []string{"/ä", "/äö"}, []string{"/a", "/Ä"}},
	{"/*a*a*b", []string{"/aab", "/xaxaxb"}, []string{"/ab", "/aaa"}},
	{"/a**b*c", []string{"/abc", "/a/b/bc", "/abxbc"}, []string{"/a/b/c"}},
	{"/[[]x", []string{"/[x"}, []string{"/x"}},
	{"/.well-known/*", []string{"/.well-known/a"}, nil},
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range matchTests {
		p := mustPattern(t, test.pattern)
		if p.String() != test.pattern {
			t.Errorf("String() = %q, want %q", p, test.pattern)
		}
		for _, path := range test.matches {
			if !p.Match(path) {
				t.Errorf("%q does not match %q", p, path)
			}
		}
		for _, path := range test.differs {
			if p.Match(path) {
				t.Errorf("%q matches %q", p, path)
			}
		}
	}
	if (Pattern{}).Match("") {
		t.Error("the zero pattern matches")
	}
}

var badPatterns = map[string]string{
	"":             `path pattern "", character 1: a path starts with "/"`,
	"v6/**":        `path pattern "v6/**", character 1: a path starts with "/"`,
	"**":           `path pattern "**", character 1: a path starts with "/"`,
	"/a//b":        `path pattern "/a//b", character 4: an empty segment matches nothing: paths are compared with "//" made one "/"`,
	"//":           `path pattern "//", character 2: an empty segment matches nothing: paths are compared with "//" made one "/"`,
	"/a/./b":       `path pattern "/a/./b", character 4: a dot segment matches nothing: paths are compared with dot segments resolved`,
	"/a/..":        `path pattern "/a/..", character 4: a dot segment matches nothing: paths are compared with dot segments resolved`,
	"/a\tb":        `path pattern "/a\tb", character 3: a control character`,
	"/a***":        `path pattern "/a***", character 3: more than two "*" in a row`,
	"/a[0-9":       `path pattern "/a[0-9", character 3: a "[" without its "]"`,
	"/[":           `path pattern "/[", character 2: a "[" without its "]"`,
	"/[]":          `path pattern "/[]", character 2: an empty class`,
	"/a]":          `path pattern "/a]", character 3: a "]" without a "[": write "[]]" for the character`,
	"/[!a]":        `path pattern "/[!a]", character 2: a negated class: list what may stand here`,
	"/[^a]":        `path pattern "/[^a]", character 2: a negated class: list what may stand here`,
	"/[z-a]":       `path pattern "/[z-a]", character 2: the range "z-a" goes downwards`,
	"/[+-9]":       `path pattern "/[+-9]", character 2: a class that includes "/": only "**" crosses segments`,
	"/[ä]":         `path pattern "/[ä]", character 2: a class with characters beyond ASCII: it matches one byte, and they are several`,
	"/ä{a,b}":      `path pattern "/ä{a,b}", character 3: braces have no meaning here: write a pattern for each alternative, or "[{]" for the character`,
	`/\*`:          `path pattern "/\\*", character 2: a backslash has no meaning here: write "[*]" for a "*", or "[\]" for the character`,
	"/a%20b":       `path pattern "/a%20b", character 3: patterns are compared with decoded paths: write the character itself, or "[%]" for a "%"`,
	"/a?b=c#d\x7f": `path pattern "/a?b=c#d\x7f", character 9: a control character`,
	"/" + strings.Repeat("?", 256): `path pattern "/` + strings.Repeat("?", 256) +
		`", character 257: more than 255 bytes and wildcards behind the first wildcard`,
}

func TestParsePatternErrors(t *testing.T) {
	t.Parallel()
	for pattern, want := range badPatterns {
		_, err := ParsePattern(pattern)
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v\nwant %s", pattern, err, want)
		}
	}
	mustPattern(t, "/"+strings.Repeat("a", 1000)+strings.Repeat("?", 255))
}

// twin translates a pattern to a regular expression over characters of which each stands for one byte.
func (p Pattern) twin(tb testing.TB) *regexp.Regexp {
	tb.Helper()
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	s := p.text
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "**"):
			b.WriteString(".*")
			i++
		case s[i] == '*':
			b.WriteString("[^/]*")
		case s[i] == '?':
			b.WriteString("[^/]")
		case s[i] == '[':
			b.WriteString("(?:")
			end := i + 2 + strings.IndexByte(s[i+2:], ']')
			for j := i + 1; j < end; j++ {
				lo, hi := s[j], s[j]
				if j+2 < end && s[j+1] == '-' {
					hi = s[j+2]
					j += 2
				}
				for c := int(lo); c <= int(hi); c++ {
					b.WriteString(regexp.QuoteMeta(string(rune(c))) + "|")
				}
			}
			b.WriteString("[^\\x00-\\x{10ffff}])") // ends the alternatives with one that never matches
			i = end
		default:
			b.WriteString(regexp.QuoteMeta(string(rune(s[i]))))
		}
	}
	re, err := regexp.Compile(b.String() + `\z`)
	if err != nil {
		tb.Fatalf("%q as %q: %v", s, b.String(), err)
	}
	return re
}

// latin1 makes of each byte one character, so that the twin sees bytes.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func FuzzPattern(f *testing.F) {
	for _, test := range matchTests {
		for _, path := range append(test.matches, test.differs...) {
			f.Add(test.pattern, path)
		}
	}
	for pattern := range badPatterns {
		f.Add(pattern, "/")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := ParsePattern(pattern)
		if err != nil {
			if p.text != "" || p.Match(path) {
				t.Fatalf("%q: a pattern beside the error %v", pattern, err)
			}
			return
		}
		if got, want := p.Match(path), p.twin(t).MatchString(latin1(path)); got != want {
			t.Errorf("%q matches %q: %t, its twin: %t", pattern, path, got, want)
		}
		if !p.overlaps(p) {
			// Every pattern that is accepted matches something.
			t.Errorf("%q does not overlap itself", pattern)
		}
	})
}

// A pattern that makes backtracking matchers take exponential or cubic time.
func TestMatchIsBounded(t *testing.T) {
	t.Parallel()
	p := mustPattern(t, "/"+strings.Repeat("**a*a", 50)+"b")
	path := "/" + strings.Repeat("a", 64<<10)
	start := time.Now()
	if p.Match(path) {
		t.Error("matches without a b")
	}
	// Some 30 ms; a backtracking matcher would need hours.
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"/v6/**", "/v6/index/**", true},
		{"/v6/**", "/v7/**", false},
		{"/v6/**", "/v6", false},
		{"/*/a", "/b/*", true},
		{"/*/a", "/b/*/c", false},
		{"/**a", "/b**", true},
		{"/**.cab", "/**.xml", false},
		{"/[0-9]*", "/[a-z]*", false},
		{"/[0-9]*", "/?a", true},
		{"/*", "/a/b", false},
		{"/", "/*", true},
	} {
		a, b := mustPattern(t, test.a), mustPattern(t, test.b)
		if a.overlaps(b) != test.want || b.overlaps(a) != test.want {
			t.Errorf("%q overlaps %q: %t and %t, want %t", a, b, a.overlaps(b), b.overlaps(a), test.want)
		}
	}
	if p := mustPattern(t, "/**"); p.overlaps(Pattern{}) || (Pattern{}).overlaps(p) {
		t.Error("the zero pattern overlaps another")
	}
}

// Over an alphabet of three bytes, patterns of up to four tokens overlap exactly if both match some path of up to eight.
func TestOverlapsTwin(t *testing.T) {
	t.Parallel()
	var paths []string
	var extend func(path string)
	extend = func(path string) {
		paths = append(paths, path)
		if len(path) < 8 {
			for _, c := range []string{"a", "b", "/"} {
				extend(path + c)
			}
		}
	}
	extend("/")
	r := rand.New(rand.NewPCG(7, 7))
	random := func() Pattern {
		for {
			s := "/"
			for range r.IntN(5) {
				s += []string{"a", "b", "/", "*", "**", "?", "[ab]"}[r.IntN(7)]
			}
			if p, err := ParsePattern(s); err == nil {
				return p
			}
		}
	}
	for range 200 {
		p, q := random(), random()
		want := false
		for _, path := range paths {
			if p.Match(path) && q.Match(path) {
				want = true
				break
			}
		}
		if got := p.overlaps(q); got != want {
			t.Errorf("%q overlaps %q: %t, by trying: %t", p, q, got, want)
		}
	}
}

func TestExampleMatches(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"/":                        "/",
		"/v6/**":                   "/v6/x",
		"/*/a?[0-9]":               "/x/ax0",
		"/index/u[0-9][0-9]g.xml":  "/index/u00g.xml",
		"/[*]/[]]/[-._]":           "/*/]/-",
		"/**/diffs/*.zip":          "/x/diffs/x.zip",
		"/pa\u00e4/[A-C][ ]/[{]**": "/pa\u00e4/A /{x",
	} {
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Example()
		if got != want || !p.Match(got) {
			t.Errorf("%s: example %q, want %q; matches: %v", text, got, want, p.Match(got))
		}
	}
}
