package policy

import (
	"slices"

	"github.com/gracegate/gracegate/policy/host"
)

// find lists what a name can lead to: one set of endpoints if it does not depend on the path or the path is seen, otherwise one
// for each thing that a path could make of it. hit tells whether any endpoint matched.
func (w *dull) find(n host.Name, f *Facts) (outcomes [][]found, hit bool) {
	for _, group := range w.groups(n, f.Port) {
		if len(group[0].Paths) == 0 {
			return append(outcomes, group), true
		}
		hit = true
		if f.Stage == StageRequest && f.Path != "" {
			fitting := slices.DeleteFunc(slices.Clone(group), func(e found) bool { return !fits(e, f.Path) })
			if len(fitting) > 0 {
				return [][]found{fitting}, true
			}
			continue
		}
		outcomes = append(outcomes, subsets(group)...)
	}
	seen := f.Stage == StageRequest && f.Path != ""
	return append(outcomes, nil), hit && !seen
}

// groups lists, from the most specific on, the endpoints that fit the name and the port, equal candidates together.
func (w *dull) groups(n host.Name, port uint16) [][]found {
	var levels []func(*Endpoint) bool
	levels = append(levels, func(e *Endpoint) bool { return slices.Contains(e.Hosts, n) })
	for zone, ok := n, !n.IsAddr(); ok; zone, ok = zone.Parent() {
		levels = append(levels, func(e *Endpoint) bool { return slices.Contains(e.Zones, zone) })
	}
	var groups [][]found
	for _, level := range levels {
		for kind := range 4 { // port and path, port, path, plain
			var group []found
			for i := range w.vendors {
				for j := range w.vendors[i].Endpoints {
					e := &w.vendors[i].Endpoints[j]
					wantPort, wantPath := kind < 2, kind%2 == 0
					if level(e) && (len(e.Ports) > 0) == wantPort && (len(e.Paths) > 0) == wantPath && (!wantPort || hasPort(e, port)) {
						group = append(group, found{w.vendors[i].ID, e})
					}
				}
			}
			if len(group) > 0 {
				groups = append(groups, group)
			}
		}
	}
	return groups
}

func hasPort(e *Endpoint, port uint16) bool {
	for _, r := range e.Ports {
		if r.First <= port && port <= r.Last {
			return true
		}
	}
	return false
}

func fits(e found, path string) bool {
	for _, p := range e.Paths {
		if p.Match(path) {
			return true
		}
	}
	return false
}

// subsets lists every set of endpoints of a group that some path could fit. The tests use patterns that either are equal or
// exclude each other, so that these are the sets of equal patterns.
func subsets(group []found) [][]found {
	var sets [][]found
	for _, e := range group {
		i := slices.IndexFunc(sets, func(s []found) bool { return s[0].Paths[0].String() == e.Paths[0].String() })
		if i < 0 {
			sets = append(sets, []found{e})
		} else {
			sets[i] = append(sets[i], e)
		}
	}
	return sets
}

func (w *dull) fingerprints(path string) []found {
	var list []found
	for i := range w.vendors {
		for j := range w.vendors[i].Endpoints {
			e := &w.vendors[i].Endpoints[j]
			if len(e.Hosts)+len(e.Zones) == 0 && path != "" && fits(found{Endpoint: e}, path) {
				list = append(list, found{w.vendors[i].ID, e})
			}
		}
	}
	return list
}
