package match

import (
	"maps"
	"slices"
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

// compareListed checks that every name is listed that entries list, with what Lookup says of it.
func (entries twin) compareListed(t *testing.T, x *Index, w world) {
	t.Helper()
	want := make(map[twinLevel]bool)
	for _, e := range entries {
		for _, n := range e.Hosts {
			want[twinLevel{n, false}] = true
		}
		for _, n := range e.Zones {
			want[twinLevel{n, true}] = true
		}
	}
	got := make(map[twinLevel]bool)
	for l := range x.Listed() {
		at := twinLevel{l.Name(), l.Zone}
		if got[at] {
			t.Errorf("%+v is listed twice", at)
		}
		got[at] = true
		if again := x.At(at.name, at.zone); again != l {
			t.Errorf("%+v is listed as %+v, and found as %+v", at, l, again)
		}
		entries.compareAt(t, x, l, w)
	}
	if !maps.Equal(got, want) {
		t.Errorf("listed are %v, want %v", got, want)
	}
	for range 10 {
		n := w.zone()
		entries.compareAt(t, x, x.At(n, w.IntN(2) == 0), w)
	}
}

// compareAt checks what is said of a host, or of the names below a zone: for these stands one that nothing in this world lists.
func (entries twin) compareAt(t *testing.T, x *Index, l Listed, w world) {
	t.Helper()
	n := l.Name()
	if l.Zone {
		n = host.MustParse("zz." + l.Key)
	}
	var want []ClassID
	for _, port := range []uint16{0, 1, 2, 79, 80, 81, 82, 443, 444, 445, 65534, 65535} { // where ranges of this world begin
		if c := x.Lookup(n, port); len(want) == 0 || want[len(want)-1] != c {
			want = append(want, c)
		}
	}
	if got := slices.Collect(x.Classes(l)); !slices.Equal(got, want) {
		t.Errorf("%s (zone %t): classes %v, looking them up finds %v", l.Key, l.Zone, got, want)
	}
	candidates := x.Candidates(l)
	for range 5 {
		port, path := w.port(), w.path()
		for _, id := range entries.match(n, port, path) {
			if !slices.Contains(candidates, id) {
				t.Errorf("%s:%d%s (zone %t): entry %d matches, and is none of %v", l.Key, port, path, l.Zone, id, candidates)
			}
		}
	}
	for _, id := range candidates {
		if e := entries[id]; !slices.Contains(e.Hosts, n) && !slices.ContainsFunc(e.Zones, n.Within) {
			t.Errorf("%s (zone %t): entry %d is no candidate", l.Key, l.Zone, id)
		}
	}
}
