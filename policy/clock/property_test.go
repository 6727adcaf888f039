package clock

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// walk does to a clock whatever may happen to one, in any order, and looks at policy time after each.
type walk struct {
	*rig
	rnd  *rand.Rand
	last time.Time     // policy time, as it last was
	at   time.Duration // elapsed then, over all starts of the machine
	real time.Duration // elapsed in all

	passed map[time.Time]bool // boundaries, and whether they have passed
}

func newWalk(t *testing.T, seed uint64, sync Sync) *walk {
	t.Helper()
	w := &walk{rig: withSource(t, sync), rnd: rand.New(rand.NewPCG(seed, 1)), passed: map[time.Time]bool{}}
	for range 100 {
		w.passed[now.Add(w.any(2*year)-year/4)] = false
	}
	w.start()
	w.last = w.g.Now()
	return w
}

// any is a duration below a limit, small ones as likely as large ones.
func (w *walk) any(limit time.Duration) time.Duration {
	return time.Duration(w.rnd.Int64N(int64(limit>>w.rnd.IntN(40)) + 1))
}

func (w *walk) elapse(d time.Duration) {
	w.k.pass(d)
	w.real += d
}

// step does one thing, and tells what. Excused is whether policy time may be earlier after it.
func (w *walk) step(vouch bool) (what string, excused bool) {
	switch w.rnd.IntN(13) {
	case 0:
		w.k.set(-w.any(2 * year))
		return "set back", false
	case 1:
		w.k.set(w.any(2 * year))
		return "set forward", false
	case 2:
		w.k.setTo([]time.Time{time.Unix(0, 0), time.Unix(1<<31, 0), first, now.AddDate(73, 0, 0), now}[w.rnd.IntN(5)])
		return "set to nonsense", false
	case 3:
		_ = w.g.keep()
		w.start()
		return "restart", false
	case 4:
		_ = w.g.keep()
		w.k.reboot(w.any(year))
		w.start()
		return "another start of the machine", false
	case 5:
		if vouch {
			w.k.says(Sync(w.rnd.IntN(3)))
		}
		return "the kernel says something else", false
	case 6:
		if vouch {
			w.source.is(w.any(4*year) - year)
		}
		return "the second source says something else", false
	case 7:
		w.source.line = nil
		return "the second source falls silent", false
	case 8:
		if vouch {
			return "accepted", w.g.Accept("so it is", "ops") == nil
		}
	case 9:
		m, _, err := loadMark(w.file)
		if err != nil {
			w.t.Fatal(err)
		}
		w.start()
		if kept := m.at(w.k.boot, w.k.elapsed); w.g.Now().Before(kept) {
			w.t.Fatalf("killed and started: policy time is %s, and %s was kept", w.g.Now(), kept)
		}
		return "killed and started", true
	}
	w.elapse(w.any(day))
	if w.rnd.IntN(3) > 0 {
		w.g.tick(context.Background())
	}
	return "time elapses", false
}

// Whatever happens, policy time never goes back but by the operator's word, what has passed stays passed, and deadlines come.
func TestNeverBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		w := newWalk(t, seed, Sync(seed%3))
		for i := range 300 {
			what, excused := w.step(true)
			policy := w.g.Now()
			if excused {
				w.last, w.at = policy, w.real
				for at := range w.passed {
					w.passed[at] = !policy.Before(at)
				}
			}
			if policy.Before(w.last) {
				t.Fatalf("seed %d, step %d: %s: policy time is %s after %s", seed, i, what, policy, w.last)
			}
			// What small steps back may take, and a start of the machine, which grants them anew.
			lost := w.last.Add(w.real - w.at).Sub(policy)
			if lost > 2*small+(w.real-w.at)/288 {
				t.Fatalf("seed %d, step %d: %s: policy time lost %s of %s", seed, i, what, lost, w.real-w.at)
			}
			for at, was := range w.passed {
				is := !policy.Before(at)
				if was && !is {
					t.Fatalf("seed %d, step %d: %s: %s has not passed any more at %s", seed, i, what, at, policy)
				}
				w.passed[at] = is
			}
			w.last, w.at = policy, w.real
		}
	}
}

// Where nobody vouches for it, no wall clock moves policy time further than time elapses, but for small steps.
func TestNeverFarAhead(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		w := newWalk(t, seed, NotSynchronised)
		starts := 1
		for i := range 300 {
			what, _ := w.step(false)
			if strings.Contains(what, "start") {
				starts++ // each grants small steps anew
			}
			most := now.Add(w.real + w.real/288 + 2*small*time.Duration(starts))
			if policy := w.g.Now(); policy.After(most) {
				t.Fatalf("seed %d, step %d: %s: policy time is %s, at most %s is due", seed, i, what, policy, most)
			}
		}
	}
}

// Whatever has happened, a clock that is right and not behind policy time is trusted before long: nothing is blocked early for good
// by a jump that nobody vouched for.
func TestRightAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		w := newWalk(t, seed, Sync(seed%3))
		for range 100 {
			w.step(true)
		}
		w.k.setTo(w.g.Now().Add(w.any(year)))
		w.source.is(0)
		w.k.says(Synchronised)
		for range 20 {
			w.elapse(time.Minute)
			w.tick()
		}
		if s := w.g.Status(); s.State != Trusted || !s.Policy.Equal(s.Wall) {
			t.Errorf("seed %d: %+v", seed, s)
		}
	}
}
