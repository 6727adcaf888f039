package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
)

// Clients knows who may use the proxy. It is safe for concurrent use.
type Clients struct {
	words    []string // as configured
	prefixes []netip.Prefix
	onLink   bool // the word was given
	links    *interfaces
}

// clientWords are the networks that a word of clients.allow stands for, beside on-link, which is read from the interfaces.
var clientWords = map[string][]netip.Prefix{
	"loopback": {netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	"private": {
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("fc00::/7"),
	},
}

// NewClients reads clients.allow. Each entry is an address, a prefix, or a word:
//
//   - loopback: 127.0.0.0/8 and ::1;
//   - private: the networks of RFC 1918 and fc00::/7;
//   - on-link: the networks at the inner interfaces of this machine, with global IPv6 and link-local ones. Interfaces are
//     read when first needed, and again when a client is not found in them, at most every 30 seconds.
//
// An empty list admits nobody. The error tells every entry that is neither.
func NewClients(allow []string) (*Clients, error) {
	c := &Clients{words: slices.Clone(allow), links: newInterfaces()}
	var wrong []error
	for _, entry := range allow {
		if entry == "on-link" {
			c.onLink = true
			continue
		}
		if ranges, ok := clientWords[entry]; ok {
			c.prefixes = append(c.prefixes, ranges...)
			continue
		}
		p, err := readPrefix(entry)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("clients.allow: %q is neither loopback, private, on-link nor an address or a prefix such as 192.0.2.0/24", entry))
			continue
		}
		c.prefixes = append(c.prefixes, p)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return c, nil
}

// Allowed reports whether a client may use the proxy. The address is best given as the connection has it: a link-local one
// counts as on-link only with its zone.
func (c *Clients) Allowed(addr netip.Addr) bool {
	addr = addr.Unmap()
	bare := addr.WithZone("")
	if slices.ContainsFunc(c.prefixes, func(p netip.Prefix) bool { return p.Contains(bare) }) {
		return true
	}
	return c.onLink && addr.IsValid() && c.links.onLink(addr)
}

// Links returns the indexes of the interfaces on which a client, whose address is given without its zone, is a neighbour of the
// gateway: the address lies in a network of theirs, and they are inner ones (see on-link) or the network is admitted as a
// whole. Behind a router nobody is a neighbour.
func (c *Clients) Links(addr netip.Addr) []int {
	return c.links.neighbours(addr, func(network netip.Prefix) bool {
		return slices.ContainsFunc(c.prefixes, func(p netip.Prefix) bool {
			return !tooWide(p) && p.Bits() <= network.Bits() && p.Contains(network.Addr())
		})
	})
}

// Admit returns the whole line of the configuration that would admit a client beside those admitted now, such as
// `clients.allow: [loopback, private, on-link, 203.0.113.7/32]`.
func (c *Clients) Admit(addr netip.Addr) string {
	addr = host.ClientAddr(addr)
	entries := append(slices.Clone(c.words), exactly(addr))
	return "clients.allow: [" + strings.Join(entries, ", ") + "]"
}

// readPrefix reads a prefix, or an address as the prefix that holds it alone.
func readPrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return unmapPrefix(netip.PrefixFrom(addr, addr.BitLen())), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	return unmapPrefix(p), nil
}
