package match

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

// twin is the rule of the package comment as a linear scan: simple and slow.
type twin []Entry

// match returns the entries that count for a name, a port and a path that is seen.
func (entries twin) match(n host.Name, port uint16, path string) []EntryID {
	for _, level := range levelsOf(n) {
		for _, want := range []struct{ ports, paths bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
			var equal []EntryID
			for i, e := range entries {
				names := e.Hosts
				if level.zone {
					names = e.Zones
				}
				if slices.Contains(names, level.name) && want.ports == (len(e.Ports) > 0) && want.paths == (len(e.Paths) > 0) &&
					(!want.ports || slices.ContainsFunc(e.Ports, func(r PortRange) bool { return r.First <= port && port <= r.Last })) &&
					(!want.paths || slices.ContainsFunc(e.Paths, func(p Pattern) bool { return p.Match(path) })) {
					equal = append(equal, EntryID(i))
				}
			}
			if equal != nil {
				return equal
			}
		}
	}
	return nil
}

func (entries twin) fingerprints(path string) []EntryID {
	var ids []EntryID
	for i, e := range entries {
		if e.Hosts == nil && e.Zones == nil && slices.ContainsFunc(e.Paths, func(p Pattern) bool { return p.Match(path) }) {
			ids = append(ids, EntryID(i))
		}
	}
	return ids
}

type twinLevel struct {
	name host.Name
	zone bool
}

// levelsOf returns the host and the zones by which a name can match, the most specific first.
func levelsOf(n host.Name) []twinLevel {
	list := []twinLevel{{n, false}}
	for zone, ok := n, !n.IsAddr() && !n.IsZero(); ok; zone, ok = zone.Parent() {
		list = append(list, twinLevel{zone, true})
	}
	return list
}

// meanings returns the meanings of entries, sorted.
func (entries twin) meanings(ids []EntryID) []uint32 {
	list := []uint32{}
	for _, id := range ids {
		list = append(list, entries[id].Meaning)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// compare checks everything that the index says of a name, a port and a path.
func (entries twin) compare(t *testing.T, x *Index, n host.Name, port uint16, path string) {
	t.Helper()
	what := fmt.Sprintf("%s:%d%s", n, port, path)
	matched := entries.match(n, port, path)
	want := entries.meanings(matched)

	byName := x.Lookup(n, port)
	byPath := x.Path(byName, path)
	class, final := x.Class(byName), x.Class(byPath)
	if got := entries.meanings(final.Entries); !slices.Equal(got, want) {
		t.Errorf("%s: means %v, its twin: %v by %v", what, got, want, matched)
	}
	if len(final.Entries) != len(want) || !slices.IsSorted(final.Entries) || final.Outcomes != nil {
		t.Errorf("%s: class %d after the path is %+v", what, byPath, final)
	}
	switch {
	case class.Outcomes == nil && byPath != byName:
		t.Errorf("%s: the path narrows class %d without outcomes to %d", what, byName, byPath)
	case class.Outcomes != nil && (!slices.Contains(class.Outcomes, byPath) || class.Entries != nil || len(class.Outcomes) < 2):
		t.Errorf("%s: the path narrows %+v to %d", what, class, byPath)
	}
	if x.Path(byPath, "/other") != byPath {
		t.Errorf("%s: a second path narrows class %d", what, byPath)
	}

	var explained, possible []EntryID
	for _, hit := range x.Explain(n, port, path) {
		explained = append(explained, hit.Entry)
		if !n.Within(host.MustParse(hit.Key)) && hit.Zone || n.String() != hit.Key && !hit.Zone {
			t.Errorf("%s: explained by %+v", what, hit)
		}
	}
	for _, hit := range x.Explain(n, port, "") {
		possible = append(possible, hit.Entry)
	}
	if !slices.Equal(explained, matched) {
		t.Errorf("%s: explained by %v, its twin: %v", what, explained, matched)
	}
	for _, id := range matched {
		if !slices.Contains(possible, id) {
			t.Errorf("%s: %v are possible without the path, and %v match", what, possible, matched)
		}
	}

	prints := entries.fingerprints(path)
	if got := entries.meanings(x.Class(x.Fingerprint(path)).Entries); !slices.Equal(got, entries.meanings(prints)) {
		t.Errorf("fingerprints of %s mean %v, their twin: %v", path, got, prints)
	}
	if got := x.ExplainFingerprint(path); !slices.Equal(got, prints) {
		t.Errorf("fingerprints of %s are %v, their twin: %v", path, got, prints)
	}
}

// world makes small random catalogues in which names, ports and paths meet often.
type world struct{ *rand.Rand }

func pick[T any](w world, list ...T) T { return list[w.IntN(len(list))] }

func (w world) name() host.Name {
	s := pick(w, "a", "b", "com")
	for range w.IntN(4) {
		s = pick(w, "a", "b", "aa") + "." + s
	}
	if w.IntN(12) == 0 {
		s = pick(w, "10.1.2.3", "2001:db8::1")
	}
	return host.MustParse(s)
}

func (w world) zone() host.Name {
	for {
		if n := w.name(); !n.IsAddr() {
			return n
		}
	}
}

func (w world) port() uint16 { return pick[uint16](w, 0, 1, 79, 80, 81, 443, 444, 65534, 65535) }

func (w world) path() string {
	s := "/"
	for range w.IntN(4) {
		s += pick(w, "a", "b", "a/", "b/")
	}
	return s
}

func (w world) entry() Entry {
	e := Entry{Meaning: uint32(w.IntN(5))}
	if w.IntN(3) == 0 {
		for range 1 + w.IntN(2) {
			a, b := w.port(), w.port()
			e.Ports = append(e.Ports, PortRange{min(a, b), max(a, b)})
		}
	}
	if w.IntN(3) == 0 {
		for range 1 + w.IntN(2) {
			p, err := ParsePattern(pick(w, "/**", "/*", "/a*", "/a/**", "/b/**", "/?", "/**b", "/[ab]/"))
			if err != nil {
				panic(err)
			}
			e.Paths = append(e.Paths, p)
		}
	}
	for range w.IntN(3) {
		e.Hosts = append(e.Hosts, w.name())
	}
	for range w.IntN(3) {
		e.Zones = append(e.Zones, w.zone())
	}
	if e.Hosts == nil && e.Zones == nil {
		e.Ports = nil // a fingerprint, or nothing
	}
	return e
}

// run compares one random catalogue with an operator's entries over it, and another policy's over the same Names.
func (w world) run(t *testing.T) {
	t.Helper()
	var base []Entry
	for range w.IntN(14) {
		base = append(base, w.entry())
	}
	names, err := NewNames(base)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var extra []Entry
		for range w.IntN(5) {
			extra = append(extra, w.entry())
		}
		x, err := NewIndex(names, extra)
		if err != nil {
			t.Fatal(err)
		}
		all := twin(slices.Concat(base, extra))
		for range 40 {
			all.compare(t, x, w.name(), w.port(), w.path())
		}
		all.compareListed(t, x, w)
		if t.Failed() {
			t.Fatalf("base %+v\nextra %+v", base, extra)
		}
	}
}

func TestTwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		world{rand.New(rand.NewPCG(seed, 1))}.run(t)
	}
}

// The fuzzer's part is to go on where TestTwin stops: its numbers are seeds, and not worth minimising.
func FuzzTwin(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { world{rand.New(rand.NewPCG(a, b))}.run(t) })
}
