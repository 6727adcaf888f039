package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/console"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/clock"
)

// kernel is what the clock asks the machine; tests put another in its place.
var kernel clock.Kernel = clock.Machine()

// edgeClock is the clock that the policy goes by: a simulated one, or the machine's, which cannot be turned back.
type edgeClock struct {
	simulated *clock.Simulated // nil: the machine's
	guarded   *clock.Guarded   // nil: simulated
	believed  bool             // the machine's clock counts as it is (clock.untrusted: allow)
	requests  *requests        // of operators who accept the clock

	turned func(clock.Event) // is told what happens, from start on

	stop    context.CancelFunc // nil: not started
	running sync.WaitGroup
}

// newEdgeClock returns the clock of a gateway. Nothing is written before start.
func newEdgeClock(cfg *config.Config) (*edgeClock, error) {
	if !cfg.Clock.At.IsZero() {
		return &edgeClock{simulated: clock.At(cfg.Clock.At, cfg.Clock.Rate)}, nil
	}
	c := &edgeClock{believed: cfg.Clock.Untrusted == config.Allow, requests: &requests{dir: cfg.Data.Dir}}
	var err error
	c.guarded, err = newGuarded(cfg, func(e clock.Event) { c.turned(e) })
	return c, err
}

// newGuarded returns the machine's clock, with the mark of a data directory.
func newGuarded(cfg *config.Config, report func(clock.Event)) (*clock.Guarded, error) {
	built, err := builtOn()
	if err != nil {
		return nil, err
	}
	o := clock.Options{File: markOf(cfg), Built: built, Kernel: kernel, Believe: cfg.Clock.Untrusted == config.Allow, Report: report}
	if cfg.Clock.Check != "" {
		o.Source = clock.NTP(cfg.Clock.Check)
	}
	g, err := clock.New(o)
	if err != nil {
		return nil, failed(fmt.Errorf("the clock's mark: %w", err), "data.dir names a directory that this user may read and write")
	}
	return g, nil
}

// markOf is the file of the clock's mark.
func markOf(cfg *config.Config) string { return filepath.Join(cfg.Data.Dir, "clock") }

// start has the clock watch over itself, until close.
func (c *edgeClock) start(turned func(clock.Event), log *zap.Logger) {
	if c.guarded == nil {
		return
	}
	c.turned = turned
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	c.running.Go(func() { c.guarded.Run(ctx) })
	c.running.Go(func() { c.requests.serve(ctx, c.guarded, log) })
}

// close writes the mark for the next start.
func (c *edgeClock) close() {
	if c.stop != nil {
		c.stop()
	}
	c.running.Wait()
}

// Now is policy time.
func (c *edgeClock) Now() time.Time {
	now, _, _ := c.read()
	return now
}

// read returns policy time and whether it can be trusted. As long as turn is the same, the latter is too, and policy time has
// not gone back.
func (c *edgeClock) read() (now time.Time, trusted bool, turn uint64) {
	if c.guarded != nil {
		return c.guarded.Read()
	}
	return c.simulated.Now(), true, 0
}

func (c *edgeClock) trusted() bool {
	_, trusted, _ := c.read()
	return trusted
}

// Simulated reports whether policy time is not real time.
func (c *edgeClock) Simulated() bool { return c.simulated != nil }

// real is real time, and whether it can be believed.
func (c *edgeClock) real() (now time.Time, believed bool) {
	if c.guarded == nil {
		return time.Now(), true
	}
	now, trusted, _ := c.guarded.Read()
	return now, trusted || c.believed
}

// status is how the clock stands, for the admin listener.
func (c *edgeClock) status() console.Clock {
	if c.guarded == nil {
		return console.Clock{
			Simulated: true, Description: c.simulated.String(), PolicyTime: c.simulated.Now(), WallTime: time.Now(),
			Trusted: true, State: clock.Trusted.String(),
		}
	}
	s := c.guarded.Status()
	shown := console.Clock{
		Description: "the machine's", PolicyTime: s.Policy, WallTime: s.Wall, Trusted: s.State == clock.Trusted, State: s.State.String(),
		Detail: s.Detail, Kernel: s.Kernel.String(),
	}
	if !s.Mark.IsZero() {
		shown.Mark = &s.Mark
	}
	if s.Unkept != nil {
		shown.MarkError = s.Unkept.Error()
	}
	if a := s.Source; a != nil {
		shown.Source = &console.TimeSource{Source: a.Source}
		if a.Answered {
			ahead := a.Ahead.Seconds()
			shown.Source.Ahead = &ahead
		}
		if a.Failed != nil {
			shown.Source.Error = a.Failed.Error()
		}
	}
	return shown
}

// clockTurned logs and records what happened to the clock.
func (g *gateway) clockTurned(e clock.Event) {
	tell, fields := g.log.Info, []zap.Field{
		zap.String("detail", e.Detail), zap.Stringer("state", e.State), zap.Time("policy_time", e.Policy), zap.Time("machine", e.Wall),
	}
	if e.State != clock.Trusted || e.Kind == clock.Damaged || e.Kind == clock.Unkept {
		tell = g.log.Warn
	}
	if e.Kind == clock.Turned && e.State != clock.Trusted {
		fields = append(fields, zap.String("hint", "see to the machine's clock and its time service; if it is right, gracegate clock accept"))
	}
	tell("the clock: "+e.What(), fields...)
	g.records.Record(turnOf(&e))
}

// turnOf is what is written of an event of the clock.
func turnOf(e *clock.Event) *audit.Record {
	r := &audit.Record{
		Event: audit.ClockTurn, Time: e.Wall, PolicyTime: e.Policy, User: e.By,
		Turn: &audit.Turn{What: e.What(), Why: e.Detail, Before: e.Before},
	}
	if e.State != clock.Trusted {
		r.Clock = policy.ClockUntrusted
	}
	return r
}
