package clock

import (
	"context"
	"time"
)

const (
	// settling is how long a kernel that has contradicted itself must say the same before it is believed: some answers of a time
	// server, one of which may be wrong.
	settling = 10 * time.Minute

	// agreement is how far from the wall clock the second source may be.
	agreement = time.Minute
)

// Source is a second source of the time, beside the machine.
type Source interface {
	// Ask returns the time at the instant of its return. It ends when ctx does.
	Ask(ctx context.Context) (time.Time, error)
	// String is the source as the operator calls it.
	String() string
}

// word is what is said for and against the wall clock.
type word struct {
	shows line // the wall clock as it goes since it was last set

	kernel Sync
	since  time.Duration // since when the kernel has said without a break that this is synchronised
	broken bool          // it had said so before the jump, too

	source *line // the second source, as it last answered; nil: it has not, since the wall clock jumped
	asked  bool  // it was asked since then, and has answered or not
	failed error // why it last did not

	everAsked bool
	askedAt   time.Duration
}

// hear notes what the kernel says.
func (w *word) hear(sync Sync, elapsed time.Duration) {
	if sync != w.kernel {
		w.kernel, w.since = sync, elapsed
	}
}

// stepped notes that the wall clock was set.
func (w *word) stepped(r Reading) { w.shows, w.since = line(r), r.Elapsed }

// jumped notes that it was set by more than a small step, or, again, once more after that. What the second source said before the first
// jump is to be asked anew.
func (w *word) jumped(again bool) {
	w.broken = w.kernel == Synchronised || again && w.broken
	if !again {
		w.source, w.asked = nil, false
	}
}

// answered notes what the second source said just now.
func (w *word) answered(at time.Time, elapsed time.Duration, err error) {
	w.asked, w.failed, w.everAsked, w.askedAt = true, err, true, elapsed
	if err == nil {
		w.source = &line{at, elapsed}
	}
}

// ahead is by how much the wall clock is ahead of the second source; false: that has not answered.
func (w *word) ahead(r Reading) (time.Duration, bool) {
	if w.source == nil {
		return 0, false
	}
	return r.Wall.Sub(w.source.at(r.Elapsed)), true
}

func (w *word) contradicts(r Reading) bool {
	ahead, answered := w.ahead(r)
	return answered && ahead.Abs() > agreement
}

// vouches tells who says that the wall clock is right, in words; empty: nobody does.
func (w *word) vouches(r Reading, s Source) string {
	switch {
	case w.contradicts(r), w.source == nil && s != nil && !w.asked:
		return ""
	case w.source != nil:
		return s.String() + " agrees"
	case w.kernel == Synchronised && (!w.broken || r.Elapsed-w.since >= settling):
		return "the kernel says that it is synchronised"
	}
	return ""
}
