package policy

import (
	"fmt"
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
func (p *Policy) Askers() []Asker { return Askers(p) }

// Askers returns one client for each way in which any of several policies can tell clients apart. Site and Persons are those of
// the last policy.
func Askers(policies ...*Policy) []Asker {
	clients := sampleClients(policies)
	users := sampleMarks(policies, func(s *scopes) map[string]uint32 { return s.users.group })
	devices := sampleMarks(policies, func(s *scopes) map[string]uint32 { return s.devices.group })
	var known interner
	var askers []Asker
	scope := make([]uint32, len(policies))
	for _, client := range clients {
		for _, user := range users {
			for _, device := range devices {
				a := Asker{Client: client, User: user, MAC: device}
				f := Facts{Client: client, User: user, MAC: device}
				for i, p := range policies {
					scope[i] = p.scopes.index(&f)
					a.Site, a.Persons = p.Who(&f)
				}
				if _, isNew := known.id(fmt.Sprint(scope)); isNew {
					askers = append(askers, a)
				}
			}
		}
	}
	return askers
}

// AskerOf returns a client of a site of the operator's file, if there can be one: of those that persons and waivers single out least.
// The empty site is the default one.
func (p *Policy) AskerOf(site string) (Asker, bool) {
	if site == "" {
		return Asker{}, true
	}
	var best Asker
	found, least := false, 0
	for n := range p.scopes.networks.AllSorted() {
		for _, client := range addressesNear(n) {
			f := Facts{Client: client}
			at, persons := p.Who(&f)
			singled := len(persons) + len(p.scopes.list[p.scopes.index(&f)].waivers)
			if at == site && (!found || singled < least) {
				best, found, least = Asker{Client: client, Site: site, Persons: persons}, true, singled
			}
		}
	}
	return best, found
}

// sampleMarks returns a name (of a user, or of a device) for each way in which the policies group them, the empty one first.
func sampleMarks(policies []*Policy, groups func(*scopes) map[string]uint32) []string {
	var names []string
	for _, p := range policies {
		names = slices.AppendSeq(names, maps.Keys(groups(p.scopes)))
	}
	var known interner
	group := make([]uint32, len(policies))
	samples := []string{""}
	known.id(fmt.Sprint(group))
	for _, name := range merge(names) {
		for i, p := range policies {
			group[i] = groups(p.scopes)[name]
		}
		if _, isNew := known.id(fmt.Sprint(group)); isNew {
			samples = append(samples, name)
		}
	}
	return samples
}

// sampleClients returns an address for each way in which the policies group networks, first the one that is not valid, which
// none of them holds. A network that smaller ones fill needs none: there is no such client.
func sampleClients(policies []*Policy) []netip.Addr {
	var known interner
	group := make([]uint32, len(policies))
	samples := []netip.Addr{{}}
	known.id(fmt.Sprint(group))
	for _, p := range policies {
		for n := range p.scopes.networks.AllSorted() {
			for _, a := range addressesNear(n) {
				for i, q := range policies {
					group[i], _ = q.scopes.networks.Lookup(a)
				}
				if _, isNew := known.id(fmt.Sprint(group)); isNew {
					samples = append(samples, a)
				}
			}
		}
	}
	return samples
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
