package clock

import (
	"fmt"
	"sync"
	"time"
)

const (
	// small is how much the wall clock may be stepped, together within smallEvery, without being held: more than what is
	// between a real-time clock and a time server at the start of a machine, as a rule.
	small, smallEvery = 5 * time.Minute, 24 * time.Hour

	// noise is by how much two readings may differ from each other without a step between them; a step from telling on is told.
	noise, telling = 50 * time.Millisecond, time.Second
)

// Options are what a guarded clock is made of.
type Options struct {
	File    string    // where the mark is kept; empty: nowhere
	Built   time.Time // no real instant is before it
	Source  Source    // the second source; nil: there is none
	Kernel  Kernel    // nil: that of this machine
	Believe bool      // policy time is the wall clock as it is, also when it goes back; all else is as without
	Report  func(Event)
}

// Guarded is the clock of a gateway; the package comment tells what it shows. Its methods may be called from any goroutine.
type Guarded struct {
	o    Options
	boot string

	mu      sync.Mutex
	due     line          // what the wall clock shows as long as nobody sets it
	off     time.Duration // by how much the wall clock was ahead of that when it was last read
	held    bool          // that is more than a small step: policy time goes by what is due
	high    time.Time     // policy time, as it was last given
	known   bool          // somebody has vouched for what is due, now or before the last start
	founded string        // what policy time began with, in words, where that is not the mark
	small   allowance
	word    word

	state   State
	because string    // why the wall clock was taken for right, in words; empty: it shows what is due
	given   time.Time // policy time that was last given
	turn    uint64
	kept    kept

	started bool // the state at the start is told, and every change from then on
	events  []Event

	reporting sync.Mutex // events are told in order
}

// line is a wall clock that goes as time elapses: it showed Wall at Elapsed.
type line Reading

func (l line) at(elapsed time.Duration) time.Time { return clamp(l.Wall.Add(elapsed - l.Elapsed)) }

// New returns the clock, with the mark that its file has. It writes nothing before Run. It fails if the file is there and cannot be
// read; one that is damaged is reported.
func New(o Options) (*Guarded, error) {
	if o.Kernel == nil {
		o.Kernel = Machine()
	}
	if o.Report == nil {
		o.Report = func(Event) {}
	}
	o.Built = clamp(o.Built)
	g := &Guarded{o: o, boot: o.Kernel.Boot(), small: allowance{left: small}}
	m, damage, err := loadMark(o.File)
	if err != nil {
		return nil, err
	}
	g.begin(m)
	g.look()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case damage != nil:
		g.tell(g.read(), Damaged, fmt.Sprintf("the mark cannot be read (%v): policy time begins with %s", damage, g.founded))
	case m == nil:
		g.tell(g.read(), FirstStart, "there was no mark: policy time begins with "+g.founded)
	}
	return g, nil
}

// begin finds out what is due: what the mark says, or, without one, the wall clock.
func (g *Guarded) begin(m *mark) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.read()
	floor := g.o.Built
	if m != nil {
		g.known = m.Vouched
		was := m.at(g.boot, r.Elapsed)
		if was.After(floor) {
			floor = was
		}
	}
	g.due = line{floor, r.Elapsed}
	if floor.Equal(g.o.Built) {
		g.founded = "the day of the build, " + floor.Format(time.DateOnly)
	}
	if m == nil && !r.Wall.Before(floor) {
		g.due, g.founded = line(r), "the wall clock"
	}
	g.high, g.word.shows = g.due.Wall, line(r)
	g.see(r)
	g.small = allowance{left: small, at: r.Elapsed} // what the start took of it does not count
}

func (g *Guarded) read() Reading {
	r := g.o.Kernel.Read()
	r.Wall = clamp(r.Wall)
	return r
}

// Now returns policy time, in UTC and without a monotonic reading: two of them compare by what they say.
func (g *Guarded) Now() time.Time {
	now, _, _ := g.Read()
	return now
}

// Read returns policy time and whether it can be trusted. As long as turn is the same, the latter has not changed, and policy
// time has not gone back.
func (g *Guarded) Read() (now time.Time, trusted bool, turn uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.read()
	g.see(r)
	g.judge(r)
	now = g.policyTime(r)
	if now.Before(g.given) { // the operator's word, or Believe
		g.turn++
	}
	g.given = now
	return now, g.state == Trusted, g.turn
}

func (g *Guarded) policyTime(r Reading) time.Time {
	if g.o.Believe {
		return r.Wall
	}
	return g.high
}

