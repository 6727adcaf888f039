package proxy

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	// The idle connections that are kept for the next request: in all, to one host, and for how long. As many as the
	// transport for all other requests keeps (origin.go).
	maxIdleOrigins    = 1024
	maxIdlePerOrigin  = 128
	originIdleTimeout = 90 * time.Second

	// sweepEvery is how soon a connection is closed that has ended, or on which something came unasked.
	sweepEvery = time.Second

	// lookEvery is how often the wait for an origin is interrupted, to see whether the client is still there.
	lookEvery = 500 * time.Millisecond
)

// originConn is a connection to an origin, used by one exchange at a time.
type originConn struct {
	tcp  *net.TCPConn
	raw  syscall.RawConn
	addr netip.AddrPort
	key  hostPort

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
	_, err := c.tcp.Write(head)
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

func newOriginConn(c *net.TCPConn, key hostPort) *originConn {
	return &originConn{tcp: c, raw: rawConn(c), addr: remoteOf(c), key: key}
}

// origins keeps connections to origins for the fast lane. The zero value is empty. It is safe for concurrent use.
type origins struct {
	mu     sync.Mutex
	idle   map[hostPort][]*originConn // the last used is the last
	count  int
	sweep  *time.Timer
	closed bool
}

// take returns an idle connection to a host, or nil. One that has ended, or on which something came unasked, is not used.
func (o *origins) take(key hostPort) *originConn {
	for {
		c := o.pop(key)
		if c == nil || peek(c.raw) == peekNothing {
			return c
		}
		_ = c.tcp.Close()
	}
}

func (o *origins) pop(key hostPort) *originConn {
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
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.count >= maxIdleOrigins || len(o.idle[c.key]) >= maxIdlePerOrigin {
		_ = c.tcp.Close()
		return
	}
	if o.idle == nil {
		o.idle = make(map[hostPort][]*originConn)
	}
	o.idle[c.key] = append(o.idle[c.key], c)
	if o.count++; o.sweep == nil {
		o.sweep = time.AfterFunc(sweepEvery, o.sweepIdle)
	}
}

// sweepIdle closes what was idle for too long, and comes again while there is any left.
func (o *origins) sweepIdle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sweep = nil
	old := time.Now().Add(-originIdleTimeout)
	for key, list := range o.idle {
		kept := list[:0]
		for _, c := range list {
			if c.idleSince.Before(old) || peek(c.raw) != peekNothing {
				_ = c.tcp.Close()
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
	defer o.mu.Unlock()
	for _, list := range o.idle {
		for _, c := range list {
			_ = c.tcp.Close()
		}
	}
	o.idle, o.count = nil, 0
}
