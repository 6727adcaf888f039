package clock

import (
	"strings"
	"testing"
	"time"
)

func withSource(t *testing.T, sync Sync) *rig {
	t.Helper()
	r := newRig(t, sync)
	r.source = &fakeSource{k: r.k}
	return r
}

// The second source vouches where the kernel does not, and at once where the kernel must wait.
func TestSourceAgrees(t *testing.T) {
	t.Parallel()
	r := withSource(t, NotSynchronised)
	r.source.is(59 * time.Second)
	r.start()
	r.is("at the start", Trusted, now)
	r.pass(90 * time.Minute)
	r.k.says(Synchronised)
	r.k.set(year)
	r.source.is(-30 * time.Second)
	r.is("at once", Unconfirmed, now.Add(90*time.Minute))
	r.tick()
	r.is("asked", Trusted, r.wall())
}

func TestSourceContradicts(t *testing.T) {
	t.Parallel()
	r := withSource(t, Synchronised)
	r.source.is(2 * time.Minute)
	r.start()
	r.is("at the start", Contradicted, now)
	if detail := r.g.Status().Detail; !strings.Contains(detail, "2m0s behind what ntp://second says") {
		t.Error(detail)
	}
	r.k.set(2 * time.Minute)
	r.tick()
	r.is("set right", Trusted, r.wall())
	if e := r.told[len(r.told)-1]; !strings.HasSuffix(e.Detail, "and ntp://second agrees again") {
		t.Error(e.Detail)
	}

	r.pass(2 * time.Hour)
	r.k.set(year)
	r.tick()
	r.pass(2 * time.Hour)
	r.is("the kernel's word does not count against it", Unconfirmed, now.Add(4*time.Hour+2*time.Minute))
	if detail := r.g.Status().Detail; !strings.Contains(detail, "it is 365d0h ahead of what ntp://second says") {
		t.Error(detail)
	}
	if err := r.g.Accept("it is wrong", "ops"); err != nil {
		t.Fatal(err)
	}
	r.is("accepted", Trusted, r.wall())
	r.pass(time.Hour)
	r.is("until it is asked the next time", Contradicted, r.wall())
}

// A source that does not answer leaves the kernel its word.
func TestSourceIsSilent(t *testing.T) {
	t.Parallel()
	r := withSource(t, NotSynchronised).start()
	r.is("at the start", Unsynchronised, now)
	if detail := r.g.Status().Detail; !strings.Contains(detail, "ntp://second does not answer (no route to host)") {
		t.Error(detail)
	}
	r.k.says(Synchronised)
	r.tick()
	r.is("synchronised", Trusted, now)
	r.k.reboot(time.Hour)
	r.k.says(Synchronised)
	r.start()
	r.is("another start", Trusted, r.wall())
}

// At the start the kernel's word counts once it is known whether the source contradicts it: the wall clock is not followed before.
func TestSourceIsAskedFirst(t *testing.T) {
	t.Parallel()
	r := withSource(t, Synchronised)
	r.source.is(0)
	r.start()
	r.k.reboot(year)
	r.k.says(Synchronised)
	r.source.is(-year)
	r.start()
	r.is("a year ahead", Unconfirmed, now)
	r.pass(time.Hour)
	r.is("later", Unconfirmed, now.Add(time.Hour))
}

func TestHowOftenTheSourceIsAsked(t *testing.T) {
	t.Parallel()
	r := withSource(t, Synchronised)
	r.source.is(0)
	r.start()
	asked := func(what string, d time.Duration, want int) {
		t.Helper()
		r.source.asked = 0
		if r.pass(d); r.source.asked != want {
			t.Errorf("%s: asked %d times in %s, want %d", what, r.source.asked, d, want)
		}
	}
	asked("trusted", 6*time.Hour, 6)
	r.k.set(-year)
	asked("set back", 15*time.Minute, 15)
	for range 100 {
		r.k.set(year)
		r.k.set(-year)
		r.tick()
	}
	if r.source.asked > 16 {
		t.Errorf("a clock that flutters: asked %d times", r.source.asked)
	}
	r.k.set(year)
	asked("right again", 6*time.Hour, 6)
}
