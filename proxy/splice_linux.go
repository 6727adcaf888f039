package proxy

import (
	"errors"
	"io"
	"os"
	"syscall"
)

const spliceNonblock = 0x2 // SPLICE_F_NONBLOCK

// splice moves bytes between a socket and a pipe.
func splice(to, from, bytes int) (int, error) {
	for {
		n, err := syscall.Splice(from, nil, to, nil, bytes, spliceNonblock)
		if !errors.Is(err, syscall.EINTR) {
			return int(n), err
		}
	}
}

// splices tells whether what comes next is to go through a pipe: once a direction has moved a lot, and moves much at a time.
func (n *direction) splices() bool {
	return n.total >= spliceAfter && n.much() && !n.noSplice
}

// spliceIn is tryReceive with a pipe. It is not handled if there is none to be had, or the system cannot splice here.
func (n *direction) spliceIn(fd uintptr) (done, handled bool) {
	if n.pipe == nil {
		if n.pipe = n.relay.pipes.take(); n.pipe == nil {
			return false, false
		}
	}
	got, err := splice(n.pipe.w, int(fd), pipeSize)
	switch {
	case errors.Is(err, syscall.EAGAIN): // of the socket: the pipe is empty
		n.dry()
		return false, true
	case cannotSplice(err):
		n.noSplice = true
		n.freePipe()
		return false, false
	case err != nil:
		n.err = os.NewSyscallError("splice", err)
	case got == 0:
		n.err = io.EOF
	default:
		n.in = got
		n.received(got)
	}
	return true, true
}

// cannotSplice tells the errors of a system that does not splice here from those of a connection, which are told only once
// and must not be missed.
func cannotSplice(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EOPNOTSUPP)
}

// spliceOut sends what is in the pipe, until the destination takes nothing more or it fails.
func (n *direction) spliceOut(fd uintptr) error {
	for some := false; n.in > 0; some = true {
		took, err := splice(int(fd), n.pipe.r, n.in)
		switch {
		case cannotSplice(err):
			n.noSplice = true
			return n.unpipe()
		case some && errors.Is(err, syscall.EPIPE):
			// A splice that moved some bytes and then met a reset tells of the bytes only. What follows is the error of a
			// connection that ended, as if the other side had finished before.
			return syscall.ECONNRESET
		case err != nil:
			return err
		case took == 0:
			return io.ErrShortWrite
		}
		n.in -= took
		n.sent(took)
	}
	return nil
}

// unpipe brings what is in the pipe into a buffer.
func (n *direction) unpipe() error {
	held := make([]byte, n.in)
	for from := 0; from < len(held); {
		got, err := ignoringEINTR(syscall.Read, n.pipe.r, held[from:])
		if err != nil {
			return err
		}
		from += got
	}
	n.in, n.rest = 0, held
	return nil
}

// freePipe returns the pipe, if there is one. One that still holds bytes is of no more use.
func (n *direction) freePipe() {
	switch {
	case n.pipe == nil:
	case n.in > 0:
		n.relay.pipes.drop(n.pipe)
	default:
		n.relay.pipes.put(n.pipe)
	}
	n.pipe, n.in = nil, 0
}
