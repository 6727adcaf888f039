package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scriptedListener gives one answer after another, and then is closed.
type scriptedListener struct {
	answers []error // nil: a connection
	asked   []time.Duration
	started time.Time
}

func (l *scriptedListener) AcceptTCP() (*net.TCPConn, error) {
	if l.started.IsZero() {
		l.started = time.Now()
	}
	l.asked = append(l.asked, time.Since(l.started))
	if len(l.answers) == 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: net.ErrClosed}
	}
	err := l.answers[0]
	l.answers = l.answers[1:]
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	return new(net.TCPConn), nil
}

// acceptance is an acceptor with a scripted listener, and what it did.
type acceptance struct {
	*acceptor
	listener *scriptedListener
	did      []string
	full     bool // no reserve is to be had
}

func newAcceptance(answers ...error) *acceptance {
	a := &acceptance{listener: &scriptedListener{answers: answers}}
	did := func(what string) func(*net.TCPConn) {
		return func(*net.TCPConn) { a.did = append(a.did, what) }
	}
	a.acceptor = newAcceptor(nil, did("took"), did("refused"), func(error) { a.did = append(a.did, "failed") })
	a.acceptor.listener = a.listener
	a.spare = func() (io.Closer, error) {
		if a.full {
			return nil, syscall.EMFILE
		}
		return io.NopCloser(nil), nil
	}
	return a
}

func TestAcceptPausesWhileItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptance(append(append(slices.Repeat([]error{syscall.ECONNABORTED}, 6), slices.Repeat([]error{syscall.ENOBUFS}, 4)...), nil, syscall.ENOMEM, nil)...)
		if err := a.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		var pauses []time.Duration
		for i := range len(a.listener.asked) - 1 {
			pauses = append(pauses, (a.listener.asked[i+1]-a.listener.asked[i])/time.Millisecond)
		}
		if want := []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 0, 5, 0}; !slices.Equal(pauses, want) {
			t.Errorf("pauses of %d ms, want %d", pauses, want)
		}
		if want := append(slices.Repeat([]string{"failed"}, 10), "took", "failed", "took"); !slices.Equal(a.did, want) {
			t.Errorf("%q, want %q", a.did, want)
		}
	})
}

func TestAcceptTriesAgainWhenSomethingWasClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptance(slices.Repeat([]error{syscall.EMFILE}, 8)...)
		a.full = true
		ended := make(chan error)
		go func() { ended <- a.run(t.Context()) }()
		time.Sleep(300 * time.Millisecond) // in the pause that goes from 155 ms to 315 ms
		synctest.Wait()
		asked := len(a.listener.asked)
		a.freed()
		synctest.Wait()
		if got := a.listener.asked[asked:]; len(got) != 1 || got[0] != 300*time.Millisecond {
			t.Errorf("asked again at %v", got)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		a = newAcceptance(nil, nil)
		a.freed() // nobody waits for it
		if err := a.run(t.Context()); err != nil || len(a.wake) != 0 {
			t.Error(err, len(a.wake))
		}
	})
}

func TestAcceptUsesTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptance(nil, syscall.EMFILE, nil, syscall.ENFILE, nil, syscall.EMFILE, syscall.EMFILE, nil, nil)
		used := 0
		a.spare = func() (io.Closer, error) {
			// It cannot be had beside the second client, but when that is gone; nor beside the fourth, and somebody is faster
			// when that is gone.
			used++
			if slices.Contains([]int{2, 5, 6}, used) {
				return nil, syscall.EMFILE
			}
			return io.NopCloser(nil), nil
		}
		if err := a.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{"took", "failed", "refused", "failed", "took", "failed", "failed", "refused", "took"}
		if !slices.Equal(a.did, want) {
			t.Errorf("%q, want %q", a.did, want)
		}
		if got := a.listener.asked[len(a.listener.asked)-1]; got != acceptFirstPause {
			t.Errorf("paused for %v; without a reserve, for %v", got, acceptFirstPause)
		}
		if a.reserve != nil {
			t.Error("the reserve is still held")
		}
	})
}

func TestAcceptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := newAcceptance(nil, syscall.EINVAL, nil).run(t.Context()); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("no listener: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		a := newAcceptance(slices.Repeat([]error{syscall.ECONNABORTED}, 99)...)
		ended := make(chan error)
		go func() { ended <- a.run(ctx) }()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		started := time.Now()
		cancel()
		if err := <-ended; err != nil || time.Since(started) != 0 {
			t.Errorf("%v after %v", err, time.Since(started))
		}
	})
}

func TestErrorsOfAccept(t *testing.T) {
	t.Parallel()
	wrap := func(err error) error { return &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)} }
	for _, err := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPERM, syscall.ENETDOWN, syscall.EHOSTUNREACH,
	} {
		if !passing(wrap(err)) {
			t.Errorf("%v ends the loop", err)
		}
	}
	for err, want := range map[error]bool{syscall.EMFILE: true, syscall.ENFILE: true, syscall.ENOBUFS: false, syscall.ECONNABORTED: false} {
		if got := descriptorsExhausted(wrap(err)); got != want {
			t.Errorf("%v: descriptors exhausted: %v", err, got)
		}
	}
	for _, err := range []error{syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, errors.New("something else")} {
		if passing(wrap(err)) {
			t.Errorf("%v does not end the loop", err)
		}
	}
}
