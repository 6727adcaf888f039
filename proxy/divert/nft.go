package divert

import (
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/template"
)

// NFTTable is the table, of the family inet, that [NFT] makes.
const NFTTable = "gracegate"

// What TPROXY needs besides the table: packets with the mark are looked up in a routing table of their own, by a rule of this
// priority, and there every address is one of this machine.
const (
	TPROXYMark  = 0x67
	TPROXYTable = 103
)

// Rules are what an operator says of the packet filter.
type Rules struct {
	// Interfaces are the names of the inner side's interfaces; at least one. They need not be there yet.
	Interfaces []string

	// IPv4 and IPv6 are where the gateway listens for what is sent to it, by the family of the client's connection. An
	// unspecified address is a listener on every address. The zero value is none: that family is refused.
	IPv4, IPv6 netip.AddrPort

	// Clients and Destinations are left alone: what comes from the ones, or goes to the others, is neither sent to the gateway nor refused.
	Clients, Destinations []netip.Prefix

	TPROXY    bool // hand packets over as they are, instead of translating their destination
	BlockQUIC bool // refuse UDP 80 and 443
	ForceDNS  bool // refuse the well-known public resolvers
}

//go:embed nft.tmpl
var nftTemplate string

var nftRuleset = template.Must(template.New("nft").Parse(nftTemplate))

// nftText is what the template is given.
type nftText struct {
	Rules
	Table, Mark, KasperskySource string
	Routes                       []string
	Families                     []nftFamily
}

// nftFamily is what differs between IPv4 and IPv6.
type nftFamily struct {
	Name, Keyword         string // as nft has it, in types and before a field of the header
	Divert                string // the statements that bring a packet to the gateway; empty: nobody listens
	Clients, Destinations []netip.Prefix
	Resolvers             []nftResolver
}

type nftResolver struct {
	Name, Source string
	Addrs        []string
}

// NFT returns a ruleset for `nft -f`; Linux has what it takes since 5.2 (NAT in the family inet). It is loaded as one transaction
// that replaces the table, if there is one. TCP 80 and 443 that comes in on the interfaces goes to the gateway, unless the
// destination is local: private, link-local, loopback, multicast or reserved, or an address of the machine itself. What would leave
// past the gateway on these ports is refused. What the machine itself sends is not concerned, nor is what is exempt.
//
// A listener on every address gets connections by redirection, which goes to the first address of the interface that they came in
// on. One on a single address gets them by DNAT, since it would miss the others.
//
// The same rules give the same bytes. The error joins one for each mistake, among them [InterfaceError], [ListenerError] and [ExemptError].
func NFT(r Rules) (string, error) {
	if wrong := r.check(); len(wrong) > 0 {
		return "", errors.Join(wrong...)
	}
	r.Interfaces = slices.Compact(slices.Sorted(slices.Values(r.Interfaces)))
	text := nftText{
		Rules: r, Table: NFTTable, Mark: fmt.Sprintf("%#x", TPROXYMark), KasperskySource: KasperskySource, Routes: TPROXYRoutes(),
		Families: []nftFamily{r.family("ipv4", "ip", r.IPv4), r.family("ipv6", "ip6", r.IPv6)},
	}
	var b strings.Builder
	if err := nftRuleset.Execute(&b, text); err != nil {
		return "", err
	}
	return b.String(), nil
}

// RemoveNFT returns a text for `nft -f` that takes the table of [NFT] out, whether or not it is there.
func RemoveNFT() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {}\ndelete table inet %[1]s\n\n# Where it was made with --tproxy, its routes go with:\n#\n", NFTTable)
	for _, family := range []string{"-4", "-6"} {
		fmt.Fprintf(&b, "#\tip %s rule del priority %d\n#\tip %[1]s route flush table %[2]d\n", family, TPROXYTable)
	}
	return b.String()
}

// TPROXYRoutes are the commands without which the kernel does not take the packets of [Rules].TPROXY. They hold until the machine is
// started again.
func TPROXYRoutes() []string {
	var list []string
	for _, family := range []string{"-4", "-6"} {
		list = append(list,
			fmt.Sprintf("ip %s rule add priority %d fwmark %#x lookup %[2]d", family, TPROXYTable, TPROXYMark),
			fmt.Sprintf("ip %s route replace local default dev lo table %d", family, TPROXYTable))
	}
	return list
}

// InterfaceError tells of an interface that cannot be named in a ruleset.
type InterfaceError struct{ Name, Reason string }

func (e *InterfaceError) Error() string { return fmt.Sprintf("interface %q %s", e.Name, e.Reason) }

// ListenerError tells of a listener that no connection would reach.
type ListenerError struct {
	Listener netip.AddrPort
	Reason   string
}

