package host

import "strings"

const (
	maxLabel = 63   // RFC 1035, 2.3.4
	maxName  = 253  // RFC 1035, 2.3.4: 255 octets on the wire
	maxInput = 1024 // more cannot become a name of 253 bytes, and is not worth the work of mapping
)

// Parse reads a host that stands alone: a DNS name, an IPv4 address, or an IPv6 address, bare or in brackets.
//
// A DNS name is mapped by UTS 46 (non-transitional) to A-labels; U+3002, U+FF0E and U+FF61 separate labels like ".";
// one trailing dot is removed. A label has 1 to 63 bytes of letters, digits, "-" and "_", no "-" at either end; the
// whole has at most 253. An "xn--" label must be the one punycode of a label that IDNA allows. The bidi rule of
// RFC 5893 is not applied: it is about display, and would refuse names that DNS can hold, such as "1.xn--4dbrk0ce".
//
// An IPv4-mapped IPv6 address becomes the IPv4 address. A last label that is a number (decimal, octal, 0x hex) is
// refused unless the whole is four plain decimals without leading zeros; so are zones ("%eth0"), a trailing dot after
// an address, and non-ASCII that maps to an address.
//
// For canonical input Parse does not allocate and the Name holds a substring of s, and with it all of s's memory.
// The error is an [*Error].
func Parse(s string) (Name, error) {
	text, reason := canonical(s)
	if reason != "" {
		return Name{}, &Error{Kind: "host", Input: s, Reason: reason}
	}
	return Name{text}, nil
}

// MustParse is [Parse] for tables and constants; it panics on what Parse refuses.
func MustParse(s string) Name {
	n, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return n
}

// canonical returns the canonical text of s, or why there is none.
func canonical(s string) (text, reason string) {
	if s == "" {
		return "", "no host"
	}
	if len(s) > maxInput {
		return "", "longer than any host name"
	}
	upper, wide, mark := false, false, false
	for i := range len(s) {
		switch c := s[i]; class[c] {
		case isUpper:
			upper = true
		case isWide:
			wide = true
		case isMark:
			mark = true
		case isBad:
			return "", forbidden(c)
		}
	}
	switch {
	case mark:
		return canonicalIPv6(s)
	case wide:
		if s, reason = toALabels(s); reason != "" {
			return "", reason
		}
	case upper:
		s = strings.ToLower(s)
	}
	return canonicalName(s, wide)
}

// canonicalName checks the labels of s, which is lower-case ASCII by now; mapped says that it was not at first.
func canonicalName(s string, mapped bool) (text, reason string) {
	name := strings.TrimSuffix(s, ".")
	if len(name) > maxName {
		return "", "longer than 253 bytes"
	}
	punycode := false
	for rest, more := name, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		if reason := checkLabel(label); reason != "" {
			return "", reason
		}
		punycode = punycode || strings.HasPrefix(label, acePrefix)
	}
	if numeric(lastLabel(name)) {
		if mapped {
			return "", "characters beyond ASCII that make an address"
		}
		return canonicalIPv4(s)
	}
	if punycode {
		return name, checkPunycode(name)
	}
	return name, ""
}

// checkLabel returns what is wrong with one label of lower-case ASCII.
func checkLabel(label string) (reason string) {
	switch {
	case label == "":
		return "an empty label"
	case len(label) > maxLabel:
		return "a label longer than 63 bytes"
	case label[0] == '-' || label[len(label)-1] == '-':
		return `a label that starts or ends with "-"`
	}
	return ""
}

const (
	isPlain = iota // may stand in a canonical name
	isUpper        // is lower-cased
	isWide         // a byte of a character beyond ASCII
	isMark         // only in addresses: colon and brackets
	isBad
)

var class = classes()

func classes() (class [256]byte) {
	for c := range class {
		switch c := byte(c); {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
			class[c] = isPlain
		case 'A' <= c && c <= 'Z':
			class[c] = isUpper
		case c >= 0x80:
			class[c] = isWide
		case c == ':', c == '[', c == ']':
			class[c] = isMark
		default:
			class[c] = isBad
		}
	}
	return class
}

// forbidden says why an ASCII byte of class isBad is refused.
func forbidden(c byte) (reason string) {
	switch {
	case c == '%':
		return `a "%": neither percent-encoding nor an address zone is read`
	case c == '@':
		return `an "@": a host carries no user name`
	case c == '/', c == '?', c == '#':
		return `a "` + string(c) + `": a host is named alone, not as a URL`
	case c == ' ':
		return "a blank"
	case c < ' ', c == 0x7f:
		return "a control character"
	}
	return "a " + quote(string(c))
}
