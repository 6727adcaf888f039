package clock

import (
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// machine reads the clocks that cost no system call, and now and then the one that counts the time asleep.
type machine struct {
	base  time.Time // with its monotonic reading, which does not count the time asleep
	slept atomic.Pointer[slept]
}

// slept is how long the machine had been on, and asleep, before base and since.
type slept struct {
	time time.Duration
	at   time.Duration // when that was read, since base
	wall time.Duration // what the wall clock had run since base by then, beyond the monotonic one
}

// Machine returns the kernel of this machine.
func Machine() Kernel {
	m := &machine{base: time.Now()}
	m.slept.Store(m.readSlept(0, 0))
	return m
}

// readEvery is how old what is known of the time asleep may be, and readAfter the step of the wall clock that makes it old at once: the
// machine may have slept.
const readEvery, readAfter = time.Second, 10 * time.Millisecond

// Read reads the wall clock and the monotonic one at the same instant.
func (m *machine) Read() Reading { return m.at(time.Now()) }

func (m *machine) at(now time.Time) Reading {
	wall := now.Round(0).UTC()
	if !monotonic(now) || !monotonic(m.base) {
		return Reading{wall, sinceBoot()}
	}
	since := now.Sub(m.base)
	beyond := wall.Sub(m.base.Round(0)) - since
	s := m.slept.Load()
	if since-s.at > readEvery || (beyond-s.wall).Abs() > readAfter {
		s = m.readSlept(since, beyond)
		m.slept.Store(s)
	}
	return Reading{wall, since + s.time}
}

func (m *machine) readSlept(since, beyond time.Duration) *slept {
	for try := 0; ; try++ {
		before := time.Since(m.base)
		boot := sinceBoot()
		// A thread may lose its processor between the two.
		if after := time.Since(m.base); after-before < time.Millisecond || try == 3 {
			return &slept{boot - before, since, beyond}
		}
	}
}

// sinceBoot is CLOCK_BOOTTIME.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("clock: CLOCK_BOOTTIME: " + err.Error()) // every Linux that Go runs on has it
	}
	return time.Duration(t.Nano())
}

// Sync asks adjtimex(2), which anybody may; a filter on system calls may forbid it.
func (*machine) Sync() Sync {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		return SyncUnknown
	case t.Status&unix.STA_UNSYNC != 0:
		return NotSynchronised
	}
	return Synchronised
}

// Boot is the number that the kernel gives itself at its start.
func (*machine) Boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
