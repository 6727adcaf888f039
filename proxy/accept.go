package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	acceptFirstPause = 5 * time.Millisecond
	acceptLastPause  = time.Second
)

// acceptor takes connections from a listener, whatever happens to it. While descriptors have run out it takes each client
// by one that it holds in reserve, tells it so, and has the descriptor back with the end of that connection. So clients do
// not hang, and the loop does not spin: it waits for the next of them as ever.
type acceptor struct {
	listener interface{ AcceptTCP() (*net.TCPConn, error) }
	take     func(*net.TCPConn)        // has a connection served, and returns at once
	refuse   func(*net.TCPConn)        // says that descriptors have run out, and closes before it returns
	failed   func(error)               // counts and logs that a connection could not be taken
	spare    func() (io.Closer, error) // opens something that takes one descriptor; nil: the null device

	reserve io.Closer   // nil while it is given up
	starved atomic.Bool // nothing could be accepted the last time
	wake    chan struct{}
}

func newAcceptor(l *net.TCPListener, take, refuse func(*net.TCPConn), failed func(error)) *acceptor {
	return &acceptor{listener: l, take: take, refuse: refuse, failed: failed, wake: make(chan struct{}, 1)}
}

// run accepts until the listener is closed, and then returns nil; that ctx ends as well spares it the rest of a pause. It
// returns an error only for what is no listening socket. It is called once.
func (a *acceptor) run(ctx context.Context) error {
	a.holdReserve()
	defer a.giveUpReserve()
	var pause time.Duration
	for {
		c, err := a.listener.AcceptTCP()
		switch {
		case err == nil:
			pause = 0
			a.starved.Store(false)
			a.accepted(c)
		case errors.Is(err, net.ErrClosed), ctx.Err() != nil:
			return nil
		case !passing(err):
			return err
		default:
			a.failed(err)
			if descriptorsExhausted(err) && a.giveUpReserve() {
				continue
			}
			pause = min(max(2*pause, acceptFirstPause), acceptLastPause)
			a.starved.Store(true)
			a.rest(ctx, pause)
		}
	}
}

// accepted serves a connection if the reserve is there, or can be had again: then there are descriptors.
func (a *acceptor) accepted(c *net.TCPConn) {
	if a.holdReserve() {
		a.take(c)
		return
	}
	a.refuse(c)
	a.holdReserve() // or later: somebody else may have been faster
}

// holdReserve reports whether there is a descriptor in reserve now.
func (a *acceptor) holdReserve() bool {
	if a.reserve != nil {
		return true
	}
	open := a.spare
	if open == nil {
		open = func() (io.Closer, error) { return os.Open(os.DevNull) }
	}
	r, err := open()
	if err != nil {
		return false
	}
	a.reserve = r
	return true
}

// giveUpReserve reports whether there was one.
func (a *acceptor) giveUpReserve() bool {
	if a.reserve == nil {
		return false
	}
	_ = a.reserve.Close()
	a.reserve = nil
	return true
}

// rest waits for as long, or until ctx ends or something was closed.
func (a *acceptor) rest(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.wake:
	case <-ctx.Done():
	}
}

// freed is told when something was closed that had a descriptor: a loop that waits for one tries again at once. It costs
// next to nothing while none waits.
func (a *acceptor) freed() {
	if !a.starved.Load() {
		return
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// descriptorsExhausted reports whether something failed because this process, or the system, has no descriptors left.
func descriptorsExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// passing tells errors of accept that may be gone the next time from those of a socket that is no listener. There are many
// of the former: want of descriptors or memory, a client that left, a firewall's word, or what befell the new connection,
// which Linux reports here (accept(2)).
func passing(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && errno != syscall.EBADF && errno != syscall.EINVAL && errno != syscall.ENOTSOCK && errno != syscall.EFAULT
}
