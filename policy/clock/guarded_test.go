package clock

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSetBackAYear(t *testing.T) {
	t.Parallel()
	r := newRig(t, Synchronised).start()
	r.is("at the start", Trusted, now)
	r.k.set(-year)
	r.is("at once", SetBack, now)
	r.tick()
	r.pass(3 * time.Hour)
	r.is("later: deadlines still come, whatever the kernel says", SetBack, now.Add(3*time.Hour))

	r.start()
	r.is("after a restart", SetBack, now.Add(3*time.Hour))
	r.k.pass(time.Hour)
	r.start()
	r.is("after an hour off", SetBack, now.Add(4*time.Hour))
	r.k.reboot(0)
	r.k.says(Synchronised)
	r.start()
	r.is("after a new start of the machine", SetBack, now.Add(4*time.Hour))

	r.k.set(year - time.Minute)
	r.is("set right, but for a minute", Trusted, now.Add(4*time.Hour))
	r.pass(61 * time.Second)
	r.is("the wall clock has caught up", Trusted, r.wall())
	want := []string{"first-start", "set-back", "set-back", "set-back", "set-back", "trusted"}
	if got := r.kinds(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestForwardAYear(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		then func(r *rig)
		// after an hour
		state  State
		policy func(r *rig) time.Time
	}{
		{"nobody vouches", func(r *rig) { r.k.says(NotSynchronised) }, Unconfirmed, func(*rig) time.Time { return now.Add(2 * time.Hour) }},
		{"the kernel does not say", func(r *rig) { r.k.says(SyncUnknown) }, Unconfirmed, func(*rig) time.Time { return now.Add(2 * time.Hour) }},
		{"the kernel goes on to say so", func(*rig) {}, Trusted, (*rig).wall},
		{"set back after five minutes", func(r *rig) { r.pass(5 * time.Minute); r.k.set(-year) }, Trusted, (*rig).wall},
		{"and another day", func(r *rig) { r.pass(5 * time.Minute); r.k.says(NotSynchronised); r.k.set(day) }, Unconfirmed, func(*rig) time.Time { return now.Add(2*time.Hour + 5*time.Minute) }},
		{"the operator accepts", func(r *rig) {
			if err := r.g.Accept("it is 2027", "ops"); err != nil {
				r.t.Error(err)
			}
		}, Trusted, (*rig).wall},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Synchronised).start()
			r.pass(time.Hour)
			r.k.set(year)
			r.is("at once", Unconfirmed, now.Add(time.Hour))
			r.tick()
			r.is("a second later", Unconfirmed, now.Add(time.Hour))
			tt.then(r)
			r.pass(time.Hour)
			r.is("later", tt.state, tt.policy(r))
		})
	}
}

// One wrong answer of a time server, which the kernel takes for right for some minutes, does not move the mark.
func TestOneWrongAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, Synchronised).start()
	r.pass(time.Hour)
	for range 3 {
		r.k.set(10 * year)
		r.pass(9 * time.Minute)
		r.k.set(-10 * year)
		r.pass(time.Minute)
		r.is("set right", Trusted, r.wall())
	}
}

// A kernel that was not synchronised before the jump has not contradicted itself.
func TestSynchronisedAtLast(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{time.Hour, 40 * year} {
		r := newRig(t, Synchronised).start()
		r.k.reboot(10 * time.Minute)
		r.start()
		r.is("the machine is on again", Unconfirmed, now)
		r.k.set(off)
		r.k.says(Synchronised)
		r.tick()
		r.is("synchronised", Trusted, r.wall())
	}
}

// What it said of earlier steps does not matter.
func TestSynchronisedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, Synchronised).start()
	r.k.set(time.Minute)
	r.tick()
	r.k.says(NotSynchronised)
	r.pass(time.Hour)
	r.k.set(day)
	r.tick()
	r.is("jumped", Unconfirmed, now.Add(time.Hour+time.Minute))
	r.k.says(Synchronised)
	r.tick()
	r.is("synchronised", Trusted, r.wall())
}

