package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// scope is who a client is, as far as verdicts go: clients with equal scopes are treated alike.
type scope struct {
	jurisdictions []string // sorted; the union of the site's, the persons', and those of the sites that a relay serves
	voices                 // the operator's rules and waivers that hold here
}

// These bound what it costs to compile a policy in which networks, users and devices meet in every way: the table that joins
// them, and the scopes that differ.
const (
	maxScopeTable = 1 << 17
	maxScopes     = 1 << 13
)

// scopes finds a client's scope. Networks, users and devices each fall into groups; a table joins one of each.
type scopes struct {
	list     []scope
	table    []uint32           // (network group, user group, device group) -> index into list
	networks bart.Table[uint32] // group 0: the default site alone
	users    marks              // group 0: a user that nothing names
	devices  marks
}

// marks are the groups of users, or of devices.
type marks struct {
	group map[string]uint32
	list  []subject
}

// subject is what one of a client's marks (its network, user or device) tells of it.
type subject struct {
	site          int      // into Operator.Sites, or -1; only a network tells one
	jurisdictions []string // of persons
	waivers       []int    // that pick it
}

// index finds the scope of a client.
func (s *scopes) index(f *Facts) uint32 {
	net, _ := s.networks.Lookup(f.Client.Unmap().WithZone(""))
	var user, mac uint32
	if f.User != "" {
		user = s.users.group[f.User]
	}
	if f.MAC != "" {
		mac = s.devices.group[f.MAC]
	}
	return s.table[(int(net)*len(s.users.list)+int(user))*len(s.devices.list)+int(mac)]
}

// compileScopes builds the table for an operator's file that has been checked.
func compileScopes(op *Operator) (*scopes, error) {
	s := &scopes{}
	networks := s.groupNetworks(op)
	s.users = groupMarks(op, func(c *Clients) []string { return c.Users })
	s.devices = groupMarks(op, func(c *Clients) []string { return c.MACs })

	tooMany := Problems{{
		Pos: op.Pos,
		Message: fmt.Sprintf("%d kinds of network, %d of user and %d of device make too many kinds of client",
			len(networks), len(s.users.list), len(s.devices.list)),
		Hint: "put the clients of several waivers into one",
	}}
	size := len(networks) * len(s.users.list) * len(s.devices.list)
	if size > maxScopeTable {
		return nil, tooMany
	}
	s.table = make([]uint32, 0, size)
	var known interner
	for _, n := range networks {
		for _, u := range s.users.list {
			for _, m := range s.devices.list {
				sc := newScope(op, n.site, merge(n.jurisdictions, u.jurisdictions, m.jurisdictions), merge(n.waivers, u.waivers, m.waivers))
				id, isNew := known.id(fmt.Sprint(sc))
				if isNew {
					s.list = append(s.list, sc)
				}
				s.table = append(s.table, id)
			}
			if len(s.list) > maxScopes {
				return nil, tooMany
			}
		}
	}
	return s, nil
}

// newScope joins what a site and persons mean. picked are the waivers that name the client; those that name no client hold for
// all of their sites.
func newScope(op *Operator, site int, jurisdictions []string, picked []int) scope {
	home := &op.DefaultSite
	var sites []string
	if site >= 0 {
		home = &op.Sites[site]
		sites = op.served(home)
	}
	sc := scope{jurisdictions: merge(jurisdictions, op.Binding(home))}
	for i := range op.Rules {
		named := op.Rules[i].Sites
		if len(named) == 0 || slices.ContainsFunc(named, func(id string) bool { return slices.Contains(sites, id) }) {
			sc.rules = append(sc.rules, i)
		}
	}
	for i := range op.Waivers {
		w := &op.Waivers[i]
		// A waiver for a site does not reach a relay that serves it: what one of the sites behind it may do, the others may not.
		if (w.Clients.Empty() || slices.Contains(picked, i)) && (len(w.Sites) == 0 || site >= 0 && slices.Contains(w.Sites, home.Name)) {
			sc.waivers = append(sc.waivers, i)
		}
	}
	return sc
}

// Binding are the jurisdictions that bind a site, in order: its own, and those of all that it serves.
func (op *Operator) Binding(site *Site) []string {
	all := slices.Clone(site.Jurisdictions)
	if len(site.Serves) > 0 {
		sites := op.served(site)
		for i := range op.Sites {
			if slices.Contains(sites, op.Sites[i].Name) {
				all = append(all, op.Sites[i].Jurisdictions...)
			}
		}
	}
	return merge(all)
}

