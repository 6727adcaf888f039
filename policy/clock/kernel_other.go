//go:build !linux

package clock

import "time"

type machine struct{}

// Machine returns the kernel of this machine, of which little is known: where the monotonic clock stands still while the machine
// sleeps, the wall clock has jumped when it wakes up.
func Machine() Kernel { return machine{} }

// started is when this process began.
var started = time.Now()

// Read has no time elapse if the wall clock was so far ahead at the start that nothing else was to be read: then it has jumped.
func (machine) Read() Reading {
	now := time.Now()
	r := Reading{Wall: now.Round(0).UTC()}
	switch {
	case monotonic(now) && monotonic(started):
		r.Elapsed = now.Sub(started)
	case monotonic(started):
		r.Elapsed = time.Since(started) // by the monotonic clock alone
	}
	return r
}

func (machine) Sync() Sync { return SyncUnknown }

// Boot is empty: what is counted here begins with the process.
func (machine) Boot() string { return "" }
