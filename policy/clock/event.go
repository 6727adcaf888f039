package clock

import (
	"fmt"
	"time"
)

// State is whether, and if not why, policy time can be trusted.
type State uint8

const (
	Trusted        State = iota
	SetBack              // the wall clock is behind what is due
	Unconfirmed          // the wall clock is ahead of what is due, and nobody vouches for it
	Unsynchronised       // nobody has ever vouched for the wall clock
	Contradicted         // the second source says something else than the wall clock
)

func (s State) String() string {
	return [...]string{"trusted", "set-back", "unconfirmed", "unsynchronised", "contradicted"}[s]
}

// Kind is what happened to a clock.
type Kind uint8

const (
	FirstStart Kind = iota // there was no mark
	Damaged                // there was one, and it could not be read
	Stepped                // the wall clock was set by a small step
	Turned                 // the state is another one
	Accepted               // the operator took the wall clock for right
	Unkept                 // the mark cannot be written
	Kept                   // it can be written again
)

func (k Kind) String() string {
	return [...]string{"first-start", "damaged", "stepped", "state", "accepted", "unkept", "kept"}[k]
}

// Event is what happened to the clock, at an instant.
type Event struct {
	Kind   Kind
	State  State     // from then on
	Wall   time.Time // what the wall clock showed
	Policy time.Time // policy time
	Before time.Time // of Accepted, policy time before; else zero
	Detail string    // in words; of Accepted, the operator's reason
	By     string    // of Accepted, who
}

// What is the event in a word: of a change of the state, the state.
func (e Event) What() string {
	if e.Kind == Turned {
		return e.State.String()
	}
	return e.Kind.String()
}

// maxEvents bounds those that wait to be told: a clock that jumps to and fro is told of all the same.
const maxEvents = 16

// tell has an event reported soon.
func (g *Guarded) tell(r Reading, kind Kind, detail string) {
	if len(g.events) == maxEvents && kind != Accepted {
		return
	}
	g.events = append(g.events, Event{Kind: kind, State: g.state, Wall: r.Wall, Policy: g.policyTime(r), Detail: detail})
}

// report reports what is to be told. No lock of the clock is held meanwhile.
func (g *Guarded) report() {
	g.reporting.Lock()
	defer g.reporting.Unlock()
	g.mu.Lock()
	events := g.events
	g.events = nil
	g.mu.Unlock()
	for _, e := range events {
		g.o.Report(e)
	}
}

// why says in words why the state is what it is.
func (g *Guarded) why(r Reading) string {
	shows, due := "the machine's clock shows "+text(r.Wall), text(g.due.at(r.Elapsed))
	switch g.state {
	case SetBack:
		if r.Wall.Before(g.o.Built) {
			return fmt.Sprintf("%s, and this program is of %s at the earliest", shows, g.o.Built.Format(time.DateOnly))
		}
		return fmt.Sprintf("%s, %s behind the %s that is due", shows, Span(g.off), due)
	case Unconfirmed:
		return fmt.Sprintf("%s, %s ahead of the %s that is due, and nobody vouches for it: %s", shows, Span(g.off), due, g.silence(r))
	case Unsynchronised:
		return fmt.Sprintf("%s, and nobody has ever vouched for it: %s", shows, g.silence(r))
	case Contradicted:
		ahead, _ := g.word.ahead(r)
		return fmt.Sprintf("%s, %s what %s says", shows, apart(ahead), g.o.Source)
	case Trusted:
	}
	if g.because == "" {
		return shows + ", which is due"
	}
	return fmt.Sprintf("%s, and %s", shows, g.because)
}

// silence says who does not vouch for the wall clock.
func (g *Guarded) silence(r Reading) string {
	kernel := map[Sync]string{
		SyncUnknown:     "the kernel does not say whether it is synchronised",
		NotSynchronised: "the kernel says that no time server disciplines it",
		Synchronised:    "the kernel says that it is synchronised, as it did before the jump, and must say so for " + Span(settling),
	}[g.word.kernel]
	ahead, answered := g.word.ahead(r)
	switch {
	case g.o.Source == nil:
		return kernel
	case answered && g.word.contradicts(r):
		return fmt.Sprintf("it is %s what %s says", apart(ahead), g.o.Source)
	case g.word.failed != nil:
		return fmt.Sprintf("%s, and %s does not answer (%v)", kernel, g.o.Source, g.word.failed)
	}
	return fmt.Sprintf("%s has not answered yet", g.o.Source)
}

func text(t time.Time) string { return t.Format(time.RFC3339) }

// Span writes a duration, whichever its sign, for people: in days and hours, hours and minutes, or minutes and seconds.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = d.Abs(); {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return d.Round(time.Millisecond).String()
}

func apart(ahead time.Duration) string {
	if ahead < 0 {
		return Span(ahead) + " behind"
	}
	return Span(ahead) + " ahead of"
}
