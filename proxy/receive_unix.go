//go:build unix

package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// makeAttempts prepares what receive and send hand to a RawConn.
func (n *direction) makeAttempts() { n.receiving, n.sending = n.tryReceive, n.trySend }

// receive waits for what comes next, and holds it. All that came before must be sent.
func (n *direction) receive() error {
	n.err = nil
	if err := n.src.raw.Read(n.receiving); err != nil {
		return err
	}
	return n.err
}

// tryReceive takes what has come, into something that it borrows for the attempt and gives back while there is nothing: a
// tunnel that waits holds nothing.
func (n *direction) tryReceive(fd uintptr) (done bool) {
	if n.splices() {
		if done, handled := n.spliceIn(fd); handled {
			return done
		}
	}
	n.borrow()
	got, err := ignoringEINTR(syscall.Read, int(fd), n.buf)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		n.dry()
		return false
	case err != nil:
		n.err = os.NewSyscallError("read", err)
	case got == 0:
		n.err = io.EOF
	default:
		n.rest = n.buf[:got]
		n.received(got)
	}
	return true
}

// send sends all that is held. If that fails it acts upon the failure, before a reader beside it can take it for an end: see
// settle.
func (n *direction) send() (ok bool) {
	switch {
	case n.left() == 0:
		return true
	case n.void:
		n.giveBack()
		return true
	}
	n.waited, n.done = false, false
	err := n.dst.raw.Write(n.sending)
	if err == nil {
		err = n.err
	}
	if err != nil {
		n.lose(err)
	}
	if n.done {
		n.dst.writing.Unlock()
	}
	n.giveBack()
	return err == nil || n.void
}

// trySend sends what can be sent now. When it is done, well or not, dst.writing stays locked.
func (n *direction) trySend(fd uintptr) (done bool) {
	n.dst.writing.Lock()
	before := n.left()
	n.err = n.push(fd)
	if n.waited && n.left() < before {
		n.relay.watch.touch()
	}
	n.waited = true
	if errors.Is(n.err, syscall.EAGAIN) {
		n.dst.writing.Unlock()
		return false
	}
	n.done = true
	return true
}

// push writes until all is sent, the destination takes nothing more, or it fails.
func (n *direction) push(fd uintptr) error {
	if err := n.spliceOut(fd); err != nil {
		return err
	}
	for len(n.rest) > 0 {
		took, err := ignoringEINTR(syscall.Write, int(fd), n.rest)
		if err != nil {
			return err
		}
		n.rest = n.rest[took:]
		n.sent(took)
	}
	return nil
}

// left is how many bytes are held.
func (n *direction) left() int { return len(n.rest) + n.in }

// settle makes sure that an end is one. The system tells of a reset once: if a write learns of it, a read beside it sees an
// end. Such a write has failed before the read began, and holds the lock until its failure is acted upon.
func (s *side) settle() {
	s.writing.Lock()
	defer s.writing.Unlock()
}

func ignoringEINTR(call func(fd int, p []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// rawConn is what a direction reads from and writes to.
func rawConn(c *net.TCPConn) syscall.RawConn {
	raw, err := c.SyscallConn()
	if err != nil { // the connection is none
		panic(err)
	}
	return raw
}
