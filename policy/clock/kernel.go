package clock

import "time"

// Kernel is what the guarded clock asks the machine. Its methods may be called from any goroutine.
type Kernel interface {
	// Read reads both clocks, as nearly at the same instant as it can.
	Read() Reading
	// Sync says whether a time server disciplines the wall clock.
	Sync() Sync
	// Boot names the run of the machine that Elapsed counts from; empty: it cannot be told from others.
	Boot() string
}

// Reading is what the clocks of a machine show at an instant.
type Reading struct {
	Wall    time.Time     // in UTC, without a monotonic reading
	Elapsed time.Duration // since some instant of this run of the machine; it counts on while the machine sleeps
}

// monotonic tells whether a time of time.Now has its monotonic reading: from 2157-03-16 on, by the wall clock, there is no room for it,
// and what passes between two such times is what the wall clock was set by.
func monotonic(now time.Time) bool { return now != now.Round(0) }

// Sync is whether a time server disciplines the wall clock.
type Sync uint8

const (
	SyncUnknown Sync = iota // the system does not say
	Synchronised
	NotSynchronised
)

func (s Sync) String() string {
	switch s {
	case Synchronised:
		return "synchronised"
	case NotSynchronised:
		return "not synchronised"
	case SyncUnknown:
	}
	return "unknown"
}
