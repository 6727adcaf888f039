//go:build !unix

package proxy

import "syscall"

// receive is not there: whoever has no raw connection reads in the ordinary way, and holds a buffer while it waits.
func receive(syscall.RawConn) (buf *streamBuffer, n int, err error) {
	panic("no raw connections on this system")
}

func rawConn(any) syscall.RawConn { return nil }