func TestSmallSteps(t *testing.T) {
	t.Parallel()
	r := newRig(t, NotSynchronised).start()
	if err := r.g.Accept("set by hand", "ops"); err != nil {
		t.Fatal(err)
	}
	r.k.set(2 * time.Minute)
	r.is("forward", Trusted, now.Add(2*time.Minute))
	r.k.set(-2 * time.Minute)
	r.is("back: it stands still", Trusted, now.Add(2*time.Minute))
	r.pass(time.Minute)
	r.is("still", Trusted, now.Add(2*time.Minute))
	r.pass(time.Minute + time.Second)
	r.is("caught up", Trusted, r.wall())
	r.k.set(-90 * time.Second)
	r.is("that is more than five minutes together", SetBack, now.Add(2*time.Minute+time.Second))
	r.pass(2 * time.Hour)
	r.is("some has grown back", SetBack, now.Add(2*time.Hour+2*time.Minute+time.Second))
	r.pass(30 * time.Minute)
	r.is("enough", Trusted, r.g.high)
	r.pass(90 * time.Second)
	r.is("caught up again", Trusted, r.wall())
}

// Whoever sets the clock back a little over and over does not stop the time.
func TestCreepingBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, Synchronised).start()
	for range 3600 {
		r.k.pass(time.Second)
		r.k.set(-time.Second)
		r.tick()
	}
	if lost := now.Add(time.Hour).Sub(r.g.Now()); lost > small+time.Minute {
		t.Errorf("it lost %s in an hour", lost)
	}
}

func TestWithoutAMark(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		wall     time.Time
		sync     Sync
		damaged  bool
		state    State
		policy   time.Time
		then     time.Time     // the wall clock after that, the kernel synchronised
		thenIs   State         // and the state then
		thenBack time.Duration // by how much policy time is ahead of the wall clock then
	}{
		{"synchronised", now, Synchronised, false, Trusted, now, now, Trusted, 0},
		{"not synchronised", now, NotSynchronised, false, Unsynchronised, now, now, Trusted, 0},
		{"not synchronised, ten minutes ahead", now, NotSynchronised, false, Unsynchronised, now, now.Add(-10 * time.Minute), SetBack, 10 * time.Minute},
		{"unknown", now, SyncUnknown, false, Unsynchronised, now, now, Trusted, 0},
		{"the epoch", time.Unix(0, 0), NotSynchronised, false, SetBack, built, now, Trusted, 0},
		{"the epoch, synchronised: nonsense", time.Unix(0, 0), Synchronised, false, SetBack, built, now, Unconfirmed, built.Sub(now)},
		{"the last of 32 bits", time.Unix(1<<31-1, 0), NotSynchronised, false, Unsynchronised, time.Unix(1<<31-1, 0), time.Unix(1<<31-1, 0), Trusted, 0},
		{"after the last of 32 bits", time.Unix(1<<31, 0), Synchronised, false, Trusted, time.Unix(1<<31, 0), time.Unix(1<<31, 0), Trusted, 0},
		{"the year 9999", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), NotSynchronised, false, Unsynchronised, last, last, Trusted, 0},
		{"damaged", now, NotSynchronised, true, Unsynchronised, now, now, Trusted, 0},
		{"damaged, synchronised", now, Synchronised, true, Trusted, now, now, Trusted, 0},
		{"damaged, and set back", built.Add(-day), Synchronised, true, SetBack, built, built.Add(-day), SetBack, day},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, tt.sync)
			if tt.damaged {
				if err := os.WriteFile(r.file, []byte("{}"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r.k.setTo(tt.wall)
			r.start()
			r.is("at the start", tt.state, tt.policy)
			if first := r.told[0].Kind; tt.damaged != (first == Damaged) || !tt.damaged && first != FirstStart {
				t.Errorf("told first: %s", first)
			}
			r.k.setTo(tt.then)
			r.k.says(Synchronised)
			r.tick()
			r.is("after that", tt.thenIs, tt.then.Add(tt.thenBack))
		})
	}
}

