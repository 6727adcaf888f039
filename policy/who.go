package policy

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// who finds which site and persons of the operator's file a client is.
type who struct {
	op             *Operator
	networks       bart.Table[*inhabitants]
	users, devices map[string]*people
}

// inhabitants are what an address in a network is, wider networks included.
type inhabitants struct {
	site int // into Operator.Sites, or -1
	people
}

// people are persons of the operator's file, in its order.
type people struct {
	persons []int
	names   []string
}

// Who tells which site (empty: the default one) and which persons of the operator's file a client is. Clients may share the
// persons: they must not be changed.
func (p *Policy) Who(f *Facts) (site string, persons []string) {
	var known *people
	if here, ok := p.who.networks.Lookup(f.Client.Unmap().WithZone("")); ok {
		if here.site >= 0 {
			site = p.op.Sites[here.site].Name
		}
		known = &here.people
	}
	if f.User != "" {
		known = p.who.join(known, p.who.users[f.User])
	}
	if f.MAC != "" {
		known = p.who.join(known, p.who.devices[f.MAC])
	}
	if known == nil {
		return site, nil
	}
	return site, known.names
}

func newWho(op *Operator) *who {
	w := &who{op: op, users: map[string]*people{}, devices: map[string]*people{}}
	w.settle()
	for i := range op.Persons {
		for _, name := range op.Persons[i].Clients.Users {
			w.users[name] = w.join(w.users[name], w.people(i))
		}
		for _, name := range op.Persons[i].Clients.MACs {
			w.devices[name] = w.join(w.devices[name], w.people(i))
		}
	}
	return w
}

// settle finds, for every network that the file names, all that holds inside it. As in groupNetworks, one look-up of the most
// specific network around an address then tells them all.
func (w *who) settle() {
	own := map[netip.Prefix]*inhabitants{} // what is said of exactly this network
	at := func(n netip.Prefix) *inhabitants {
		n = n.Masked()
		if own[n] == nil {
			own[n] = &inhabitants{site: -1}
		}
		return own[n]
	}
	for i := range w.op.Sites {
		for _, n := range w.op.Sites[i].Networks {
			if here := at(n); here.site < 0 {
				here.site = i
			}
		}
	}
	for i := range w.op.Persons {
		for _, n := range w.op.Persons[i].Clients.Networks {
			here := at(n)
			here.people = *w.join(&here.people, w.people(i))
		}
	}
	all := make([]netip.Prefix, 0, len(own))
	for n := range own {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int { return cmp.Compare(a.Bits(), b.Bits()) })
	for _, n := range all { // the wider ones are there already
		here := own[n]
		if outer, ok := w.networks.LookupPrefix(n); ok {
			if here.site < 0 {
				here.site = outer.site
			}
			here.people = *w.join(&here.people, &outer.people)
		}
		w.networks.Insert(n, here)
	}
}

func (w *who) people(persons ...int) *people {
	p := &people{persons: persons, names: make([]string, len(persons))}
	for i, n := range persons {
		p.names[i] = w.op.Persons[n].Name
	}
	return p
}

// join returns one of two, or both as new people.
func (w *who) join(a, b *people) *people {
	switch {
	case b == nil || len(b.persons) == 0:
		return a
	case a == nil || len(a.persons) == 0:
		return b
	}
	return w.people(merge(a.persons, b.persons)...)
}
