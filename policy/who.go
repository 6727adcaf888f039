package policy

import (
	"net/netip"
	"slices"
)

// Who tells which site (empty: the default one) and which persons of the operator's file a client is.
func (p *Policy) Who(f *Facts) (site string, persons []string) {
	client := f.Client.Unmap().WithZone("")
	best := -1
	for i := range p.op.Sites {
		for _, n := range p.op.Sites[i].Networks {
			if n.Contains(client) && n.Bits() > best {
				site, best = p.op.Sites[i].Name, n.Bits()
			}
		}
	}
	for i := range p.op.Persons {
		c := &p.op.Persons[i].Clients
		if slices.ContainsFunc(c.Networks, func(n netip.Prefix) bool { return n.Contains(client) }) ||
			f.User != "" && slices.Contains(c.Users, f.User) || f.MAC != "" && slices.Contains(c.MACs, f.MAC) {
			persons = append(persons, p.op.Persons[i].Name)
		}
	}
	return site, persons
}
