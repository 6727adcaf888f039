package match

import (
	"iter"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
)

// Listed is a host, or a zone, and where a search for it ends. A zone stands here for the names below it that nothing more
// specific lists; for the name itself, should no host be listed for it.
type Listed struct {
	Key  string // canonical text
	Zone bool
	at   target
}

// Name returns the host or zone as a name that shares no memory with the index.
func (l Listed) Name() host.Name {
	n, err := host.Parse(strings.Clone(l.Key))
	if err != nil {
		panic("match: a listed name is not canonical: " + err.Error()) // Parse made it
	}
	return n
}

// Listed yields every host and every zone that an entry lists, each once, in no order. It takes time in proportion to their
// number.
func (x *Index) Listed() iter.Seq[Listed] {
	return func(yield func(Listed) bool) {
		for _, of := range []struct {
			t, over *table // over: what is listed there too is found there
			targets []target
			zone    bool
		}{
			{&x.extra.hosts, nil, x.extraAt, false},
			{&x.extra.zones, nil, x.extraAt, true},
			{&x.base.hosts, &x.extra.hosts, x.baseAt, false},
			{&x.base.zones, &x.extra.zones, x.baseAt, true},
		} {
			for i := range of.t.slots {
				s := &of.t.slots[i]
				if s.value == 0 {
					continue
				}
				key := of.t.name(s.text)
				if of.over != nil && of.over.get(s.tag, key) != 0 {
					continue
				}
				if !yield(Listed{key, of.zone, of.targets[s.value]}) {
					return
				}
			}
		}
	}
}

// At finds a host, or the names below a zone that nothing lists, which need not be listed themselves.
func (x *Index) At(n host.Name, zone bool) Listed {
	l := Listed{Key: n.String(), Zone: zone}
	if !zone {
		l.at = x.find(l.Key)
	} else if over, under := longest(l.Key, &x.extra.zones, &x.base.zones); over != 0 {
		l.at = x.extraAt[over]
	} else {
		l.at = x.baseAt[under]
	}
	return l
}

// Classes yields the classes that Lookup returns there, each for some port. It may yield one more than once.
func (x *Index) Classes(l Listed) iter.Seq[ClassID] {
	return func(yield func(ClassID) bool) {
		if l.at&byPortFlag == 0 {
			yield(ClassID(l.at))
			return
		}
		for _, span := range x.ports[l.at&^byPortFlag] {
			if !yield(span.class) {
				return
			}
		}
	}
}

// Candidates returns the entries that can match there, whatever the port and path, in order.
func (x *Index) Candidates(l Listed) []EntryID {
	var ids []EntryID
	for _, level := range appendLevels(nil, x.base, x.extra, l.Key, l.Zone) {
		ids = append(ids, x.entries(level)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
