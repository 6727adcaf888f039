package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// heard is what a service manager hears.
type heard struct {
	mu     sync.Mutex
	states []string
}

func (h *heard) send(state string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	state, _, reloads := strings.Cut(state, "MONOTONIC_USEC=") // which time it is does not matter
	if reloads {
		state += "..."
	}
	h.states = append(h.states, state)
	return nil
}

// take returns what was heard since it was last called.
func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	states := h.states
	h.states = nil
	return states
}

// text is a status that changes.
type text struct{ now atomic.Pointer[string] }

func (s *text) set(status string) { s.now.Store(&status) }
func (s *text) get() string       { return *s.now.Load() }

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSupervisorTellsEachState(t *testing.T) {
	t.Parallel()
	var manager heard
	s := &supervisor{log: zap.NewNop(), send: manager.send}
	s.ready("policy a")
	s.reload(func() { same(t, manager.take(), "READY=1\nSTATUS=policy a", "RELOADING=1\n...") }, func() string { return "policy b" })
	s.reload(func() {}, func() string { return "policy b" })
	s.stop("draining")
	same(t, manager.take(), "READY=1\nSTATUS=policy b", "RELOADING=1\n...", "READY=1\nSTATUS=policy b", "STOPPING=1\nSTATUS=draining")
}

// Two reloads at once have their beginning and end one after the other.
func TestSupervisorReloadsOneByOne(t *testing.T) {
	t.Parallel()
	var manager heard
	s := &supervisor{log: zap.NewNop(), send: manager.send}
	var reloads sync.WaitGroup
	for range 8 {
		reloads.Go(func() { s.reload(func() {}, func() string { return "" }) })
	}
	reloads.Wait()
	same(t, manager.take(), slices.Repeat([]string{"RELOADING=1\n...", "READY=1"}, 8)...)
}

// A reload that ends while the process stops does not make it ready again.
func TestSupervisorStopsOnce(t *testing.T) {
	t.Parallel()
	var manager heard
	s := &supervisor{log: zap.NewNop(), send: manager.send}
	s.reload(func() { s.stop("draining") }, func() string { return "policy b" })
	s.ready("policy c")
	same(t, manager.take(), "RELOADING=1\n...", "STOPPING=1\nSTATUS=draining")
}

func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var manager heard
		s := &supervisor{log: zap.NewNop(), send: manager.send, watchdog: 10 * time.Second}
		var status text
		status.set("policy a")
		hang := make(chan struct{})
		var hangs atomic.Bool
		answer := func() {
			if hangs.Load() {
				<-hang
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.watch(ctx, answer, status.get)
		}()
		after := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			same(t, manager.take(), want...)
		}
		after(4999*time.Millisecond, nil...)
		after(time.Millisecond, "WATCHDOG=1\nSTATUS=policy a")
		after(10*time.Second, "WATCHDOG=1", "WATCHDOG=1")
		status.set("policy b")
		after(5*time.Second, "WATCHDOG=1\nSTATUS=policy b")

		// While something hangs nothing is told, and once it goes on again it is.
		hangs.Store(true)
		after(time.Hour, nil...)
		hangs.Store(false)
		close(hang)
		after(5*time.Second, "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1") // what hung, the tick behind it, and that of now

		// A drain may take longer than the watchdog waits.
		s.stop("draining")
		after(0, "STOPPING=1\nSTATUS=draining")
		status.set("policy c")
		after(5*time.Second, "WATCHDOG=1")
		cancel()
		<-done
	})
}

// Without a watchdog only what changes is told; without a service manager nothing is asked.
func TestWatchWithoutWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var manager heard
		s := &supervisor{log: zap.NewNop(), send: manager.send}
		var status text
		status.set("policy a")
		s.ready("policy a")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.watch(ctx, func() {}, status.get)
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		status.set("policy b")
		time.Sleep(time.Hour)
		synctest.Wait()
		cancel()
		<-done
		same(t, manager.take(), "READY=1\nSTATUS=policy a", "STATUS=policy b")

		alone := &supervisor{log: zap.NewNop()}
		alone.ready("policy a")
		alone.watch(t.Context(), func() { t.Error("asked for nobody") }, func() string { return "" })
	})
}

func TestSupervisorWithoutAManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000000")
	if s := newSupervisor(zap.NewNop()); s.send != nil || s.watchdog != 0 {
		t.Errorf("there is nobody to tell: %+v", s)
	}
	t.Setenv("NOTIFY_SOCKET", t.TempDir()+"/nobody")
	for usec, want := range map[string]time.Duration{"": 0, "3000000": 3 * time.Second, "soon": 0, "-1": 0} {
		t.Setenv("WATCHDOG_USEC", usec)
		core, logged := observer.New(zap.WarnLevel)
		s := newSupervisor(zap.New(core))
		if s.watchdog != want || logged.Len() > 0 != (usec == "soon" || usec == "-1") {
			t.Errorf("WATCHDOG_USEC=%q: %s, %d lines", usec, s.watchdog, logged.Len())
		}
	}
}

// A manager that cannot be reached is no reason to stop.
func TestSupervisorUnheard(t *testing.T) {
	t.Parallel()
	core, logged := observer.New(zap.WarnLevel)
	s := &supervisor{log: zap.New(core), send: func(string) error { return errors.New("connection refused") }}
	s.ready("policy a")
	if logged.FilterField(zap.String("state", "READY=1\nSTATUS=policy a")).Len() != 1 {
		t.Errorf("logged: %v", logged.All())
	}
}
