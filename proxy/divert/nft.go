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
	Name      string // as nft has it
	Divert    string // the statements that bring a packet to the gateway; empty: nobody listens
	Resolvers []nftResolver
}

type nftResolver struct {
	Name, Source string
	Addrs        []string
}

// NFT returns a ruleset for `nft -f`; Linux has what it takes since 5.2 (NAT in the family inet). It is loaded as one transaction
// that replaces the table, if there is one. TCP 80 and 443 that comes in on the interfaces goes to the gateway, unless the
// destination is local: private, link-local, loopback, multicast or reserved, or an address of the machine itself. What would leave
// past the gateway on these ports is refused. What the machine itself sends is not concerned.
//
// A listener on every address gets connections by redirection, which goes to the first address of the interface that they came in
// on. One on a single address gets them by DNAT, since it would miss the others.
//
// The same rules give the same bytes. An error names what cannot be.
func NFT(r Rules) (string, error) {
	if err := r.check(); err != nil {
		return "", err
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

func (r *Rules) check() error {
	if len(r.Interfaces) == 0 {
		return errors.New("no interface of the inner side is named")
	}
	for _, name := range r.Interfaces {
		if err := checkInterface(name); err != nil {
			return fmt.Errorf("interface %q %w", name, err)
		}
	}
	if !r.IPv4.IsValid() && !r.IPv6.IsValid() {
		return errors.New("there is no listener to send connections to")
	}
	return errors.Join(r.checkListener(r.IPv4, true), r.checkListener(r.IPv6, false))
}

// maxInterface is the longest name that Linux gives (IFNAMSIZ without the end).
const maxInterface = 15

// checkInterface takes fewer names than Linux (dev_valid_name), which lets quotes, braces and * through.
func checkInterface(name string) error {
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.", c)
	}
	switch {
	case name == "":
		return errors.New("has no name")
	case len(name) > maxInterface:
		return fmt.Errorf("is longer than the %d bytes of a name", maxInterface)
	case name == "." || name == "..":
		return errors.New("is no name")
	case name == "lo":
		return errors.New("is the machine itself, not the inner side")
	}
	if i := strings.IndexFunc(name, odd); i >= 0 {
		return fmt.Errorf("holds %q: letters, digits, dot, hyphen and underscore are taken", []rune(name[i:])[0])
	}
	return nil
}

func (r *Rules) checkListener(at netip.AddrPort, ipv4 bool) error {
	addr := at.Addr()
	switch {
	case !at.IsValid():
		return nil
	case at.Port() == 0:
		return fmt.Errorf("listener %s has no port that stays the same", at)
	case addr.Is4() != ipv4 || addr.Is4In6():
		return fmt.Errorf("listener %s is of the other family", at)
	case addr.Zone() != "":
		return fmt.Errorf("listener %s is on one link alone", at)
	case addr.IsLoopback() && !r.TPROXY:
		return fmt.Errorf("listener %s is on loopback, where nothing that comes in from outside arrives", at)
	}
	return nil
}

// family is what differs: keyword is what nft calls the header.
func (r *Rules) family(name, keyword string, listener netip.AddrPort) nftFamily {
	f := nftFamily{Name: name}
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
		if addrs := known.ofFamily(name == "ipv4"); len(addrs) > 0 {
			f.Resolvers = append(f.Resolvers, nftResolver{known.name, known.source, addrs})
		}
	}
	return f
}
