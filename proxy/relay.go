package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// relay carries bytes between a client and an origin, each way until its source ends. An end is passed on as a half-close; a
// failure ends both sides with a reset, so that neither takes what it has for the whole.
type relay struct {
	flow     *flow
	idle     time.Duration // without a byte in either direction; 0: no limit
	down, up side          // to the client, to the origin

	whole    atomic.Bool  // the origin has said all, and the client got it
	refused  atomic.Bool  // the client is being told so: leave its side open for that
	lastByte atomic.Int64 // real time of the last byte in either direction, in nanoseconds
}

// side is one end of a relay.
type side struct {
	halfCloser
	name    string
	raw     syscall.RawConn // for receive; may be nil
	writing chan struct{}   // holds an item while something is written
}

// halfCloser is a TCP connection, or what has one below it.
type halfCloser interface {
	net.Conn
	CloseWrite() error
	SetLinger(sec int) error
}

func newRelay(f *flow, idle time.Duration, down *net.TCPConn, up halfCloser) *relay {
	l := &relay{
		flow: f, idle: idle,
		down: side{down, "client", rawConn(down), make(chan struct{}, 1)},
		up:   side{up, "upstream", rawConn(up), make(chan struct{}, 1)},
	}
	l.touch()
	return l
}

// cut ends both sides at once, with a reset. It may be called from anywhere, and more than once.
func (l *relay) cut() {
	_ = l.down.SetLinger(0)
	_ = l.up.SetLinger(0)
	l.close()
}

func (l *relay) close() {
	_ = l.down.Close()
	_ = l.up.Close()
}

// upward sends the origin what is held, and then what the client sends.
func (l *relay) upward(held []byte) {
	l.flow.in.Add(int64(len(held)))
	if l.write(&l.up, held) && l.copy(&l.up, &l.down, &l.flow.in) {
		_ = l.up.CloseWrite()
	}
}

// downward sends the client what the origin sends.
func (l *relay) downward() {
	if l.copy(&l.down, &l.up, &l.flow.out) {
		l.whole.Store(true)
		_ = l.down.CloseWrite()
	}
}

// copy moves bytes one way, to the end. On a failure, or when neither direction has moved a byte for the idle limit, it ends
// both.
func (l *relay) copy(dst, src *side, count *atomic.Int64) (ended bool) {
	for {
		buf, n, err := l.read(src)
		count.Add(int64(n))
		wrote := n == 0 || l.write(dst, buf[:n])
		buf.giveBack()
		switch {
		case !wrote:
			return false
		case errors.Is(err, io.EOF):
			src.settle()
			return true
		case err != nil:
			l.fail(err, src)
			return false
		}
	}
}

func (l *relay) write(dst *side, p []byte) bool {
	dst.writing <- struct{}{}
	defer func() { <-dst.writing }()
	if l.idle > 0 && !l.refused.Load() { // a refusal has a deadline of its own
		_ = dst.SetWriteDeadline(time.Now().Add(l.idle))
	}
	_, err := dst.Write(p)
	if dst == &l.up && errors.Is(err, syscall.EPIPE) {
		// The origin ended before it went away, or the error would be a reset. What it said is whole and still on its way to
		// the client; only what the client says goes nowhere.
		return false
	}
	if err != nil {
		l.fail(err, dst)
	}
	return err == nil
}

// settle makes sure that an end is one. The system tells of a reset once: if a write learns of it, a read beside it sees an
// end. Such a write returns at once, with its failure acted upon; one that takes longer has nothing to tell.
func (s *side) settle() {
	late := time.NewTimer(time.Second)
	defer late.Stop()
	select {
	case s.writing <- struct{}{}:
		<-s.writing
	case <-late.C:
	}
}

// read waits for bytes as long as either direction is alive. The buffer, if there is one, is to be given back.
func (l *relay) read(src *side) (buf *streamBuffer, n int, err error) {
	for {
		if l.idle > 0 {
			_ = src.SetReadDeadline(time.Unix(0, l.lastByte.Load()).Add(l.idle))
		}
		buf, n, err = src.receive()
		if n > 0 {
			l.touch()
		}
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, l.lastByte.Load())) < l.idle {
			buf.giveBack()
			continue // the other direction moved in the meantime
		}
		return buf, n, err
	}
}

func (s *side) receive() (buf *streamBuffer, n int, err error) {
	if s.raw != nil {
		return receive(s.raw)
	}
	buf = borrow()
	n, err = s.Read(buf[:])
	return buf, n, err
}

func (l *relay) touch() { l.lastByte.Store(time.Now().UnixNano()) }

// fail ends both sides for a failure of one. A client that got all there was is not reset: an origin which has said all may
// be gone before it hears the client's farewell.
func (l *relay) fail(err error, at *side) {
	switch {
	case l.refused.Load():
	case !l.whole.Load():
		l.flow.end(endOf(err, at.name))
		l.cut()
	default:
		if at == &l.down {
			l.flow.end(endOf(err, at.name))
		}
		_ = l.up.SetLinger(0)
		l.close()
	}
}

// endOf names why a connection ended.
func endOf(err error, side string) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "idle"
	}
	return side
}
