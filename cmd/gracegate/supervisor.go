package main

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// supervisor tells the service manager how the gateway is (sd_notify(3)). Where nobody asked to be told, nobody is. Its methods
// may be called from any goroutine.
type supervisor struct {
	log      *zap.Logger
	send     func(state string) error // nil: nobody asked
	watchdog time.Duration            // the manager ends a process that is not heard of for so long; 0: it does not

	reloads sync.Mutex // one at a time, so that each has its two ends

	mu       sync.Mutex
	stopping bool
	status   string // that was told last
}

// newSupervisor takes from the environment what a service manager of systemd's kind put there.
func newSupervisor(log *zap.Logger) *supervisor {
	s := &supervisor{log: log}
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return s
	}
	s.send = func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}
	var err error
	if s.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn("the service manager's watchdog is not answered", zap.Error(err))
	}
	return s
}

// ready tells that clients are served.
func (s *supervisor) ready(status string) { s.tell(true, "READY=1", status) }

// reload tells of a reload while do runs; then summary is the status.
func (s *supervisor) reload(do func(), summary func() string) {
	s.reloads.Lock()
	defer s.reloads.Unlock()
	s.tell(true, "RELOADING=1\n"+daemon.SdNotifyMonotonicUsec(), "")
	do()
	s.tell(true, "READY=1", summary())
}

// stop tells that the process is on its way out; of what is told after that, only the watchdog hears.
func (s *supervisor) stop(status string) {
	s.tell(true, "STOPPING=1", status)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
}

// watch answers the watchdog twice in its time, each time after answer returned, and keeps the status up to date, until ctx ends.
// A gateway that hangs makes answer hang, and is ended by the manager with a dump of its goroutines.
func (s *supervisor) watch(ctx context.Context, answer func(), summary func() string) {
	if s.send == nil {
		return
	}
	every, beat := time.Minute, ""
	if s.watchdog > 0 {
		every, beat = max(s.watchdog/2, time.Millisecond), "WATCHDOG=1"
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			answer()
			s.tell(false, beat, summary())
		}
	}
}

// tell sends a state with the status. Steps are what leads to another state; once the process stops there are no more of them,
// and the status stays. In between, a status is told only if it is another one than before.
func (s *supervisor) tell(step bool, state, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.send == nil || step && s.stopping:
		return
	case status != "" && !s.stopping && (step || status != s.status):
		s.status = status
		if state != "" {
			state += "\n"
		}
		state += "STATUS=" + status
	}
	if state == "" {
		return
	}
	if err := s.send(state); err != nil {
		s.log.Warn("the service manager was not told", zap.String("state", state), zap.Error(err))
	}
}
