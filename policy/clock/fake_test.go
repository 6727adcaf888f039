package clock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// built is when the program under test was.
var built = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// now is when the tests begin.
var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// fakeKernel is a machine whose clocks a test moves.
type fakeKernel struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
	sync    Sync
	boot    string
}

func newKernel(sync Sync) *fakeKernel {
	return &fakeKernel{wall: now, elapsed: time.Hour, sync: sync, boot: "first"}
}

func (k *fakeKernel) Read() Reading {
	k.mu.Lock()
	defer k.mu.Unlock()
	return Reading{k.wall, k.elapsed}
}

func (k *fakeKernel) Sync() Sync {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sync
}

func (k *fakeKernel) Boot() string { return k.boot }

// pass lets time elapse.
func (k *fakeKernel) pass(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wall, k.elapsed = k.wall.Add(d), k.elapsed+d
}

// set sets the wall clock by a step.
func (k *fakeKernel) set(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wall = k.wall.Add(d)
}

func (k *fakeKernel) setTo(t time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wall = t
}

func (k *fakeKernel) says(s Sync) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sync = s
}

// reboot starts the machine anew, with its clock off for so long.
func (k *fakeKernel) reboot(off time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wall, k.elapsed, k.boot, k.sync = k.wall.Add(off), time.Minute, k.boot+"+", NotSynchronised
}

// fakeSource is a second source, ahead of a kernel's wall clock as it was when it was set.
type fakeSource struct {
	k     *fakeKernel
	line  *line // nil: it does not answer
	asked int
}

// is has the source say what the kernel's wall clock shows, and so much more.
func (s *fakeSource) is(ahead time.Duration) {
	r := s.k.Read()
	s.line = &line{r.Wall.Add(ahead), r.Elapsed}
}

func (s *fakeSource) String() string { return "ntp://second" }

func (s *fakeSource) Ask(context.Context) (time.Time, error) {
	s.asked++
	if s.line == nil {
		return time.Time{}, errors.New("no route to host")
	}
	return s.line.at(s.k.Read().Elapsed), nil
}

// rig is a clock with all around it.
type rig struct {
	t      *testing.T
	k      *fakeKernel
	source *fakeSource // nil: none
	file   string
	g      *Guarded
	told   []Event
}

func newRig(t *testing.T, sync Sync) *rig {
	t.Helper()
	return &rig{t: t, k: newKernel(sync), file: filepath.Join(quickDir(t), "clock")}
}

// quickDir is a directory in memory, where there is one: the mark is brought to the disk each time.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "gracegate-") //nolint:usetesting // TempDir is on the disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// start makes the clock, as a gateway that begins does.
func (r *rig) start() *rig {
	r.t.Helper()
	o := Options{File: r.file, Built: built, Kernel: r.k, Report: func(e Event) { r.told = append(r.told, e) }}
	if r.source != nil {
		o.Source = r.source
	}
	g, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.g = g
	r.tick()
	return r
}

func (r *rig) tick() { r.g.tick(context.Background()) }

// pass lets time elapse, with a tick each second of the first ten, and then one a minute.
func (r *rig) pass(d time.Duration) {
	for step := time.Second; d > 0; d -= step {
		if step == time.Second && d > 20*time.Minute {
			step = time.Minute
		}
		step = min(step, d)
		r.k.pass(step)
		r.tick()
	}
}

// is checks the state and policy time.
func (r *rig) is(what string, state State, policy time.Time) {
	r.t.Helper()
	at, trusted, _ := r.g.Read()
	s := r.g.Status()
	if s.State != state || trusted != (state == Trusted) || !at.Equal(policy) || (s.Detail == "") != trusted {
		r.t.Errorf("%s: %s at %s, want %s at %s; detail: %s", what, s.State, text(at), state, text(policy), s.Detail)
	}
}

// wall is what the machine's clock shows.
func (r *rig) wall() time.Time { return r.k.Read().Wall }

// kinds are the events that were told, in short.
func (r *rig) kinds() (all []string) {
	for _, e := range r.told {
		all = append(all, e.What())
	}
	return all
}
