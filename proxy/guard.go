package proxy

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
)

// Guard judges the addresses that are dialled. It is safe for concurrent use.
type Guard struct {
	allow []netip.Prefix
	own   func(netip.Addr) bool
}

// GuardError says that an address is not dialled. Its text holds no address, so that it may be shown to a client who gave
// only a name; Detail is for the log.
type GuardError struct {
	Guard string     // "destination", the label of the guard in metrics
	Addr  netip.Addr // unmapped, without zone
	Class string     // what the address is: the class of one of the ranges, "own", "listener" or "invalid"
	Inner netip.Addr // the IPv4 address inside of Addr that was refused, if it was that
}

// Error returns text without addresses, such as "the destination is a private address".
func (e *GuardError) Error() string {
	if text, ok := ownClasses[e.Class]; ok {
		return "the destination is " + text
	}
	if e.Inner.IsValid() {
		return "the destination leads to a " + e.Class + " address"
	}
	return "the destination is a " + e.Class + " address"
}

// ownClasses are the classes that are no ranges.
var ownClasses = map[string]string{
	"own":      "an address of this gateway",
	"listener": "a listener of this gateway",
	"invalid":  "not an address",
}

// Detail returns the text with the address, and with the setting that would open it: `10.1.2.3: the destination is a
// private address; upstream.allow: [10.1.2.3/32] would open it`.
func (e *GuardError) Detail() string {
	text := e.Addr.String() + ": " + e.Error()
	if e.Inner.IsValid() {
		text += ", " + e.Inner.String()
	}
	if hint := e.Hint(); hint != "" {
		text += "; " + hint + " would open it"
	}
	return text
}

// Hint returns the line of the configuration that would open exactly this address, or "" if nothing can.
func (e *GuardError) Hint() string {
	if e.Class == "listener" || e.Class == "invalid" {
		return ""
	}
	return "upstream.allow: [" + exactly(e.Addr) + "]"
}

// exactly writes the prefix that holds one address, as YAML takes it within brackets.
func exactly(addr netip.Addr) string {
	p := netip.PrefixFrom(addr, addr.BitLen()).String()
	if addr.Is6() {
		return strconv.Quote(p)
	}
	return p
}

// guardedRange is a block of addresses that lead into the operator's own networks, to the gateway, or nowhere.
type guardedRange struct {
	class  string
	prefix netip.Prefix
}

// guardedRanges holds the blocks that the IANA special-purpose registries (RFC 6890) do not call globally reachable, and a
// few more. The first that fits names the class, so special addresses stand before the blocks that hold them.
//
// In IPv6 everything outside of 2000::/3 is guarded, because nothing else is assigned to anyone (RFC 4291, section 4);
// 64:ff9b::/96 alone, the NAT64 prefix, is judged by the IPv4 address inside of it.
var guardedRanges = []guardedRange{
	// Where clouds hand out credentials: link-local as a rule, but a public address at Azure, and shared or unique local ones
	// elsewhere.
	{"metadata", netip.MustParsePrefix("169.254.169.254/32")},
	{"metadata", netip.MustParsePrefix("169.254.170.0/24")},
	{"metadata", netip.MustParsePrefix("100.100.100.200/32")},
	{"metadata", netip.MustParsePrefix("168.63.129.16/32")},
	{"metadata", netip.MustParsePrefix("192.0.0.192/32")},
	{"metadata", netip.MustParsePrefix("fd00:ec2::254/128")},
	{"metadata", netip.MustParsePrefix("fd20:ce::254/128")},

	{"unspecified", netip.MustParsePrefix("0.0.0.0/32")},
	{"this-network", netip.MustParsePrefix("0.0.0.0/8")}, // Linux takes 0.0.0.0 for the machine itself
	{"private", netip.MustParsePrefix("10.0.0.0/8")},
	{"shared", netip.MustParsePrefix("100.64.0.0/10")}, // RFC 6598: carrier NAT, and overlay networks
	{"loopback", netip.MustParsePrefix("127.0.0.0/8")},
	{"link-local", netip.MustParsePrefix("169.254.0.0/16")},
	{"private", netip.MustParsePrefix("172.16.0.0/12")},
	{"protocol", netip.MustParsePrefix("192.0.0.0/24")}, // RFC 6890: DS-Lite, NAT64 discovery
	{"documentation", netip.MustParsePrefix("192.0.2.0/24")},
	{"relay", netip.MustParsePrefix("192.88.99.0/24")}, // RFC 7526: the nearest 6to4 router, if there still is one
	{"private", netip.MustParsePrefix("192.168.0.0/16")},
	{"benchmark", netip.MustParsePrefix("198.18.0.0/15")},
	{"documentation", netip.MustParsePrefix("198.51.100.0/24")},
	{"documentation", netip.MustParsePrefix("203.0.113.0/24")},
	{"multicast", netip.MustParsePrefix("224.0.0.0/4")},
	{"broadcast", netip.MustParsePrefix("255.255.255.255/32")},
	{"reserved", netip.MustParsePrefix("240.0.0.0/4")},

	{"unspecified", netip.MustParsePrefix("::/128")},
	{"loopback", netip.MustParsePrefix("::1/128")},
	{"compatible", netip.MustParsePrefix("::/96")},            // RFC 4291, 2.5.5.1: IPv4 in disguise, deprecated
	{"translation", netip.MustParsePrefix("::ffff:0:0:0/96")}, // RFC 2765: IPv4 in disguise, deprecated
	// RFC 8215: a network's own NAT64. Where in it the IPv4 address stands is known to that network only, so all of it is
	// refused; whoever has such a translator opens its prefix.
	{"translation", netip.MustParsePrefix("64:ff9b:1::/48")},
	{"discard", netip.MustParsePrefix("100::/64")},
	{"protocol", netip.MustParsePrefix("2001::/23")}, // after Teredo, which refuse takes first
	{"documentation", netip.MustParsePrefix("2001:db8::/32")},
	{"documentation", netip.MustParsePrefix("3fff::/20")},
	{"unique-local", netip.MustParsePrefix("fc00::/7")},
	{"link-local", netip.MustParsePrefix("fe80::/10")},
	{"site-local", netip.MustParsePrefix("fec0::/10")},
	{"multicast", netip.MustParsePrefix("ff00::/8")},
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour     = netip.MustParsePrefix("2002::/16")    // RFC 3056
	teredo        = netip.MustParsePrefix("2001::/32")    // RFC 4380
)

