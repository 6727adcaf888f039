//go:build !linux

package proxy

import "syscall"

// hungUp does not look past bytes that were not read.
func hungUp(raw syscall.RawConn) bool { return peek(raw) == peekEnd }