// see compares a reading with what is due, and moves policy time on.
func (g *Guarded) see(r Reading) {
	stepped := r.Wall.Sub(g.word.shows.at(r.Elapsed)).Abs() >= telling
	if stepped {
		g.word.stepped(r)
	}
	g.off = r.Wall.Sub(g.due.at(r.Elapsed))
	was := g.held
	g.held = g.off.Abs() > noise && !g.small.spend(g.off.Abs(), r.Elapsed)
	switch {
	case g.held && (stepped || !was):
		g.word.jumped(was)
	case was && !g.held:
		g.because = ""
	}
	if !g.held && g.off.Abs() > noise {
		if g.off.Abs() >= telling && !was && g.started {
			g.tell(r, Stepped, fmt.Sprintf("the machine's clock was set by a small step, to %s what was due", apart(g.off)))
		}
		if g.off.Abs() >= telling {
			g.kept.stale = true
		}
		g.due, g.off = line(r), 0
	}
	at := g.due.at(r.Elapsed)
	if !g.held {
		at = r.Wall
	}
	if at.After(g.high) {
		g.high = at
	}
}

// judge finds the state, and tells a change of it.
func (g *Guarded) judge(r Reading) {
	state := g.stateNow(r)
	if state == g.state {
		return
	}
	if (state == Trusted) != (g.state == Trusted) {
		g.turn++
		g.kept.stale = true
	}
	if g.state == Contradicted {
		g.because = g.o.Source.String() + " agrees again"
	}
	g.state = state
	if g.started {
		g.tell(r, Turned, g.why(r))
	}
}

func (g *Guarded) stateNow(r Reading) State {
	switch {
	case g.held && g.off < 0:
		return SetBack
	case g.held:
		return Unconfirmed
	case g.word.contradicts(r):
		return Contradicted
	case !g.known:
		return Unsynchronised
	}
	return Trusted
}

// look hears the kernel, and takes the wall clock for right if somebody vouches for it.
func (g *Guarded) look() {
	sync := g.o.Kernel.Sync()
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.read()
	g.see(r)
	g.word.hear(sync, r.Elapsed)
	g.weigh(r)
}

// weigh follows the wall clock if somebody vouches for it, unless it is behind.
func (g *Guarded) weigh(r Reading) {
	behind := g.held && g.off < 0
	if by := g.word.vouches(r, g.o.Source); by != "" && !behind && (g.held || !g.known) {
		g.follow(r, by)
	}
	g.judge(r)
}

// follow takes the wall clock for right.
func (g *Guarded) follow(r Reading, because string) {
	g.due, g.off, g.held, g.known, g.because = line(r), 0, false, true, because
	g.small = allowance{left: small, at: r.Elapsed}
	g.word.broken = false
	g.kept.stale = true
	if r.Wall.After(g.high) {
		g.high = r.Wall
	}
}

// Accept takes the wall clock for right as it is, by the word of an operator: policy time is the wall clock from here on, earlier or
// later than before. The reason and who gave it are reported. It fails if the wall clock is before the day of the build, and if
// the mark cannot be kept; in the latter case it is accepted all the same.
func (g *Guarded) Accept(reason, by string) error {
	g.mu.Lock()
	r := g.read()
	if r.Wall.Before(g.o.Built) {
		g.mu.Unlock()
		return &BeforeBuildError{r.Wall, g.o.Built}
	}
	g.see(r)
	before := g.high
	g.follow(r, "an operator has accepted it")
	g.high, g.word.source, g.word.asked = r.Wall, nil, false
	g.turn++
	g.state, g.started = Trusted, true
	g.tell(r, Accepted, reason)
	e := &g.events[len(g.events)-1]
	e.Before, e.By = before, by
	g.mu.Unlock()
	g.report()
	return g.keep()
}

// BeforeBuildError tells that the wall clock shows what cannot be.
type BeforeBuildError struct{ Wall, Built time.Time }

func (e *BeforeBuildError) Error() string {
	return fmt.Sprintf("the clock shows %s, and this program is of %s at the earliest", e.Wall.Format(time.RFC3339), e.Built.Format(time.DateOnly))
}

// allowance is what is left for small steps. It grows back as time elapses.
type allowance struct {
	left time.Duration
	at   time.Duration // when it was so much
}

// spend takes a step from it, if there is enough.
func (a *allowance) spend(step, elapsed time.Duration) bool {
	a.left = min(small, a.left+(elapsed-a.at)/(smallEvery/small))
	a.at = elapsed
	if step > a.left {
		return false
	}
	a.left -= step
	return true
}
