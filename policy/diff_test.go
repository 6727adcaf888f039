package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A policy does not differ from itself, nor from the same one compiled anew.
func TestDiffWithItselfIsEmpty(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		w := newWorld(seed)
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		again := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		for _, other := range []*Policy{p, again} {
			if changes := Diff(p, other); len(changes) > 0 {
				t.Fatalf("seed %d: %d changes, the first from %s: %s, then %s", seed, len(changes), changes[0].From, changes[0].Old.State, changes[0].New.State)
			}
		}
	}
}

// The dull twin of Diff: at random instants, random flows are asked of both. What differs there must be in the diff, and what is in
// the diff must differ.
func TestDiffIsWhatDiffers(t *testing.T) {
	t.Parallel()
	differ, same := 0, 0
	for seed := range uint64(80) {
		w, v := newWorld(seed), newWorld(seed)
		if v.Rand = rand.New(rand.NewPCG(seed, 3)); seed%3 == 0 {
			v = newWorld(seed + 1000)
		} else {
			v.op = v.operator()
		}
		old, new := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon), mustCompile(t, v.vendors, v.restrictions, v.op, v.horizon)
		changes := Diff(old, new)
		s, all := &destinations{policies: []*Policy{old, new}}, Destinations(old, new)
		for range 40 {
			f, at := w.facts(), w.instant().At.Add(time.Duration(w.IntN(3)-1))
			if f.Authority.IsAddr() {
				f.Port, f.Path = 443, "" // without a name it matters which protocol it is
			}
			asker := Asker{Client: f.Client, User: f.User, MAC: f.MAC}
			if key := s.key(&Destination{Host: f.Authority, Port: f.Port, Path: f.Path}); !slices.ContainsFunc(all, func(d Destination) bool { return s.key(&d) == key }) {
				f.Path = "" // it makes no difference there, other than that requests need nothing more to be seen
			}
			to := Destination{Host: f.Authority, Port: f.Port, Path: f.Path}
			*f = to.Facts(&asker)
			a, b := old.Decide(at, f), new.Decide(at, f)
			listed := differs(old, new, changes, f, at)
			if alike(&a, &b) == listed {
				t.Fatalf("seed %d, %s, client %s %q %q, %s:%d%s: %s (%v) and then %s (%v), in the diff: %v",
					seed, at, f.Client, f.User, f.MAC, f.Authority, f.Port, f.Path, a.State, a.Cause(), b.State, b.Cause(), listed)
			}
			if listed {
				differ++
			} else {
				same++
			}
		}
	}
	if differ < 300 || same < 300 {
		t.Errorf("%d flows differ and %d do not: the worlds are too alike to tell, or too different", differ, same)
	}
}

// differs tells whether a change holds at an instant for the asker and the destination that stand for a flow in both policies.
func differs(old, new *Policy, changes []Change, f *Facts, at time.Time) bool {
	s := &destinations{policies: []*Policy{old, new}}
	want := s.key(&Destination{Host: f.Authority, Port: f.Port, Path: f.Path})
	for i := range changes {
		c := &changes[i]
		if at.Before(c.From) || !c.Until.IsZero() && !at.Before(c.Until) {
			continue
		}
		for _, a := range c.Askers {
			g := Facts{Client: a.Client, User: a.User, MAC: a.MAC}
			if old.scopes.index(&g) != old.scopes.index(f) || new.scopes.index(&g) != new.scopes.index(f) {
				continue
			}
			for d := range c.Destinations {
				if s.key(&c.Destinations[d]) == want {
					return true
				}
			}
		}
	}
	return false
}
