package match

import (
	"strings"

	"github.com/gracegate/gracegate/policy/host"
)

// Selector is the hosts and zones that an operator's rule or waiver picks directly. A zone is the name itself and every
// name below it; an address is picked as a host only, and is no zone.
type Selector struct{ Hosts, Zones []host.Name }

// SetID is the number of a set of selectors within one Selections. 0 is the empty set.
type SetID uint32

// Selections finds all selectors that pick a name. Unlike with entries there is no more or less specific: every one that
// matches counts. It is read-only once built.
type Selections struct {
	hosts, zones table // a name's set
	sets         [][]int
}

// NewSelections indexes selectors.
func NewSelections(selectors []Selector) *Selections {
	s := new(Selections)
	sets := newSets()
	for i, selector := range selectors {
		for _, n := range selector.Hosts {
			if !n.IsZero() {
				set := s.hosts.at(n.String())
				*set = sets.with(*set, uint32(i))
			}
		}
		for _, n := range selector.Zones {
			if !n.IsZero() && !n.IsAddr() {
				set := s.zones.at(n.String())
				*set = sets.with(*set, uint32(i))
			}
		}
	}
	s.hosts.seal()
	s.zones.seal()
	s.spread(sets)
	s.sets = make([][]int, len(sets.list))
	for id, set := range sets.list {
		for _, i := range set {
			s.sets[id] = append(s.sets[id], int(i))
		}
	}
	return s
}

// spread gives every listed name the selectors of the zones around it, so that Lookup can stop at the first it finds.
func (s *Selections) spread(sets *sets) {
	around := func(zone string, set uint32) uint32 {
		for more := true; more; _, zone, more = strings.Cut(zone, ".") {
			set = sets.union(set, s.zones.get(tagOf(zone), zone))
		}
		return set
	}
	for _, t := range []*table{&s.hosts, &s.zones} {
		for i := range t.slots {
			if slot := &t.slots[i]; slot.value != 0 {
				slot.value = around(t.name(slot.text), slot.value)
			}
		}
	}
}

// Lookup returns the selectors that pick a name. It does not allocate.
func (s *Selections) Lookup(n host.Name) SetID {
	name := n.String()
	if set := s.hosts.get(tagOf(name), name); set != 0 {
		return SetID(set)
	}
	set, _ := longest(name, &s.zones, &none.zones)
	return SetID(set)
}

// Below returns the selectors that pick every name below a zone: those of the zone and of the zones around it.
func (s *Selections) Below(zone host.Name) SetID {
	set, _ := longest(zone.String(), &s.zones, &none.zones)
	return SetID(set)
}

// NumSets returns the number of sets, the empty one included. Their ids are 0 up to it.
func (s *Selections) NumSets() int { return len(s.sets) }

// Set returns the indices of the selectors in a set, sorted. The caller must not change it.
func (s *Selections) Set(id SetID) []int { return s.sets[id] }
