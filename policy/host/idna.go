package host

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const acePrefix = "xn--"

var (
	// lookup is UTS 46 for look-up, as idna.Lookup is, with what hosts in the wild need: "_" and "r3---sn".
	// Without StrictDomainName some characters map to ASCII punctuation; toALabels refuses those.
	lookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false))

	// mapping maps a character without judging it.
	mapping = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.ValidateLabels(false))
)

// toALabels maps s, which holds characters beyond ASCII, to lower-case ASCII. A trailing dot is kept as ".".
// Each character is mapped by itself first, so that one which vanishes or turns into syntax is seen.
func toALabels(s string) (text, reason string) {
	if !utf8.ValidString(s) {
		return "", "not valid UTF-8"
	}
	var b strings.Builder
	for _, r := range s {
		mapped, reason := mapRune(r)
		if reason != "" {
			return "", reason
		}
		b.WriteString(mapped)
	}
	t := b.String()
	for label := range strings.SplitSeq(t, ".") {
		if strings.HasPrefix(label, acePrefix) && !isASCII(label) {
			return "", `an "xn--" label with characters beyond ASCII`
		}
	}
	text, err := lookup.ToASCII(t)
	if err != nil || !isASCII(text) {
		return "", "not a name by IDNA (UTS 46)"
	}
	return text, ""
}

// mapRune returns what UTS 46 makes of one character of a name.
func mapRune(r rune) (mapped, reason string) {
	switch {
	case r < utf8.RuneSelf:
		return string(unicode.ToLower(r)), ""
	case r == '\u3002', r == '\uff0e', r == '\uff61':
		return ".", ""
	case unicode.IsSpace(r):
		return "", fmt.Sprintf("a blank (%U)", r)
	case unicode.IsControl(r):
		return "", fmt.Sprintf("a control character (%U)", r)
	}
	mapped, err := mapping.ToUnicode(string(r))
	switch {
	case err != nil, strings.ContainsRune(mapped, utf8.RuneError):
		return "", fmt.Sprintf("a character that IDNA does not allow (%U)", r)
	case mapped == "":
		return "", fmt.Sprintf("a character that is ignored (%U)", r)
	}
	for _, c := range []byte(mapped) {
		if c == '.' || class[c] != isPlain && class[c] != isWide {
			return "", fmt.Sprintf("a character that becomes %s (%U)", quote(mapped), r)
		}
	}
	return mapped, ""
}

// checkPunycode refuses a lower-case ASCII name with an "xn--" label that is not the one encoding of an allowed label.
func checkPunycode(name string) (reason string) {
	again, err := lookup.ToASCII(name)
	if err != nil || again != name {
		return `an "xn--" label that does not encode an IDNA label`
	}
	return ""
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
