package host

import (
	"net/netip"
	"strings"
)

// FromAddr returns the Name of an address, without its zone and unmapped; the zero Name if a is not valid.
func FromAddr(a netip.Addr) Name {
	if !a.IsValid() {
		return Name{}
	}
	return Name{ClientAddr(a).String()}
}

// ClientAddr returns the address that stands for a client in policy and records: ::ffff:a.b.c.d is a.b.c.d, and a
// link-local address loses its zone, which names an interface and not a client. An address that is not valid stays so.
func ClientAddr(a netip.Addr) netip.Addr {
	return a.Unmap().WithZone("")
}

// canonicalIPv6 reads an IPv6 address, bare or in brackets.
func canonicalIPv6(s string) (text, reason string) {
	bare := s
	if s[0] == '[' {
		var closed bool
		if bare, closed = strings.CutSuffix(s[1:], "]"); !closed {
			return "", `a "[" without a "]" at the end`
		}
	}
	if strings.ContainsAny(bare, "[]") {
		return "", "a stray bracket"
	}
	a, err := netip.ParseAddr(bare)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return "", "not an IPv6 address, and no port belongs here"
	}
	// Compared on the stack: an address that is canonical already costs no memory.
	var buf [64]byte
	if canonical := a.Unmap().AppendTo(buf[:0]); string(canonical) != bare {
		return string(canonical), ""
	}
	return bare, ""
}

// canonicalIPv4 reads a name whose last label is a number.
func canonicalIPv4(s string) (text, reason string) {
	if strings.HasSuffix(s, ".") {
		return "", "a trailing dot after an address"
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return "", "ends in a number but is not an IPv4 address of four plain decimals"
	}
	return s, ""
}

// numeric reports whether a label is a number in the sense of WHATWG URL, 3.5: digits, or 0x and hex digits, perhaps
// none. Resolvers read a host that ends so as an address, whatever the other labels are.
func numeric(label string) bool {
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = hex, "0123456789abcdef"
	} else if label == "" {
		return false
	}
	for i := range len(label) {
		if strings.IndexByte(digits, label[i]) < 0 {
			return false
		}
	}
	return true
}
