package match

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

func TestSelections(t *testing.T) {
	t.Parallel()
	s := NewSelections([]Selector{
		{Hosts: hosts("a.upd.example.com", "10.1.2.3")},
		{Zones: hosts("upd.example.com")},
		{},
		{Zones: hosts("example.com", "example.com"), Hosts: hosts("10.1.2.3", "example.com")},
		{Zones: hosts("org", "10.1.2.4"), Hosts: []host.Name{{}}},
		{Zones: []host.Name{{}}},
	})
	for name, want := range map[string][]int{
		"a.upd.example.com":   {0, 1, 3},
		"b.a.upd.example.com": {1, 3},
		"b.upd.example.com":   {1, 3},
		"upd.example.com":     {1, 3},
		"example.com":         {3},
		"www.example.com":     {3},
		"notexample.com":      nil,
		"com":                 nil,
		"a.org":               {4},
		"10.1.2.3":            {0, 3},
		"10.1.2.4":            nil,
	} {
		if got := s.Set(s.Lookup(host.MustParse(name))); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if got := s.Lookup(host.Name{}); got != 0 {
		t.Errorf("no name: set %d", got)
	}
	if got := NewSelections(nil); got.NumSets() != 1 || got.Lookup(host.MustParse("a")) != 0 || got.Set(0) != nil {
		t.Errorf("no selectors: %+v", got)
	}
}

func TestSelectionsTwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		w := world{rand.New(rand.NewPCG(seed, 3))}
		var selectors []Selector
		for range w.IntN(8) {
			e := w.entry()
			selectors = append(selectors, Selector{e.Hosts, e.Zones})
		}
		s := NewSelections(selectors)
		for range 30 {
			n := w.name()
			var want []int
			for i, selector := range selectors {
				if slices.Contains(selector.Hosts, n) || slices.ContainsFunc(selector.Zones, n.Within) {
					want = append(want, i)
				}
			}
			id := s.Lookup(n)
			if got := s.Set(id); !slices.Equal(got, want) || int(id) >= s.NumSets() {
				t.Fatalf("%s: got set %d %v, want %v of %v", n, id, got, want, selectors)
			}
			if n.IsAddr() {
				continue
			}
			// No selector of this world names anything below "zz".
			if got, want := s.Below(n), s.Lookup(host.MustParse("zz."+n.String())); got != want {
				t.Fatalf("below %s: got set %d, want %d of %v", n, got, want, selectors)
			}
		}
	}
}
