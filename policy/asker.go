package policy

import (
	"maps"
	"net/netip"
	"slices"
)

// Asker is a client that stands for all that the policy treats as it does.
type Asker struct {
	Client  netip.Addr // not valid: one that no network of the policy holds
	User    string     // empty: one that the policy does not name
	MAC     string     // likewise
	Site    string     // empty: the default site
	Persons []string
}

// Askers returns one client for each way in which the policy can tell clients apart, always in the same order. The first is one
// of the default site whom nothing names.
func (p *Policy) Askers() []Asker {
	networks := p.networkSamples()
	users, devices := p.scopes.users.samples(), p.scopes.devices.samples()
	found := make([]bool, len(p.scopes.list))
	var askers []Asker
	at := 0
	for n := range networks {
		for u := range users {
			for m := range devices {
				id := p.scopes.table[at]
				at++
				if found[id] || n > 0 && !networks[n].IsValid() {
					continue
				}
				found[id] = true
				f := Facts{Client: networks[n], User: users[u], MAC: devices[m]}
				a := Asker{Client: f.Client, User: f.User, MAC: f.MAC}
				a.Site, a.Persons = p.Who(&f)
				askers = append(askers, a)
			}
		}
	}
	return askers
}

// samples returns a name for each group; that of group 0 is empty.
func (m *marks) samples() []string {
	list := make([]string, len(m.list))
	for _, name := range slices.Sorted(maps.Keys(m.group)) {
		if g := m.group[name]; list[g] == "" {
			list[g] = name
		}
	}
	return list
}

// networkSamples returns an address for each group of networks. That of group 0 is not valid; nor is that of a group whose
// networks are filled by smaller ones: there is no such client.
func (p *Policy) networkSamples() []netip.Addr {
	list := make([]netip.Addr, p.scopes.numNetworks)
	for n := range p.scopes.networks.AllSorted() {
		for _, a := range addressesNear(n) {
			if g, ok := p.scopes.networks.Lookup(a); ok && g > 0 && !list[g].IsValid() {
				list[g] = a
			}
		}
	}
	return list
}

// addressesNear returns addresses in a network and around it. If an address lies in a network and in none of the smaller ones
// in it, then so does one that is near one of these.
func addressesNear(n netip.Prefix) []netip.Addr {
	first := n.Masked().Addr()
	raw := first.AsSlice()
	for bit := n.Bits(); bit < first.BitLen(); bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(raw)
	var list []netip.Addr
	for _, a := range []netip.Addr{first.Next(), first, last, last.Next(), first.Prev()} {
		if a.IsValid() {
			list = append(list, a)
		}
	}
	return list
}
