//go:build !unix

package proxy

import (
	"net"
	"syscall"
)

// makeAttempts has nothing to prepare.
func (n *direction) makeAttempts() {}

// receive waits for what comes next, and holds it. On these systems it holds a buffer while it waits, too.
func (n *direction) receive() error {
	n.borrow()
	got, err := n.src.Read(n.buf)
	n.rest = n.buf[:got]
	if got > 0 {
		n.received(got)
		return nil // an error stays, and comes again
	}
	n.giveBack()
	return err
}

// send sends all that is held, and acts upon a failure.
func (n *direction) send() (ok bool) {
	if len(n.rest) == 0 || n.void {
		n.giveBack()
		return true
	}
	took, err := n.dst.Write(n.rest)
	n.sent(took)
	n.relay.watch.touch()
	if err != nil {
		n.lose(err)
	}
	n.giveBack()
	return err == nil || n.void
}

// settle is not needed: here every call after a reset fails.
func (s *side) settle() {}

func rawConn(*net.TCPConn) syscall.RawConn { return nil }
