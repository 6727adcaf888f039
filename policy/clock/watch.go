package clock

import (
	"context"
	"sync"
	"time"
)

const (
	// lookEvery is how often the kernel is asked, by real time.
	lookEvery = time.Second

	// keepEvery is how old the mark in the file gets: the most that a power failure takes from policy time. A flash memory that
	// bears 3000 writes of each block lasts longer than the machine.
	keepEvery = time.Minute

	// The second source is asked every askTrusted, and every askElse while the clock is not trusted; it has askLimit to answer.
	askTrusted, askElse, askLimit = time.Hour, time.Minute, 5 * time.Second
)

// kept is the mark in the file.
type kept struct {
	writing sync.Mutex // one at a time, so that the last one is the latest

	time   time.Time     // zero: it was not written yet
	at     time.Duration // when it was written
	stale  bool          // it is to be written at once
	failed error         // of the last try
}

// Run asks the kernel and the second source, keeps the mark and reports, until ctx ends. Then the mark is written once more.
func (g *Guarded) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		g.tick(ctx)
		select {
		case <-ctx.Done():
			_ = g.keep() // it has been told
			g.report()
			return
		case <-tick.C:
		}
	}
}

func (g *Guarded) tick(ctx context.Context) {
	g.look()
	if g.askDue() {
		g.Ask(ctx)
	}
	if g.begun() {
		_ = g.keep() // it has been told
	}
	g.report()
}

// begun tells the state at the start, once it is known what the second source says of it. It reports whether the mark is due.
func (g *Guarded) begun() (keep bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.read()
	g.see(r)
	g.judge(r)
	if !g.started {
		g.started = true
		if g.state != Trusted {
			g.tell(r, Turned, g.why(r))
		}
		return true
	}
	return g.kept.stale || r.Elapsed-g.kept.at >= keepEvery
}

func (g *Guarded) askDue() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	every := askElse
	if g.state == Trusted {
		every = askTrusted
	}
	return !g.word.everAsked || g.read().Elapsed-g.word.askedAt >= every
}

// Ask asks the second source, if there is one, and waits for its answer for five seconds at most. Run does so by itself.
func (g *Guarded) Ask(ctx context.Context) {
	if g.o.Source == nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	at, err := g.o.Source.Ask(limited)
	if ctx.Err() != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.read()
	g.see(r)
	g.word.answered(clamp(at), r.Elapsed, err)
	g.weigh(r)
}

// keep writes the mark.
func (g *Guarded) keep() error {
	if g.o.File == "" {
		return nil
	}
	g.kept.writing.Lock()
	defer g.kept.writing.Unlock()
	g.mu.Lock()
	r := g.read()
	g.see(r)
	m := &mark{Version: markVersion, Time: g.high, Vouched: g.known, Boot: g.boot, Elapsed: r.Elapsed}
	g.kept.at, g.kept.stale = r.Elapsed, false
	g.mu.Unlock()

	err := writeMark(g.o.File, m)

	g.mu.Lock()
	defer g.mu.Unlock()
	switch was := g.kept.failed; {
	case err != nil && was == nil:
		g.tell(r, Unkept, err.Error())
	case err == nil && was != nil:
		g.tell(r, Kept, "")
	}
	g.kept.failed = err
	if err == nil {
		g.kept.time = m.Time
	}
	return err
}
