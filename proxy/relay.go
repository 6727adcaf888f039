package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// relay carries bytes between a client and an origin, each way until its source ends. An end is passed on as a half-close; a
// failure ends both sides with a reset, so that neither takes what it has for the whole.
type relay struct {
	flow *flow
	idle time.Duration // without a byte in either direction; 0: no limit
	down *net.TCPConn  // to the client
	up   halfCloser    // to the origin

	refused  atomic.Bool  // the client is being told so: leave its side open for that
	lastByte atomic.Int64 // real time of the last byte in either direction, in nanoseconds
}

// halfCloser is a TCP connection, or what has one below it.
type halfCloser interface {
	net.Conn
	CloseWrite() error
	SetLinger(sec int) error
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
	if l.write(l.up, held, "upstream") {
		l.copy(l.up, l.down, &l.flow.in, "client", "upstream")
	}
}

// downward sends the client what the origin sends.
func (l *relay) downward() { l.copy(l.down, l.up, &l.flow.out, "upstream", "client") }

// copy moves bytes one way. On a failure, or when neither direction has moved a byte for the idle limit, it ends both.
func (l *relay) copy(dst, src halfCloser, count *atomic.Int64, from, to string) {
	buf := streamBuffers.Get().(*[32 << 10]byte)
	defer streamBuffers.Put(buf)
	for {
		n, err := l.read(src, buf[:])
		count.Add(int64(n))
		if n > 0 && !l.write(dst, buf[:n], to) {
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = dst.CloseWrite()
			return
		case err != nil:
			l.fail(err, from)
			return
		}
	}
}

func (l *relay) write(dst net.Conn, p []byte, to string) bool {
	if l.idle > 0 && !l.refused.Load() { // a refusal has a deadline of its own
		_ = dst.SetWriteDeadline(time.Now().Add(l.idle))
	}
	if _, err := dst.Write(p); err != nil {
		l.fail(err, to)
		return false
	}
	return true
}

// read waits for bytes as long as either direction is alive.
func (l *relay) read(c net.Conn, p []byte) (int, error) {
	for {
		if l.idle > 0 {
			_ = c.SetReadDeadline(time.Unix(0, l.lastByte.Load()).Add(l.idle))
		}
		n, err := c.Read(p)
		if n > 0 {
			l.touch()
		}
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, l.lastByte.Load())) < l.idle {
			continue // the other direction moved in the meantime
		}
		return n, err
	}
}

func (l *relay) touch() { l.lastByte.Store(time.Now().UnixNano()) }

func (l *relay) fail(err error, side string) {
	if !l.refused.Load() {
		l.flow.end(endOf(err, side))
		l.cut()
	}
}

// endOf names why a connection ended.
func endOf(err error, side string) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "idle"
	}
	return side
}
