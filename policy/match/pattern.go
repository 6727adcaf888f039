package match

import (
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// Pattern is a compiled path pattern. Only [ParsePattern] makes one; the zero Pattern matches nothing. It is read-only
// and shares its memory when copied.
type Pattern struct {
	text   string
	prefix string // the literal bytes before the first token
	tokens []token
}

// token matches one byte of set, or any number of them if run is set.
type token struct {
	set byteSet
	run bool
}

// maxTokens bounds the work for one byte of a path.
const maxTokens = 255

// ParsePattern compiles a path pattern. It is compared with the whole of a path as [CleanPath] returns it, byte by byte
// and with regard to case:
//
//	**       any number of bytes, also none and also "/"
//	*        any number of bytes, also none, but no "/"
//	?        one byte other than "/"
//	[a-z_]   one byte of those listed; ASCII only, ranges go upwards, a "-" that is meant comes first or last
//
// All else stands for itself; a special character does so in a class of its own: "[*]". So "/v6/**" matches "/v6/" and all
// below it, and not "/v6". A pattern starts with "/". What could match no cleaned path, or means something in other
// languages and not here (negated classes, braces, backslashes, percent-encoding), is refused. Behind the literal bytes
// with which the pattern begins stand at most 255 bytes and wildcards.
//
// The error quotes the pattern and gives the place as a character position counted from 1.
func ParsePattern(s string) (Pattern, error) {
	p := Pattern{text: s}
	fail := func(at int, reason string) (Pattern, error) {
		return Pattern{}, fmt.Errorf("path pattern %q, character %d: %s", s, 1+utf8.RuneCountInString(s[:at]), reason)
	}
	if !strings.HasPrefix(s, "/") {
		return fail(0, `a path starts with "/"`)
	}
	if at, reason := unreachable(s); reason != "" {
		return fail(at, reason)
	}
	for i := 0; i < len(s); {
		t, width, reason := parseToken(s[i:])
		switch {
		case reason != "":
			return fail(i, reason)
		case len(p.tokens) == maxTokens:
			return fail(i, fmt.Sprintf("more than %d bytes and wildcards behind the first wildcard", maxTokens))
		case len(p.tokens) == 0 && width == 1 && t.set == only(s[i]):
			p.prefix = s[:i+1]
		default:
			p.tokens = append(p.tokens, t)
		}
		i += width
	}
	return p, nil
}

// String returns the text that the pattern was made from.
func (p Pattern) String() string { return p.text }

// Example returns a path that the pattern matches, always the same: with one byte, "x", for each "*" and "**", and where several
// bytes could stand the first letter, digit or other one of them.
func (p Pattern) Example() string {
	path := []byte(p.prefix)
	for i := range p.tokens {
		path = append(path, p.tokens[i].example())
	}
	return string(path)
}

func (t *token) example() byte {
	for _, c := range []byte("xabcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") {
		if t.set.has(c) {
			return c
		}
	}
	for c := byte(' ' + 1); c < 0x7f; c++ {
		if t.set.has(c) {
			return c
		}
	}
	for c := 0x80; c <= 0xff; c++ {
		if t.set.has(byte(c)) {
			return byte(c)
		}
	}
	return ' '
}

// unreachable finds what no cleaned path can contain.
func unreachable(s string) (at int, reason string) {
	start := 1
	for i := 1; i <= len(s); i++ {
		switch {
		case i < len(s) && (s[i] < ' ' || s[i] == 0x7f):
			return i, "a control character"
		case i < len(s) && s[i] != '/':
		case s[start:i] == "" && i < len(s):
			return i, `an empty segment matches nothing: paths are compared with "//" made one "/"`
		case s[start:i] == "." || s[start:i] == "..":
			return start, "a dot segment matches nothing: paths are compared with dot segments resolved"
		default:
			start = i + 1
		}
	}
	return 0, ""
}

// parseToken reads the token that s begins with.
func parseToken(s string) (t token, width int, reason string) {
	switch s[0] {
	case '*':
		stars := len(s) - len(strings.TrimLeft(s, "*"))
		switch stars {
		case 1:
			return token{set: notSlash(), run: true}, 1, ""
		case 2:
			return token{set: everything(), run: true}, 2, ""
		}
		return token{}, 0, `more than two "*" in a row`
	case '?':
		return token{set: notSlash()}, 1, ""
	case '[':
		set, width, reason := parseClass(s)
		return token{set: set}, width, reason
	case ']':
		return token{}, 0, `a "]" without a "[": write "[]]" for the character`
	case '{', '}':
		return token{}, 0, `braces have no meaning here: write a pattern for each alternative, or "[{]" for the character`
	case '\\':
		return token{}, 0, `a backslash has no meaning here: write "[*]" for a "*", or "[\]" for the character`
	case '%':
		return token{}, 0, `patterns are compared with decoded paths: write the character itself, or "[%]" for a "%"`
	}
	return token{set: only(s[0])}, 1, ""
}

// parseClass reads a class from its "[" on. As in POSIX, a "]" that comes first is meant.
func parseClass(s string) (set byteSet, width int, reason string) {
	end := strings.IndexByte(s[min(2, len(s)):], ']') + 2
	if end < 2 {
		if strings.HasPrefix(s, "[]") {
			return set, 0, "an empty class"
		}
		return set, 0, `a "[" without its "]"`
	}
	body := s[1:end]
	if body[0] == '!' || body[0] == '^' {
		return set, 0, "a negated class: list what may stand here"
	}
	for i := 0; i < len(body); i++ {
		lo, hi := body[i], body[i]
		if i+2 < len(body) && body[i+1] == '-' {
			hi = body[i+2]
			i += 2
		}
		switch {
		case lo >= 0x80 || hi >= 0x80:
			return set, 0, "a class with characters beyond ASCII: it matches one byte, and they are several"
		case lo > hi:
			return set, 0, fmt.Sprintf("the range %q goes downwards", string(lo)+"-"+string(hi))
		case lo <= '/' && '/' <= hi:
			return set, 0, `a class that includes "/": only "**" crosses segments`
		}
		for c := int(lo); c <= int(hi); c++ {
			set.add(byte(c))
		}
	}
	return set, end + 1, ""
}

// Match reports whether the pattern matches the whole of path. It does not allocate, and takes time in proportion to
// the length of path times, at worst, that of the pattern.
func (p Pattern) Match(path string) bool {
	if p.text == "" || !strings.HasPrefix(path, p.prefix) {
		return false
	}
	rest := path[len(p.prefix):]
	if len(p.tokens) == 1 && p.tokens[0] == (token{everything(), true}) {
		return true
	}
	// All places in the pattern that what was read so far can have led to, advanced together byte by byte.
	var places byteSet
	p.enter(&places, 0)
	words := len(p.tokens)/64 + 1
	for i := range len(rest) {
		var next byteSet
		for w := range words {
			for word := places[w]; word != 0; word &= word - 1 {
				at := w*64 + bits.TrailingZeros64(word)
				if at == len(p.tokens) || !p.tokens[at].set.has(rest[i]) {
					continue
				}
				if !p.tokens[at].run {
					at++
				}
				p.enter(&next, at)
			}
		}
		if next == (byteSet{}) {
			return false
		}
		places = next
	}
	return places.has(between(len(p.tokens)))
}

// enter adds a place, and those behind it that are reached without reading a byte.
func (p Pattern) enter(places *byteSet, at int) {
	places.add(between(at))
	for at < len(p.tokens) && p.tokens[at].run {
		at++
		places.add(between(at))
	}
}

// between numbers a place between tokens, of which ParsePattern allows 255.
func between(at int) byte {
	return byte(at) //nolint:gosec // G115: see above
}

// overlaps reports whether some text is matched by both patterns.
func (p Pattern) overlaps(q Pattern) bool {
	if both := min(len(p.prefix), len(q.prefix)); p.prefix[:both] != q.prefix[:both] {
		return false
	}
	a, b := p.all(), q.all()
	seen := make(map[[2]int]bool)
	var meet func(i, j int) bool
	meet = func(i, j int) bool {
		if i == len(a) && j == len(b) {
			return true
		}
		if seen[[2]int{i, j}] {
			return false
		}
		seen[[2]int{i, j}] = true
		if i < len(a) && a[i].run && meet(i+1, j) || j < len(b) && b[j].run && meet(i, j+1) {
			return true
		}
		if i == len(a) || j == len(b) || !a[i].set.meets(b[j].set) {
			return false
		}
		if !a[i].run {
			i++
		}
		if !b[j].run {
			j++
		}
		return meet(i, j)
	}
	return p.text != "" && q.text != "" && meet(0, 0)
}

// all returns the tokens of the pattern with those of its prefix.
func (p Pattern) all() []token {
	list := make([]token, 0, len(p.prefix)+len(p.tokens))
	for i := range len(p.prefix) {
		list = append(list, token{set: only(p.prefix[i])})
	}
	return append(list, p.tokens...)
}

// byteSet is a set of bytes, or of any numbers up to 255.
type byteSet [4]uint64

func (s *byteSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }
func (s *byteSet) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }

func (s byteSet) meets(t byteSet) bool {
	return s[0]&t[0]|s[1]&t[1]|s[2]&t[2]|s[3]&t[3] != 0
}

func only(c byte) (s byteSet) {
	s.add(c)
	return s
}

func everything() byteSet {
	return byteSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
}

func notSlash() byteSet {
	s := everything()
	s['/'>>6] &^= 1 << ('/' & 63)
	return s
}