func (e *ListenerError) Error() string { return fmt.Sprintf("listener %s %s", e.Listener, e.Reason) }

// ExemptError tells of addresses that cannot be left alone.
type ExemptError struct {
	Prefix netip.Prefix
	Reason string
}

func (e *ExemptError) Error() string { return fmt.Sprintf("exempt %s %s", e.Prefix, e.Reason) }

// check finds every mistake.
func (r *Rules) check() []error {
	var wrong []error
	if len(r.Interfaces) == 0 {
		wrong = append(wrong, errors.New("no interface of the inner side is named"))
	}
	for _, name := range r.Interfaces {
		if reason := notInterface(name); reason != "" {
			wrong = append(wrong, &InterfaceError{name, reason})
		}
	}
	if !r.IPv4.IsValid() && !r.IPv6.IsValid() {
		wrong = append(wrong, errors.New("there is no listener to send connections to"))
	}
	for i, listener := range []netip.AddrPort{r.IPv4, r.IPv6} {
		if reason := r.unreached(listener, i == 0); listener.IsValid() && reason != "" {
			wrong = append(wrong, &ListenerError{listener, reason})
		}
	}
	for _, p := range slices.Concat(r.Clients, r.Destinations) {
		if reason := notExempt(p); reason != "" {
			wrong = append(wrong, &ExemptError{p, reason})
		}
	}
	return wrong
}

// notExempt tells why addresses are not left alone, or "".
func notExempt(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "is no prefix"
	case p.Addr().Is4In6():
		return "is an IPv4 address in the form of IPv6"
	case p.Bits() == 0:
		return "is every address"
	case p != p.Masked():
		return "has bits behind its length: write " + p.Masked().String()
	}
	return ""
}

// apart returns the prefixes of a family in order, without those that lie in others: nft refuses sets that overlap.
func apart(all []netip.Prefix, ipv4 bool) []netip.Prefix {
	var list []netip.Prefix
	for _, p := range slices.SortedFunc(slices.Values(all), netip.Prefix.Compare) {
		if n := len(list); p.Addr().Is4() == ipv4 && (n == 0 || !list[n-1].Overlaps(p)) {
			list = append(list, p)
		}
	}
	return list
}

// maxInterface is the longest name that Linux gives (IFNAMSIZ without the end).
const maxInterface = 15

// notInterface tells why a name is not taken, or "". Linux takes more (dev_valid_name), among it quotes, braces and *.
func notInterface(name string) string {
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.", c)
	}
	switch {
	case name == "":
		return "has no name"
	case len(name) > maxInterface:
		return fmt.Sprintf("is longer than the %d bytes of a name", maxInterface)
	case name == "." || name == "..":
		return "is no name"
	case name == "lo":
		return "is the machine itself, not the inner side"
	}
	if i := strings.IndexFunc(name, odd); i >= 0 {
		return fmt.Sprintf("holds %q: letters, digits, dot, hyphen and underscore are taken", []rune(name[i:])[0])
	}
	return ""
}

// unreached tells why no connection of a family would reach a listener, or "".
func (r *Rules) unreached(at netip.AddrPort, ipv4 bool) string {
	addr := at.Addr()
	switch {
	case at.Port() == 0:
		return "has no port that stays the same"
	case addr.Is4() != ipv4 || addr.Is4In6():
		return "is of the other family"
	case addr.Zone() != "":
		return "is on one link alone"
	case addr.IsLoopback() && !r.TPROXY:
		return "is on loopback, where nothing that comes in from outside arrives"
	}
	return ""
}

// family is what differs: keyword is what nft calls the header.
func (r *Rules) family(name, keyword string, listener netip.AddrPort) nftFamily {
	ipv4 := name == "ipv4"
	f := nftFamily{Name: name, Keyword: keyword, Clients: apart(r.Clients, ipv4), Destinations: apart(r.Destinations, ipv4)}
	to := listener.String()
	if listener.Addr().IsUnspecified() {
		to = fmt.Sprintf(":%d", listener.Port())
	}
	switch {
	case !listener.IsValid():
	case r.TPROXY:
		f.Divert = fmt.Sprintf("counter tproxy %s to %s meta mark set %#x accept", keyword, to, TPROXYMark)
	case listener.Addr().IsUnspecified():
		f.Divert = "counter redirect to " + to // the first address of the interface
	default:
		f.Divert = fmt.Sprintf("counter dnat %s to %s", keyword, to)
	}
	for _, known := range resolvers {
		if addrs := known.ofFamily(ipv4); len(addrs) > 0 {
			f.Resolvers = append(f.Resolvers, nftResolver{known.name, known.source, addrs})
		}
	}
	return f
}