// served lists a site and all that it serves, also through other relays.
func (op *Operator) served(site *Site) []string {
	all := []string{site.Name}
	for i := 0; i < len(all); i++ {
		for j := range op.Sites {
			if op.Sites[j].Name != all[i] {
				continue
			}
			for _, name := range op.Sites[j].Serves {
				if !slices.Contains(all, name) {
					all = append(all, name)
				}
			}
		}
	}
	return all
}

// groupNetworks finds, for every network that the file names, all that holds inside it. Every network that covers an address
// also covers the most specific one around it, so one longest-prefix look-up tells them all.
func (s *scopes) groupNetworks(op *Operator) []subject {
	own := map[netip.Prefix]*subject{} // what is said of exactly this network
	at := func(n netip.Prefix) *subject {
		if own[n] == nil {
			own[n] = &subject{site: -1}
		}
		return own[n]
	}
	for i := range op.Sites {
		for _, n := range op.Sites[i].Networks {
			at(n).site = i
		}
	}
	for i := range op.Persons {
		for _, n := range op.Persons[i].Clients.Networks {
			at(n).jurisdictions = append(at(n).jurisdictions, op.Persons[i].Jurisdictions...)
		}
	}
	for i := range op.Waivers {
		for _, n := range op.Waivers[i].Clients.Networks {
			at(n).waivers = append(at(n).waivers, i)
		}
	}

	groups := []subject{{site: -1}}
	var known interner
	known.id(fmt.Sprint(groups[0]))
	// In this order a network comes behind all that cover it, so those are what is left of the ones before it.
	type covering struct {
		netip.Prefix
		subject
	}
	var around []covering
	for _, n := range sortedPrefixes(own) {
		for len(around) > 0 && !around[len(around)-1].Contains(n.Addr()) {
			around = around[:len(around)-1]
		}
		here := *own[n]
		if len(around) > 0 {
			outer := around[len(around)-1]
			if here.site < 0 {
				here.site = outer.site
			}
			here.jurisdictions = merge(here.jurisdictions, outer.jurisdictions)
			here.waivers = merge(here.waivers, outer.waivers)
		} else {
			here.jurisdictions, here.waivers = merge(here.jurisdictions), merge(here.waivers)
		}
		around = append(around, covering{n, here})
		id, isNew := known.id(fmt.Sprint(here))
		if isNew {
			groups = append(groups, here)
		}
		s.networks.Insert(n, id)
	}
	return groups
}

// sortedPrefixes lists networks by address, the wider first.
func sortedPrefixes(networks map[netip.Prefix]*subject) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(networks))
	for n := range networks {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return list
}

// groupMarks gives every user (or device) that the file names the number of its group.
func groupMarks(op *Operator, names func(*Clients) []string) marks {
	by := map[string]*subject{}
	at := func(name string) *subject {
		if by[name] == nil {
			by[name] = &subject{site: -1}
		}
		return by[name]
	}
	for i := range op.Persons {
		for _, name := range names(&op.Persons[i].Clients) {
			at(name).jurisdictions = append(at(name).jurisdictions, op.Persons[i].Jurisdictions...)
		}
	}
	for i := range op.Waivers {
		for _, name := range names(&op.Waivers[i].Clients) {
			at(name).waivers = append(at(name).waivers, i)
		}
	}
	m := marks{group: make(map[string]uint32, len(by)), list: []subject{{site: -1}}}
	var known interner
	known.id(fmt.Sprint(m.list[0]))
	for name, subj := range by {
		subj.jurisdictions, subj.waivers = merge(subj.jurisdictions), merge(subj.waivers)
		id, isNew := known.id(fmt.Sprint(*subj))
		if isNew {
			m.list = append(m.list, *subj)
		}
		m.group[name] = id
	}
	return m
}

// interner numbers what is equal alike, from 0 on.
type interner struct{ ids map[string]uint32 }

func (in *interner) id(key string) (id uint32, isNew bool) {
	if in.ids == nil {
		in.ids = make(map[string]uint32)
	}
	id, ok := in.ids[key]
	if !ok {
		id = uint32(len(in.ids))
		in.ids[key] = id
	}
	return id, !ok
}

func merge[T cmp.Ordered](lists ...[]T) []T {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
