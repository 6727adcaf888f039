package policy

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// scope is who a client is, as far as verdicts go: clients with equal scopes are treated alike.
type scope struct {
	jurisdictions []string // sorted; the union of the site's, the persons', and those of the sites that a relay serves
	rules         []int    // the operator's rules that hold here
	waivers       []int
}

// maxScopeTable bounds the table that joins networks, users and devices.
const maxScopeTable = 1 << 20

// scopes finds a client's scope. Networks, users and devices each fall into groups; a table joins one of each.
type scopes struct {
	list     []scope
	table    []uint32 // (network group, user group, device group) -> index into list
	networks bart.Table[uint32]
	users    map[string]uint32 // group 0: a user that nothing names
	devices  map[string]uint32
	groups   []networkGroup // group 0: the default site
	userSets []subjectSet
	macSets  []subjectSet
}

// networkGroup is what the client's address alone tells.
type networkGroup struct {
	site int // index into Operator.Sites, or -1
	subjectSet
}

// subjectSet is the persons and waivers that pick a client by one of its marks.
type subjectSet struct{ persons, waivers []int }

// index finds the scope of a client.
func (s *scopes) index(f *Facts) uint32 {
	net, _ := s.networks.Lookup(f.Client.Unmap().WithZone(""))
	var user, mac uint32
	if f.User != "" {
		user = s.users[f.User]
	}
	if f.MAC != "" {
		mac = s.devices[f.MAC]
	}
	return s.table[(int(net)*len(s.userSets)+int(user))*len(s.macSets)+int(mac)]
}

// compileScopes builds the table for an operator's file that has been checked.
func compileScopes(op *Operator) (*scopes, error) {
	s := &scopes{users: map[string]uint32{}, devices: map[string]uint32{}, userSets: make([]subjectSet, 1), macSets: make([]subjectSet, 1)}
	s.groupNetworks(op)
	s.userSets, s.users = groupMarks(op, func(c *Clients) []string { return c.Users })
	s.macSets, s.devices = groupMarks(op, func(c *Clients) []string { return c.MACs })

	size := len(s.groups) * len(s.userSets) * len(s.macSets)
	if size > maxScopeTable {
		return nil, Problems{{
			Pos:     op.Pos,
			Message: fmt.Sprintf("%d networks, %d users and %d devices that differ make too many kinds of client", len(s.groups), len(s.userSets), len(s.macSets)),
			Hint:    "put users and devices with the same jurisdictions into one person",
		}}
	}
	s.table = make([]uint32, 0, size)
	known := map[string]uint32{}
	for _, n := range s.groups {
		for _, u := range s.userSets {
			for _, m := range s.macSets {
				sc := newScope(op, n.site, merge(n.persons, u.persons, m.persons), merge(n.waivers, u.waivers, m.waivers))
				key := fmt.Sprint(sc)
				id, ok := known[key]
				if !ok {
					id = uint32(len(s.list))
					known[key] = id
					s.list = append(s.list, sc)
				}
				s.table = append(s.table, id)
			}
		}
	}
	return s, nil
}

// newScope joins what a site, persons and waivers mean. picked are the waivers that name the client; those that name no client
// hold for all of their sites.
func newScope(op *Operator, site int, persons, picked []int) scope {
	home := &op.DefaultSite
	var sites []string
	if site >= 0 {
		home = &op.Sites[site]
		sites = append([]string{home.Name}, home.Serves...)
	}
	var sc scope
	sc.jurisdictions = append(sc.jurisdictions, home.Jurisdictions...)
	for i := range op.Sites {
		if slices.Contains(home.Serves, op.Sites[i].Name) {
			sc.jurisdictions = append(sc.jurisdictions, op.Sites[i].Jurisdictions...)
		}
	}
	for _, i := range persons {
		sc.jurisdictions = append(sc.jurisdictions, op.Persons[i].Jurisdictions...)
	}
	slices.Sort(sc.jurisdictions)
	sc.jurisdictions = slices.Compact(sc.jurisdictions)
	for i := range op.Rules {
		named := op.Rules[i].Sites
		if len(named) == 0 || slices.ContainsFunc(named, func(id string) bool { return slices.Contains(sites, id) }) {
			sc.rules = append(sc.rules, i)
		}
	}
	for i := range op.Waivers {
		w := &op.Waivers[i]
		// A relay's waiver must name the relay itself: what one of the sites behind it may do, the others may not.
		if (w.Clients.Empty() || slices.Contains(picked, i)) && (len(w.Sites) == 0 || site >= 0 && slices.Contains(w.Sites, home.Name)) {
			sc.waivers = append(sc.waivers, i)
		}
	}
	return sc
}

// groupNetworks finds, for every network that the file names, all that holds inside it. Every network that covers an address
// also covers the most specific one around it, so one longest-prefix look-up tells them all.
func (s *scopes) groupNetworks(op *Operator) {
	s.groups = []networkGroup{groupOf(op, netip.Prefix{})}
	known := map[string]uint32{fmt.Sprint(s.groups[0]): 0}
	var networks []netip.Prefix
	for i := range op.Sites {
		networks = append(networks, op.Sites[i].Networks...)
	}
	for i := range op.Persons {
		networks = append(networks, op.Persons[i].Clients.Networks...)
	}
	for i := range op.Waivers {
		networks = append(networks, op.Waivers[i].Clients.Networks...)
	}
	for _, n := range networks {
		g := groupOf(op, n)
		key := fmt.Sprint(g)
		id, ok := known[key]
		if !ok {
			id = uint32(len(s.groups))
			known[key] = id
			s.groups = append(s.groups, g)
		}
		s.networks.Insert(n, id)
	}
}

func groupOf(op *Operator, n netip.Prefix) networkGroup {
	covered := func(list []netip.Prefix) int {
		bits := -1
		for _, p := range list {
			if n.IsValid() && p.Bits() <= n.Bits() && p.Contains(n.Addr()) {
				bits = max(bits, p.Bits())
			}
		}
		return bits
	}
	g := networkGroup{site: -1}
	best := -1
	for i := range op.Sites {
		if bits := covered(op.Sites[i].Networks); bits > best {
			g.site, best = i, bits
		}
	}
	for i := range op.Persons {
		if covered(op.Persons[i].Clients.Networks) >= 0 {
			g.persons = append(g.persons, i)
		}
	}
	for i := range op.Waivers {
		if covered(op.Waivers[i].Clients.Networks) >= 0 {
			g.waivers = append(g.waivers, i)
		}
	}
	return g
}

// groupMarks gives every user (or device) that the file names the number of its group.
func groupMarks(op *Operator, marks func(*Clients) []string) ([]subjectSet, map[string]uint32) {
	by := map[string]*subjectSet{}
	get := func(mark string) *subjectSet {
		if by[mark] == nil {
			by[mark] = &subjectSet{}
		}
		return by[mark]
	}
	for i := range op.Persons {
		for _, m := range marks(&op.Persons[i].Clients) {
			get(m).persons = append(get(m).persons, i)
		}
	}
	for i := range op.Waivers {
		for _, m := range marks(&op.Waivers[i].Clients) {
			get(m).waivers = append(get(m).waivers, i)
		}
	}
	sets := []subjectSet{{}}
	known, group := map[string]uint32{}, map[string]uint32{}
	for mark, set := range by {
		key := fmt.Sprint(*set)
		id, ok := known[key]
		if !ok {
			id = uint32(len(sets))
			known[key] = id
			sets = append(sets, *set)
		}
		group[mark] = id
	}
	return sets, group
}

func merge(lists ...[]int) []int {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
