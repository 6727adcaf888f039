package proxy

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// watched begins the watch of a relay that moves nothing by itself.
func watched(t *testing.T, idle, lifetime time.Duration) (l *relay, over func() bool) {
	t.Helper()
	down, _ := tcpPair(t)
	_, up := tcpPair(t) // dialled without keep-alive
	l = newRelay(&flow{}, idle, down, up)
	l.watch.lifetime = lifetime
	l.startWatch()
	t.Cleanup(l.stopWatch)
	return l, func() bool {
		synctest.Wait()
		return l.gone.Load()
	}
}

func TestIdleLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, over := watched(t, 5*time.Minute, 0)
		for range 10 {
			time.Sleep(5*time.Minute - time.Second)
			if over() {
				t.Fatal("ended although bytes moved")
			}
			l.watch.touch()
		}
		time.Sleep(5*time.Minute - time.Second)
		if over() {
			t.Error("ended too early")
		}
		time.Sleep(time.Second)
		if !over() || l.flow.endedBy() != "idle" {
			t.Errorf("not ended, or by %q", l.flow.endedBy())
		}
	})
}

func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, over := watched(t, 5*time.Minute, time.Hour)
		for range 60 {
			if over() {
				t.Fatal("ended too early")
			}
			time.Sleep(time.Minute)
			l.watch.touch()
		}
		if !over() || l.flow.endedBy() != "lifetime" {
			t.Errorf("not ended, or by %q", l.flow.endedBy())
		}
	})
}

func TestAWatchWithoutLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, over := watched(t, 0, 0)
		time.Sleep(1000 * time.Hour)
		if over() {
			t.Error("ended without a limit")
		}
	})
}

// A client that is being refused has a deadline of its own.
func TestNoWatchOverARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, over := watched(t, time.Second, time.Minute)
		l.refused.Store(true)
		time.Sleep(time.Hour)
		if over() || l.flow.endedBy() != "" {
			t.Errorf("ended by %q", l.flow.endedBy())
		}
	})
}

// The watch leaves nothing behind.
func TestStopWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, over := watched(t, time.Minute, time.Hour)
		time.Sleep(59 * time.Second)
		l.watch.touch()
		l.stopWatch()
		l.look() // as if the timer had been faster
		time.Sleep(2 * time.Hour)
		if over() || l.flow.endedBy() != "" {
			t.Errorf("ended by %q", l.flow.endedBy())
		}
	})
}

// Only an old tunnel asks whether its origin is still there.
func TestKeepAliveComesLate(t *testing.T) {
	for _, idle := range []time.Duration{0, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			l, over := watched(t, idle, 0)
			time.Sleep(keepAliveAfter - time.Second)
			if over() || keptAlive(t, l.up.TCPConn) {
				t.Fatal("kept alive too early")
			}
			time.Sleep(time.Second)
			if over() || !keptAlive(t, l.up.TCPConn) {
				t.Error("not kept alive")
			}
		})
	}
}

func keptAlive(t *testing.T, c *net.TCPConn) (on bool) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) { on = keepAliveOf(t, fd) })
	if err != nil {
		t.Fatal(err)
	}
	return on
}
