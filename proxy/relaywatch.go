package proxy

import (
	"sync"
	"sync/atomic"
	"time"
)

// keepAliveAfter is the age at which a tunnel begins to ask whether its origin is still there: for a short one that would
// only cost.
const keepAliveAfter = time.Minute

// watch is the clock of a relay: one timer, set anew for what is left. All its times are of real time, since it began.
type watch struct {
	idle     time.Duration // without a byte in either direction; 0: no limit
	lifetime time.Duration // 0: no limit

	began time.Time
	moved atomic.Int64 // when a byte moved last, in nanoseconds

	mu    sync.Mutex
	timer *time.Timer
	asked bool // keep-alive is on
	over  bool
}

// touch notes that a byte moved.
func (w *watch) touch() { w.moved.Store(int64(time.Since(w.began))) }

// startWatch begins to watch over the limits. Who begins ends it, by stopWatch.
func (l *relay) startWatch() {
	w := &l.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.next(0), l.look)
}

func (l *relay) stopWatch() {
	w := &l.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// look ends the relay if a limit is reached, and else sets the timer for the next one.
func (l *relay) look() {
	if reason := l.overdue(); reason != "" {
		l.flow.end(reason)
		l.cut()
	}
}

func (l *relay) overdue() (reason string) {
	w := &l.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	age := time.Since(w.began)
	switch {
	case w.over, l.refused.Load(): // a refusal has a deadline of its own
		return ""
	case w.lifetime > 0 && age >= w.lifetime:
		return "lifetime"
	case w.idle > 0 && age-time.Duration(w.moved.Load()) >= w.idle:
		return "idle"
	}
	if !w.asked && age >= keepAliveAfter {
		w.asked = true
		_ = l.up.SetKeepAliveConfig(keepAlive)
	}
	if next := w.next(age); next > 0 {
		w.timer.Reset(next)
	}
	return ""
}

// next is how long it is to the next limit, or to keepAliveAfter; 0 if there is none. The lock is held.
func (w *watch) next(age time.Duration) time.Duration {
	next := time.Duration(0)
	sooner := func(at time.Duration) {
		if left := max(at-age, time.Millisecond); next == 0 || left < next {
			next = left
		}
	}
	if w.idle > 0 {
		sooner(time.Duration(w.moved.Load()) + w.idle)
	}
	if w.lifetime > 0 {
		sooner(w.lifetime)
	}
	if !w.asked {
		sooner(keepAliveAfter)
	}
	return next
}
