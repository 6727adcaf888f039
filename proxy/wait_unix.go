//go:build unix

package proxy

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// attempt is one try of a waiter; false has it wait for more.
func (w *waiter) attempt(fd uintptr) bool {
	w.buf = smallBuffers.Get().(*smallBuffer)
	w.n, w.err = ignoringEINTR(syscall.Read, int(fd), w.buf[:])
	switch {
	case errors.Is(w.err, syscall.EAGAIN):
		smallBuffers.Put(w.buf)
		w.buf = nil
		return false
	case w.err != nil:
		w.n, w.err = 0, os.NewSyscallError("read", w.err)
	case w.n == 0:
		w.err = io.EOF
	}
	return true
}

// What peek finds at a connection.
const (
	peekNothing = iota // it is open, and nothing has come
	peekBytes          // something has come
	peekEnd            // it has ended, or failed
)

// peek looks at what has come, without taking it or waiting for it.
func peek(raw syscall.RawConn) (found int) {
	if raw == nil {
		return peekNothing
	}
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
			found = peekNothing
		case err == nil && n > 0:
			found = peekBytes
		default:
			found = peekEnd
		}
	})
	if err != nil {
		return peekEnd
	}
	return found
}