// A mark from before the build (an old one, or one whose time was held for long) counts as the build.
func TestOldMark(t *testing.T) {
	t.Parallel()
	r := newRig(t, NotSynchronised)
	old := &mark{Version: markVersion, Time: built.Add(-year), Vouched: true}
	if err := writeMark(r.file, old); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.is("at the start", Unconfirmed, built)
	r.k.setTo(built.Add(-day))
	r.is("before the build", SetBack, built)
	if detail := r.g.Status().Detail; !strings.Contains(detail, "this program is of 2026-11-01 at the earliest") {
		t.Error(detail)
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	r := newRig(t, Synchronised).start()
	r.k.set(year)
	r.k.says(NotSynchronised)
	r.tick()
	_, _, untrusted := r.g.Read()
	if err := r.g.Accept("it is so", "ops"); err != nil {
		t.Fatal(err)
	}
	r.is("accepted ahead", Trusted, now.Add(year))
	_, _, before := r.g.Read()
	if before == untrusted {
		t.Error("it is trusted in the same turn")
	}
	r.k.set(-year)
	r.is("set back", SetBack, now.Add(year))
	if err := r.g.Accept("the year was wrong", "ops"); err != nil {
		t.Fatal(err)
	}
	r.is("accepted back", Trusted, now)
	if _, _, after := r.g.Read(); after == before {
		t.Error("the turn is the same")
	}
	e := r.told[len(r.told)-1]
	if e.Kind != Accepted || e.Detail != "the year was wrong" || e.By != "ops" || !e.Before.Equal(now.Add(year)) || !e.Policy.Equal(now) {
		t.Errorf("told %+v", e)
	}
	r.start()
	r.is("after a restart", Trusted, now)
	r.k.setTo(built.Add(-1))
	if err := r.g.Accept("no", "ops"); err == nil || !strings.Contains(err.Error(), "2026-10-31T23:59:59Z, and this program is of 2026-11-01 at the earliest") {
		t.Error(err)
	}
}

func TestBelieve(t *testing.T) {
	t.Parallel()
	r := newRig(t, Synchronised)
	g, err := New(Options{Built: built, Kernel: r.k, Believe: true})
	if err != nil {
		t.Fatal(err)
	}
	r.g = g
	r.tick()
	_, _, before := g.Read()
	for back := range 3 {
		r.k.set(-day)
		r.is("set back", SetBack, now.Add(-time.Duration(back+1)*day))
		_, _, turn := g.Read()
		if turn == before {
			t.Errorf("it went back for the %d. time in the same turn", back+1)
		}
		before = turn
	}
	r.k.set(3 * year)
	r.is("set forward", Unconfirmed, now.Add(3*year-3*day))
}

func TestSleep(t *testing.T) {
	t.Parallel()
	r := newRig(t, NotSynchronised).start()
	if err := r.g.Accept("set by hand", "ops"); err != nil {
		t.Fatal(err)
	}
	r.k.pass(30 * day) // asleep: nobody ticks, and time elapses
	r.is("awake", Trusted, now.Add(30*day))
}

// The mark is unwritable: told once, and once more when it is over.
func TestUnkept(t *testing.T) {
	t.Parallel()
	r := newRig(t, Synchronised)
	dir := r.file
	r.file += "/sub/clock"
	r.start()
	r.pass(3 * time.Minute)
	if s := r.g.Status(); s.Unkept == nil || !s.Mark.IsZero() {
		t.Errorf("%+v", s)
	}
	if err := os.MkdirAll(dir+"/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Minute)
	if s := r.g.Status(); s.Unkept != nil || !s.Mark.Equal(s.Policy) {
		t.Errorf("%+v", s)
	}
	if got, want := r.kinds(), []string{"first-start", "unkept", "kept"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// A clock that jumps to and fro costs bounded memory, and the operator's word is told all the same.
func TestManyEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, NotSynchronised).start()
	r.told = nil
	for i := range 1000 {
		r.k.set([]time.Duration{year, -year}[i%2])
		r.g.Now()
	}
	if err := r.g.Accept("enough", "ops"); err != nil {
		t.Fatal(err)
	}
	if n := len(r.told); n != maxEvents+1 || r.told[n-1].Kind != Accepted {
		t.Errorf("told %d: %q", n, r.kinds())
	}
}
