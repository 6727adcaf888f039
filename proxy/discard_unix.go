//go:build unix

package proxy

import (
	"net"
	"syscall"
)

// discardReceived takes what has come already, and waits for nothing.
func discardReceived(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	b := borrow()
	defer b.giveBack()
	_ = raw.Read(func(fd uintptr) bool {
		_, _ = syscall.Read(int(fd), b[:])
		return true
	})
}
