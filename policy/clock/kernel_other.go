//go:build !linux

package clock

import "time"

type machine struct{}

// Machine returns the kernel of this machine, of which little is known: where the monotonic clock stands still while the machine
// sleeps, the wall clock has jumped when it wakes up.
func Machine() Kernel { return machine{} }

// started is when this process began, with its monotonic reading.
var started = time.Now()

func (machine) Read() Reading {
	now := time.Now()
	return Reading{now.Round(0).UTC(), now.Sub(started)}
}

func (machine) Sync() Sync { return SyncUnknown }

// Boot is empty: what is counted here begins with the process.
func (machine) Boot() string { return "" }
