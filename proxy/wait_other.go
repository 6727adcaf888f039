//go:build !unix

package proxy

import "syscall"

// attempt is not there: whoever has no raw connection reads in the ordinary way.
func (*waiter) attempt(uintptr) bool { panic("no raw connections on this system") }

// What peek finds at a connection.
const (
	peekNothing = iota // it is open, and nothing has come
	peekBytes          // something has come
	peekEnd            // it has ended, or failed
)

// peek cannot look here: what has ended is noticed when it is used.
func peek(syscall.RawConn) (found int) { return peekNothing }
