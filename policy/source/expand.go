package source

import (
	"fmt"
	"strconv"
	"strings"
)

// maxExpanded bounds the names that one entry can stand for.
const maxExpanded = 10_000

// expand writes out the braces of an entry: alternatives, "{a,b}", and ranges of numbers, "{00..19}". Several braces multiply;
// they do not nest. reason says why the entry cannot be expanded.
func expand(entry string) (names []string, reason string) {
	names = []string{""}
	for rest := entry; rest != ""; {
		literal, braces, tail, reason := cutBraces(rest)
		if reason != "" {
			return nil, reason
		}
		alternatives := []string{""}
		if braces != "" {
			if alternatives, reason = alternativesOf(braces); reason != "" {
				return nil, reason
			}
		}
		if len(names)*len(alternatives) > maxExpanded {
			return nil, fmt.Sprintf("more than %d names", maxExpanded)
		}
		longer := make([]string, 0, len(names)*len(alternatives))
		for _, n := range names {
			for _, a := range alternatives {
				longer = append(longer, n+literal+a)
			}
		}
		names, rest = longer, tail
	}
	return names, ""
}

// cutBraces splits s after its first braces.
func cutBraces(s string) (literal, braces, tail, reason string) {
	open := strings.IndexAny(s, "{}")
	if open < 0 {
		return s, "", "", ""
	}
	if s[open] == '}' {
		return "", "", "", `a "}" without a "{"`
	}
	length := strings.IndexAny(s[open+1:], "{}")
	switch {
	case length < 0:
		return "", "", "", `a "{" without a "}"`
	case s[open+1+length] == '{':
		return "", "", "", "braces inside braces"
	}
	end := open + length + 2
	return s[:open], s[open:end], s[end:], ""
}

func alternativesOf(braces string) (list []string, reason string) {
	inside := braces[1 : len(braces)-1]
	if strings.Contains(inside, ",") {
		return strings.Split(inside, ","), ""
	}
	from, to, isRange := strings.Cut(inside, "..")
	lo, errLo := strconv.ParseUint(from, 10, 31)
	hi, errHi := strconv.ParseUint(to, 10, 31)
	switch {
	case !isRange || errLo != nil || errHi != nil:
		return nil, braces + " is neither alternatives, {a,b}, nor a range of numbers, {00..19}"
	case lo > hi:
		return nil, "the range " + braces + " counts down"
	case len(from) != len(to) && from[0] == '0' && from != "0" || len(to) > 1 && to[0] == '0' && len(from) != len(to):
		return nil, "the range " + braces + " has zeros in front of one number, and another width at the other"
	case hi-lo >= maxExpanded:
		return nil, fmt.Sprintf("more than %d names", maxExpanded)
	}
	for n := lo; n <= hi; n++ {
		list = append(list, fmt.Sprintf("%0*d", widthOf(from, to), n))
	}
	return list, ""
}

// widthOf returns to how many digits the numbers of a range are filled up with zeros.
func widthOf(from, to string) int {
	if len(from) == len(to) {
		return len(from)
	}
	return 0
}
