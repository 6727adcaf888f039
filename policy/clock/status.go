package clock

import "time"

// Status is how a guarded clock stands.
type Status struct {
	State  State
	Detail string    // why it is not trusted, in words; empty if it is
	Policy time.Time // policy time
	Wall   time.Time // what the machine's clock shows
	Mark   time.Time // as it was last written; zero: it was not, in this process
	Unkept error     // why it was not, when it was last tried
	Kernel Sync
	Source *Answer // nil: there is no second source
}

// Answer is what the second source last said.
type Answer struct {
	Source   string
	Answered bool          // since the wall clock last jumped
	Ahead    time.Duration // by how much the wall clock is ahead of what it answered then
	Failed   error         // why it did not answer the last time
}

// Status tells how the clock stands.
func (g *Guarded) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.read()
	g.see(r)
	g.judge(r)
	s := Status{
		State: g.state, Policy: g.policyTime(r), Wall: r.Wall, Mark: g.kept.time, Unkept: g.kept.failed, Kernel: g.word.kernel,
	}
	if s.State != Trusted {
		s.Detail = g.why(r)
	}
	if g.o.Source != nil {
		s.Source = &Answer{Source: g.o.Source.String(), Failed: g.word.failed}
		s.Source.Ahead, s.Source.Answered = g.word.ahead(r)
	}
	return s
}
