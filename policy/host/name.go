// Package host has the one canonical form of a host: a DNS name as A-labels in lower case, or an IP address.
//
// Everything that names a host (policy, request line, SNI, dial, certificate, record) goes through [Parse] once and
// then carries the [Name]. What is spelled in a way that two programs could read differently is refused, never
// repaired.
//
// The package does not resolve names, does not judge whether an address may be dialled, and knows nothing of public
// suffixes, URLs or wildcards.
package host

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Name is the one canonical form of a host. Only [Parse] and its siblings make one, so two names mean the same host
// exactly if they are equal. The zero Name is "absent". A Name is comparable and may be the key of a map.
type Name struct {
	// The text alone, 16 bytes: a catalogue keeps a million of them.
	text string
}

// String returns the canonical text: A-labels in lower case without a trailing dot, dotted IPv4, or IPv6 as RFC 5952
// writes it, without brackets. The zero Name is "".
func (n Name) String() string { return n.text }

// IsZero reports whether no host is named.
func (n Name) IsZero() bool { return n.text == "" }

// IsAddr reports whether the host is an IP address. It does not allocate.
func (n Name) IsAddr() bool {
	t := n.text
	if t == "" {
		return false
	}
	// A colon is only in IPv6, and there within the first five bytes. Of names Parse lets none end in a number.
	return strings.IndexByte(t[:min(5, len(t))], ':') >= 0 || numeric(lastLabel(t))
}

// Addr returns the IP address that the host is, without zone and never IPv4-mapped; false if it is a DNS name or absent.
func (n Name) Addr() (netip.Addr, bool) {
	if !n.IsAddr() {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(n.text)
	return a, err == nil
}

// Within reports whether n is zone or lies below it, on a label boundary. An address is within nothing, not even
// itself, and so is an absent name.
func (n Name) Within(zone Name) bool {
	if zone.text == "" || !strings.HasSuffix(n.text, zone.text) || n.IsAddr() {
		return false
	}
	above := len(n.text) - len(zone.text)
	return above == 0 || n.text[above-1] == '.'
}

// Parent returns the next outer zone: "example.com" for "www.example.com". It is false for a name of one label, an
// address, and an absent name. It does not allocate.
func (n Name) Parent() (Name, bool) {
	dot := strings.IndexByte(n.text, '.')
	if dot < 0 || n.IsAddr() {
		return Name{}, false
	}
	return Name{n.text[dot+1:]}, true
}

// Join returns what is dialled: "example.com:443", with brackets around IPv6. Port 0 means none and leaves the host
// alone ("[::1]"), so that [ParseAuthority] of the result gives back n and port.
func Join(n Name, port uint16) string {
	if port != 0 {
		return net.JoinHostPort(n.text, strconv.Itoa(int(port)))
	}
	if strings.IndexByte(n.text, ':') >= 0 {
		return "[" + n.text + "]"
	}
	return n.text
}

func lastLabel(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }
