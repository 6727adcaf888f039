package match

import (
	"github.com/gracegate/gracegate/policy/host"
)

// ClassID is the number of a class within one Index.
type ClassID uint32

// Unmatched is the class of what no entry matches.
const Unmatched ClassID = 0

// Class is what a name and a port, and where needed a path, amount to. Two endpoints for which entries of the same
// meanings count, under the same conditions, have the same class.
type Class struct {
	// Entries has, for each meaning that counts, the first entry of that meaning, sorted. It is empty for Unmatched, and
	// where the path decides. Which entries matched a given name is told by [Index.Explain].
	Entries []EntryID
	// Outcomes has every class that Path can return, sorted, Unmatched perhaps among them. It is nil if the path is not
	// needed to tell. A listed outcome may be impossible; one that is possible is always listed.
	Outcomes []ClassID
}

// Index finds classes. It is read-only, and all its methods may be called at once from many goroutines.
type Index struct {
	base, extra     *Names
	baseAt, extraAt []target // by place
	ports           [][]portSpan

	classes      []class
	unions       map[[2]uint32]uint32 // a set of meanings and a meaning -> the set of both
	unionClass   []ClassID            // by set of meanings
	fingerprints step
}

// target is what a place leads to: a ClassID, or with byPortFlag set the index of a list of port spans.
type target uint32

const byPortFlag target = 1 << 31

// portSpan is a range of ports, from behind that of the span before it to last, and the class that they have.
type portSpan struct {
	last  uint16
	class ClassID
}

// class is a Class as Path needs it.
type class struct {
	Class
	steps []step
	rest  ClassID // if no step fits
}

// step is a set of entries that are equal in specificity and depend on the path.
type step []arm

// arm is the entries of one meaning in a step, each without its other properties.
type arm struct {
	meaning  uint32
	patterns []Pattern
}

// NewIndex lays extra entries, an operator's own, over those of a catalogue. Their ids continue after the catalogue's. An
// extra entry is a candidate like any other: it wins only by being more specific, and unites with its equals. base may
// be nil. Its names cost nothing here, except that those whose entries all have ports or paths are compared with extra's
// zones.
// The error is one or more joined [EntryError]s.
func NewIndex(base *Names, extra []Entry) (*Index, error) {
	if base == nil {
		base = none
	}
	over, err := newNames(extra, EntryID(len(base.forms)), false)
	if err != nil {
		return nil, err
	}
	x := &Index{base: base, extra: over}
	if err := newCompiler(x).compile(); err != nil {
		return nil, err
	}
	return x, nil
}

// Lookup returns the class of a name and a port before any path is seen: Unmatched, a class with Entries, or one with
// Outcomes. A port that is not known is 0 and fits no range of ports but those that list 0. It does not allocate.
func (x *Index) Lookup(n host.Name, port uint16) ClassID {
	t := x.find(n.String())
	if t&byPortFlag == 0 {
		return ClassID(t)
	}
	spans := x.ports[t&^byPortFlag]
	for spans[0].last < port {
		spans = spans[1:]
	}
	return spans[0].class
}

// find returns the target of the most specific place for a name.
func (x *Index) find(name string) target {
	tag := tagOf(name)
	if p := x.extra.hosts.get(tag, name); p != 0 {
		return x.extraAt[p]
	}
	if p := x.base.hosts.get(tag, name); p != 0 {
		return x.baseAt[p]
	}
	// At equal length extra comes first: its places know of base's entries for the same zone, but not the other way round.
	over, under := longest(name, &x.extra.zones, &x.base.zones)
	if over != 0 {
		return x.extraAt[over]
	}
	return x.baseAt[under]
}

// Path narrows a class that Lookup returned, now that the path is seen: the path is one that [CleanPath] returned. A
// class without Outcomes is returned as it is. It does not allocate.
func (x *Index) Path(c ClassID, path string) ClassID {
	k := &x.classes[c]
	if k.steps == nil {
		return c
	}
	for _, s := range k.steps {
		if u := x.unite(s, path); u != Unmatched {
			return u
		}
	}
	return k.rest
}

// Fingerprint returns the class of the fingerprints that match a cleaned path, whatever the name and port; Unmatched if
// there is none. It does not allocate.
func (x *Index) Fingerprint(path string) ClassID { return x.unite(x.fingerprints, path) }

// unite returns the class of those arms of a step that fit a path, Unmatched if none does.
func (x *Index) unite(s step, path string) ClassID {
	var set uint32
	for i := range s {
		if matchesAny(s[i].patterns, path) {
			set = x.unions[[2]uint32{set, s[i].meaning}]
		}
	}
	return x.unionClass[set]
}

// NumClasses returns the number of classes, Unmatched included. Their ids are 0 up to it.
func (x *Index) NumClasses() int { return len(x.classes) }

// Class returns a class. The caller must not change its slices.
func (x *Index) Class(c ClassID) Class { return x.classes[c].Class }
