package proxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// hungUp tells whether the other side has ended what it sends, though bytes before that end were not read yet.
func hungUp(raw syscall.RawConn) (over bool) {
	err := raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // a descriptor is that small
		n, err := unix.Poll(fds, 0)
		over = err == nil && n > 0 // or it has failed, which is told unasked
	})
	return over || err != nil
}
