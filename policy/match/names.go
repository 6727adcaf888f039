package match

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/gracegate/gracegate/policy/host"
)

// Names is the index of a catalogue's names. It is read-only, and shared by every Index that is built on it.
type Names struct {
	forms        []form    // by EntryID, less that of the first
	fingerprints []EntryID // in order

	groups [][]EntryID // the sets of entries that are listed together at some host or zone; group 0 is empty
	closed []bool      // by group: it has a plain entry, so the search never goes on outward

	hosts, zones table    // a name's place
	places       []place  // place 0 stands for "not listed"
	chains       []uint32 // by number: the first place with that chain
}

// place is where a search by name ends. In a catalogue, all hosts and zones with the same closed group share one place,
// which has the group's number. Any other name has a place of its own, since what holds there depends on what lies
// further out, or in the layer below.
type place struct {
	group uint32 // 0: no name has this place
	chain uint32 // equal if the groups from here outward are, as long as there is no other layer
	key   uint32 // where the name stands in the text of hosts or zones; if shared, the first of the names
	zone  bool
}

// none is the index of no names.
var none = &Names{groups: [][]EntryID{nil}, closed: []bool{false}, places: make([]place, 1)}

// NewNames indexes the entries of a catalogue. Names are copied, so none of the entries' Hosts and Zones, and no memory
// that they are part of, is held on to. The error is one or more joined [EntryError]s.
func NewNames(entries []Entry) (*Names, error) {
	n, err := newNames(entries, 0, true)
	if err != nil {
		return nil, err
	}
	n.link()
	// What is too large to be compiled is told here, where it belongs, and not when a policy comes to use it.
	if _, err := NewIndex(n, nil); err != nil {
		return nil, err
	}
	return n, nil
}

// Len returns how many hosts and zones are indexed. A name that is both counts twice.
func (n *Names) Len() int { return n.hosts.used + n.zones.used }

// newNames indexes entries, the first of which has the given id. share says that closed groups share a place.
func newNames(entries []Entry, first EntryID, share bool) (*Names, error) {
	var errs []error
	size := 0
	for i := range entries {
		errs = append(errs, entries[i].check(first+EntryID(i)))
		for _, names := range [][]host.Name{entries[i].Hosts, entries[i].Zones} {
			for _, name := range names {
				size += 1 + len(name.String())
			}
		}
	}
	if uint64(size) > math.MaxUint32 {
		errs = append(errs, fmt.Errorf("%d bytes of names: more than 4 GiB cannot be indexed", size))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	n := new(Names)
	groups := newSets()
	for i := range entries {
		e, id := &entries[i], first+EntryID(i)
		n.forms = append(n.forms, form{slices.Clone(e.Ports), slices.Clone(e.Paths), e.Meaning})
		if e.isFingerprint() {
			n.fingerprints = append(n.fingerprints, id)
		}
		for _, name := range e.Hosts {
			group := n.hosts.at(name.String())
			*group = groups.with(*group, id)
		}
		for _, name := range e.Zones {
			group := n.zones.at(name.String())
			*group = groups.with(*group, id)
		}
	}
	n.groups = groups.list
	n.close(first)
	n.settle(share)
	n.hosts.seal()
	n.zones.seal()
	return n, nil
}

// close finds the closed groups.
func (n *Names) close(first EntryID) {
	n.closed = make([]bool, len(n.groups))
	for g, ids := range n.groups {
		n.closed[g] = slices.ContainsFunc(ids, func(id EntryID) bool { return n.forms[id-first].kind() == plain })
	}
}

// settle makes the places, and turns the numbers in both tables from groups into places.
func (n *Names) settle(share bool) {
	n.places = make([]place, len(n.groups))
	for _, t := range []*table{&n.hosts, &n.zones} {
		zone := t == &n.zones
		var own []*slot
		for i := range t.slots {
			s := &t.slots[i]
			if s.value == 0 {
				continue
			}
			if !share || !n.closed[s.value] {
				own = append(own, s)
			} else if p := &n.places[s.value]; p.group == 0 || p.zone == zone && s.text < p.key {
				*p = place{group: s.value, key: s.text, zone: zone}
			}
		}
		// In the order in which the names were listed, and not that of a hash that differs from run to run.
		slices.SortFunc(own, func(a, b *slot) int { return cmp.Compare(a.text, b.text) })
		for _, s := range own {
			n.places = append(n.places, place{group: s.value, key: s.text, zone: zone})
			s.value = uint32(len(n.places) - 1)
		}
	}
}

// link numbers the chains, so that a policy compiles each once and not for every name that has it.
func (n *Names) link() {
	numbers := make(map[string]uint32)
	var levels []level
	var key []byte
	for p := range n.places {
		at := &n.places[p]
		if at.group == 0 {
			continue
		}
		levels = appendLevels(levels[:0], n, none, n.keyOf(*at), at.zone)
		key = appendGroups(key[:0], levels)
		chain, ok := numbers[string(key)]
		if !ok {
			chain = uint32(len(n.chains))
			numbers[string(key)] = chain
			n.chains = append(n.chains, uint32(p))
		}
		at.chain = chain
	}
}

// keyOf returns the host or zone of a place.
func (n *Names) keyOf(p place) string {
	if p.zone {
		return n.zones.name(p.key)
	}
	return n.hosts.name(p.key)
}

// groupAt returns the group that is listed for a host or zone.
func (n *Names) groupAt(key string, zone bool) uint32 {
	t := &n.hosts
	if zone {
		t = &n.zones
	}
	return n.places[t.get(tagOf(key), key)].group
}