// NewGuard makes a guard that lets only public addresses pass, and those in allow (upstream.allow). Own tells the addresses
// of the gateway's interfaces; if it is nil, they are read from the machine. One of those, unless it is a loopback address,
// is opened only by a prefix that holds nothing else: opening a network does not open the gateway that stands in it.
func NewGuard(allow []netip.Prefix, own func(netip.Addr) bool) *Guard {
	if own == nil {
		own = newInterfaces().own
	}
	g := &Guard{own: own}
	for _, p := range allow {
		g.allow = append(g.allow, unmapPrefix(p))
	}
	return g
}

// Check returns nil for an address that may be dialled, else a [*GuardError]. An IPv4-mapped address is the IPv4 address.
// An address that carries IPv4 ones inside (NAT64, 6to4, Teredo) passes if all of those do.
func (g *Guard) Check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	class, inner := g.refuse(addr)
	if class == "" {
		return nil
	}
	return &GuardError{Guard: "destination", Addr: addr, Class: class, Inner: inner}
}

// refuse returns the class for which an address is refused, or "". Inner is the address inside that was refused, if one was.
func (g *Guard) refuse(addr netip.Addr) (class string, inner netip.Addr) {
	switch {
	case !addr.IsValid():
		return "invalid", inner
	case !addr.IsLoopback() && g.own(addr) && !g.names(addr):
		return "own", inner
	case g.opens(addr):
		return "", inner
	}
	if inside := embedded(addr); len(inside) > 0 {
		for _, a := range inside {
			if class, _ := g.refuse(a); class != "" {
				return class, a
			}
		}
		return "", inner
	}
	for i := range guardedRanges {
		if guardedRanges[i].prefix.Contains(addr) {
			return guardedRanges[i].class, inner
		}
	}
	if addr.Is6() && !globalUnicast.Contains(addr) {
		return "reserved", inner
	}
	return "", inner
}

// opens reports whether the operator opened a network that holds the address.
func (g *Guard) opens(addr netip.Addr) bool {
	return slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// names reports whether the operator opened exactly this address.
func (g *Guard) names(addr netip.Addr) bool {
	return slices.Contains(g.allow, netip.PrefixFrom(addr, addr.BitLen()))
}

// embedded returns the IPv4 addresses that a packet to this IPv6 address ends at or is sent through.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[12:]))}
	case sixToFour.Contains(addr):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:]))}
	case teredo.Contains(addr):
		// The server, and the client with every bit turned over.
		var client [4]byte
		binary.BigEndian.PutUint32(client[:], ^binary.BigEndian.Uint32(b[12:]))
		return []netip.Addr{netip.AddrFrom4([4]byte(b[4:])), netip.AddrFrom4(client)}
	}
	return nil
}

// unmapPrefix makes ::ffff:10.0.0.0/104 the 10.0.0.0/8 that it means, so that it fits addresses that are unmapped.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
	}
	return p.Masked()
}
