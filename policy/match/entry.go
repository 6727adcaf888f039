package match

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
)

// EntryID is the index of an Entry in the slice that NewNames was given. NewIndex counts on from there.
type EntryID = uint32

// Entry is one endpoint of a catalogue, as far as matching goes. An entry with Paths and neither Hosts nor Zones is a
// fingerprint: it is found by [Index.Fingerprint] only, and must not have Ports. One with none of the three matches
// nothing, which is what an empty list file amounts to.
type Entry struct {
	Hosts, Zones []host.Name // zones are no addresses
	Ports        []PortRange // empty: every port
	Paths        []Pattern   // empty: every path

	// Meaning is the same number for entries that mean the same to the caller, also across NewNames and NewIndex. Such
	// entries fall into one class, whose Entries name the first of them only. So what must be told apart by class, such
	// as a fingerprint from an endpoint, needs another Meaning.
	Meaning uint32
}

// PortRange is a range of ports with both its ends.
type PortRange struct{ First, Last uint16 }

// EntryError says which entries cannot be indexed and why. NewNames and NewIndex return all such errors at once, joined.
type EntryError struct {
	Entries []EntryID // in order
	Reason  string    // lower case, without a full stop
}

func (e *EntryError) Error() string {
	ids := strings.Trim(fmt.Sprint(e.Entries), "[]")
	if len(e.Entries) == 1 {
		return "entry " + ids + ": " + e.Reason
	}
	return "entries " + strings.ReplaceAll(ids, " ", ", ") + ": " + e.Reason
}

// check returns all that is wrong with an entry.
func (e *Entry) check(id EntryID) error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, &EntryError{[]EntryID{id}, fmt.Sprintf(format, args...)})
	}
	for _, n := range e.Hosts {
		if n.IsZero() {
			fail("a host without a name")
		}
	}
	for _, n := range e.Zones {
		switch {
		case n.IsZero():
			fail("a zone without a name")
		case n.IsAddr():
			fail("zone %s is an address: list it as a host", n)
		}
	}
	for _, r := range e.Ports {
		if r.First > r.Last {
			fail("the port range %d-%d goes downwards", r.First, r.Last)
		}
	}
	for _, p := range e.Paths {
		if p.text == "" {
			fail("a path pattern that ParsePattern did not make")
		}
	}
	if e.isFingerprint() && len(e.Ports) > 0 {
		fail("a fingerprint with ports: it is matched by its path alone")
	}
	return errors.Join(errs...)
}

func (e *Entry) isFingerprint() bool {
	return len(e.Hosts) == 0 && len(e.Zones) == 0 && len(e.Paths) > 0
}

// kind is how specific an entry is among those of the same host or zone, the most specific first.
type kind uint8

const (
	byPortAndPath kind = iota
	byPort
	byPath
	plain
	kinds
)

// form is what remains of an entry once its names are indexed.
type form struct {
	ports   []PortRange
	paths   []Pattern
	meaning uint32
}

func (f *form) kind() kind {
	switch {
	case len(f.ports) > 0 && len(f.paths) > 0:
		return byPortAndPath
	case len(f.ports) > 0:
		return byPort
	case len(f.paths) > 0:
		return byPath
	}
	return plain
}

func (f *form) fitsPort(port uint16) bool {
	for _, r := range f.ports {
		if r.First <= port && port <= r.Last {
			return true
		}
	}
	return len(f.ports) == 0
}

func (f *form) fitsPath(path string) bool { return matchesAny(f.paths, path) || len(f.paths) == 0 }

func matchesAny(patterns []Pattern, path string) bool {
	for i := range patterns {
		if patterns[i].Match(path) {
			return true
		}
	}
	return false
}
