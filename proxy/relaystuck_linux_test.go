package proxy

import (
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stuck tells that the client of a relay takes nothing: of all that was sent to it nothing is under way, some waits for room at
// the client, and there is no room to send more.
func (r *relayRig) stuck() (so bool) {
	err := r.down.raw.Control(func(fd uintptr) {
		held, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		unsent, errUnsent := unix.IoctlGetInt(int(fd), unix.SIOCOUTQNSD)
		if err != nil || errUnsent != nil {
			return
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(poll, 0)
		so = err == nil && n == 0 && unsent > 0 && held == unsent
	})
	return so && err == nil
}

// Whoever takes a little from time to time is not idle.
func TestASlowTakerIsNotIdle(t *testing.T) {
	t.Parallel()
	r := newRelayRig(t, time.Hour, nil)
	go func() { _, _ = io.Copy(r.origin, endless{}) }()
	moved := func() int64 { return r.watch.moved.Load() }
	soon(t, "the client takes nothing", func() bool { return r.flow.out.Load() > spliceAfter && r.stuck() })
	before, sent := moved(), r.flow.out.Load()
	if _, err := io.CopyN(io.Discard, r.client, sent-1000); err != nil {
		t.Fatal(err)
	}
	soon(t, "that counts as life", func() bool { return r.flow.out.Load() > sent && moved() > before })
}
