package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// The idle connections that are kept for the next request: in all, to one host, and for how long. So the fast lane has them, and
	// so has each transport for all other requests (origin.go).
	maxIdleOrigins    = 1024
	maxIdlePerOrigin  = 128
	originIdleTimeout = 90 * time.Second

	// sweepEvery is how soon a connection is closed that has ended, or on which something came unasked.
	sweepEvery = time.Second

	// lookEvery is how often the wait for an origin is interrupted, to see whether the client is still there.
	lookEvery = 500 * time.Millisecond
)

// originKey is what a connection to an origin is good for.
type originKey struct {
	hostPort
	secure bool     // it speaks TLS
	at     hostPort // dialled in place of the host; zero: the host is
	parent bool     // it is the parent, which is asked for plain requests
}

// originConn is a connection to an origin, used by one exchange at a time.
type originConn struct {
	conn net.Conn // what is read and written: tcp itself, or TLS
	tcp  *net.TCPConn
	raw  syscall.RawConn
	addr netip.AddrPort
	key  originKey

	used       bool // it has carried an exchange before
	idleSince  time.Time
	writableBy time.Time // the write deadline in force

	// in[r:w] came and was not used; nil between exchanges. It is borrowed, unless a head was too large for that.
	buf  *answerBuffer
	in   []byte
	r, w int
}

// answerBuffer is what an answer is received into. It is large, since each time something is received and sent costs as much
// as copying some ten KiB; what is never filled takes no memory.
type answerBuffer [128 << 10]byte

var answerBuffers = sync.Pool{New: func() any { return new(answerBuffer) }}

// ask sends a request head, which an origin must take within the idle limit; 0 is no limit.
func (c *originConn) ask(head []byte, idle time.Duration) error {
	if now := time.Now(); idle > 0 && c.writableBy.Sub(now) < idle/2 { // not for each request: half the limit may pass
		c.writableBy = now.Add(idle)
		_ = c.tcp.SetWriteDeadline(c.writableBy)
	}
	_, err := c.conn.Write(head)
	return err
}

func (c *originConn) borrow() {
	c.buf = answerBuffers.Get().(*answerBuffer)
	c.in, c.r, c.w = c.buf[:], 0, 0
}

func (c *originConn) giveBack() {
	answerBuffers.Put(c.buf)
	c.buf, c.in = nil, nil
}

// makeRoom makes sure that more of a head can be received behind what is held.
func (c *originConn) makeRoom() {
	if c.w < len(c.in) {
		return
	}
	to := c.in
	if c.r == 0 {
		to = make([]byte, 2*len(c.in)) // heads are bounded, and so is this
	}
	n := copy(to, c.in[c.r:c.w])
	c.in, c.r, c.w = to, 0, n
}

func newOriginConn(c net.Conn, tcp *net.TCPConn, key originKey) *originConn {
	return &originConn{conn: c, tcp: tcp, raw: rawConn(tcp), addr: remoteOf(tcp), key: key}
}

// reach connects to an origin. No byte of a request is sent before one behind TLS has proved that it is the host.
func (s *Server) reach(ctx context.Context, key originKey) (*originConn, error) {
	tcp, err := s.dialFor(ctx, key)
	if err != nil {
		return nil, err
	}
	if !key.secure {
		return newOriginConn(tcp, tcp, key), nil
	}
	c, err := s.secured(ctx, tcp, key.name)
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return newOriginConn(c, tcp, key), nil
}

func (s *Server) dialFor(ctx context.Context, key originKey) (*net.TCPConn, error) {
	switch {
	case key.parent:
		return s.dialParent(ctx)
	case key.at.name.IsZero():
		return s.dial(ctx, key.name, key.port)
	}
	return s.dial(ctx, key.at.name, key.at.port)
}

// silent tells that a connection is open, and that nothing came on it unasked.
func (c *originConn) silent() bool {
	if peek(c.raw) != peekNothing {
		return false
	}
	if !c.key.secure {
		return true
	}
	// TLS may hold what it has received already. It does not get to ask the connection for more.
	_ = c.tcp.SetReadDeadline(time.Unix(1, 0))
	n, err := c.conn.Read(make([]byte, 1))
	_ = c.tcp.SetReadDeadline(time.Now().Add(lookEvery))
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// origins keeps connections to origins for the fast lane. The zero value is empty. It is safe for concurrent use.
type origins struct {
	mu     sync.Mutex
	idle   map[originKey][]*originConn // the last used is the last
	count  int
	sweep  *time.Timer
	closed bool
}

// take returns an idle connection to a host, or nil. One that has ended, or on which something came unasked, is not used.
func (o *origins) take(key originKey) *originConn {
	for {
		c := o.pop(key)
		if c == nil || c.silent() {
			return c
		}
		_ = c.conn.Close()
	}
}

func (o *origins) pop(key originKey) *originConn {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.idle[key]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	o.idle[key] = list[:len(list)-1]
	o.count--
	return c
}

// keep takes a connection back after an exchange that left it clean.
func (o *origins) keep(c *originConn) {
	c.used, c.idleSince = true, time.Now()
	if !o.add(c) {
		_ = c.conn.Close()
	}
}

// add puts a connection with those that are idle; false if there is no place.
func (o *origins) add(c *originConn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.count >= maxIdleOrigins || len(o.idle[c.key]) >= maxIdlePerOrigin {
		return false
	}
	if o.idle == nil {
		o.idle = make(map[originKey][]*originConn)
	}
	o.idle[c.key] = append(o.idle[c.key], c)
	if o.count++; o.sweep == nil {
		o.sweep = time.AfterFunc(sweepEvery, o.sweepIdle)
	}
	return true
}

// closeAll closes connections. The lock is not held: TLS says goodbye, for which a stuck origin takes its time.
func closeAll(list []*originConn) {
	for _, c := range list {
		_ = c.conn.Close()
	}
}

// sweepIdle closes what was idle for too long, and comes again while there is any left.
func (o *origins) sweepIdle() { closeAll(o.takeOld()) }

func (o *origins) takeOld() (taken []*originConn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sweep = nil
	old := time.Now().Add(-originIdleTimeout)
	for key, list := range o.idle {
		kept := list[:0]
		for _, c := range list {
			if c.idleSince.Before(old) || peek(c.raw) != peekNothing {
				taken = append(taken, c)
				o.count--
			} else {
				kept = append(kept, c)
			}
		}
		clear(list[len(kept):])
		if o.idle[key] = kept; len(kept) == 0 {
			delete(o.idle, key)
		}
	}
	if o.count > 0 && !o.closed {
		o.sweep = time.AfterFunc(sweepEvery, o.sweepIdle)
	}
	return taken
}

// close closes what is idle, and whatever comes back later.
func (o *origins) close() {
	o.mu.Lock()
	o.closed = true
	if o.sweep != nil {
		o.sweep.Stop()
	}
	o.mu.Unlock()
	o.closeIdle()
}

// closeIdle closes what is idle.
func (o *origins) closeIdle() {
	o.mu.Lock()
	idle := o.idle
	o.idle, o.count = nil, 0
	o.mu.Unlock()
	for _, list := range idle {
		closeAll(list)
	}
}
