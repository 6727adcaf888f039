package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// frontLimits bound what a client may send and how long it may take.
type frontLimits struct {
	Head        int           // bytes of a request head
	HeaderCount int           // fields of a request head
	HeadTimeout time.Duration // from the first byte of a head to its end; 0: no limit
	Idle        time.Duration // for the first byte of a request, and for each further part of a body; 0: no limit
}

const (
	// frontBuffer is what a connection borrows while a head is incomplete.
	frontBuffer = 4 << 10

	// maxEarly bounds what is read of a tunnel before there is one. A ClientHello fits; the rest waits in the socket.
	maxEarly = 16 << 10

	// lingerTime and lingerBytes bound how long a connection is read on after a fault was answered. Closing with unread
	// bytes makes the system send a reset, which can overtake the answer.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 4 << 20
)

var frontBuffers = sync.Pool{New: func() any { return new([frontBuffer]byte) }}

// frontConn stands between a client and net/http, which reads from it only what framing lets through. It knows these cases:
//
//   - A head at fault, or too slow, becomes the request that [FaultOf] knows, and then the end of the stream.
//   - A body at fault, broken off or too slow makes Read return an error that is not io.EOF, now and ever after, so that
//     nobody takes half a body for a whole one. The error for a fault is the [*Fault].
//   - After a CONNECT head nothing more is let through. Read waits, so that net/http notices when the client leaves, and
//     what the client sends early is kept for Detach. So every answer to CONNECT that is no tunnel must close the connection.
//
// All read deadlines that a connection needs are its own: net/http.Server gets none. It writes nothing by itself. Read is
// called by one goroutine at a time, and Detach only when none does; the other methods may be called beside it.
type frontConn struct {
	net.Conn
	tcp     *net.TCPConn   // the same, or what is beneath its TLS
	remote  netip.AddrPort // the client's address, where a balancer made the connection; zero: that of the connection
	limits  frontLimits
	framing framing
	dest    hostPort // from which a packet filter took the connection on its way there; zero if it was made to this proxy
	seat    seat
	release func() // gives up the seat, once, when the connection is closed; nil: there is none

	// buf[r:w] was received and not read yet, of which the first free bytes are let through. Buf is nil while nothing is
	// held, as on an idle connection: then bytes go straight to the caller.
	buf  []byte
	r, w int
	free int

	// before is how many of the free bytes stand before the request for a fault. They are read apart from it: net/http, which
	// watches the client while it answers, must not find the end already.
	before int

	end     error       // what Read returns once nothing is held
	faulted atomic.Bool // something was refused, and not all of it was read

	deadlines frontDeadlines
}

func newFrontConn(c *net.TCPConn, limits frontLimits) *frontConn {
	f := frontOf(c, limits)
	f.tcp = c
	return f
}

func frontOf(c net.Conn, limits frontLimits) *frontConn {
	return &frontConn{Conn: c, limits: limits, framing: framing{maxHead: limits.Head, maxFields: limits.HeaderCount}}
}

// replay holds what came from the client before. A head that has begun must be complete by headBy.
func (c *frontConn) replay(held []byte, headBy time.Time) {
	if len(held) == 0 {
		return
	}
	c.deadlines.headBy = headBy
	c.hold(held)
	c.passHeld()
}

// Read returns bytes that were let through.
func (c *frontConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for c.free == 0 {
		switch {
		case c.end != nil:
			return 0, c.end
		case c.framing.part == inTunnel && c.w-c.r >= maxEarly:
			// Nothing happened, as far as net/http is concerned. It stops watching the client.
			return 0, nil
		case c.buf == nil:
			if n, err := c.readDirectly(p); n > 0 || err != nil {
				return n, err
			}
		default:
			if err := c.readHeld(); err != nil {
				return 0, err
			}
		}
	}
	n := c.free
	if c.before > 0 {
		n = c.before
	}
	n = copy(p, c.buf[c.r:c.r+n])
	c.r += n
	c.free -= n
	c.before = max(c.before-n, 0)
	if c.r == c.w {
		c.giveBack()
	}
	return n, nil
}

// readDirectly receives into the caller's memory and keeps what may not pass yet.
func (c *frontConn) readDirectly(p []byte) (int, error) {
	n, err := c.receive(p)
	if n == 0 {
		return 0, err
	}
	passed, fault := c.pass(p[:n])
	if fault != nil {
		c.refuse(fault)
	} else {
		c.hold(p[passed:n])
	}
	return passed, nil
}

// readHeld receives behind what is held already.
func (c *frontConn) readHeld() error {
	c.makeRoom(1)
	n, err := c.receive(c.buf[c.w:])
	if n == 0 {
		return err
	}
	c.w += n
	c.passHeld()
	return nil
}

// passHeld lets through what may pass of the bytes that are held.
func (c *frontConn) passHeld() {
	var fault *Fault
	c.free, fault = c.pass(c.buf[c.r:c.w])
	if fault != nil {
		c.w = c.r + c.free
		c.refuse(fault)
	}
}

// pass returns how many bytes of b are let through. Once some are, whatever is awaited next has its full time.
func (c *frontConn) pass(b []byte) (n int, fault *Fault) {
	n, fault = c.framing.pass(b)
	if n > 0 {
		c.deadlines.headBy = time.Time{}
	}
	return n, fault
}

// refuse ends the stream for a fault, behind what was let through before it.
func (c *frontConn) refuse(fault *Fault) {
	c.faulted.Store(true)
	if c.framing.part != inHead {
		c.end = fault
		return
	}
	c.end = io.EOF
	request := fault.request()
	c.before = c.free
	c.hold(request)
	c.free += len(request)
}

// receive reads from the client until the deadline for what is awaited. It returns neither bytes nor an error if the time
// was up and the client is at fault for it.
func (c *frontConn) receive(p []byte) (int, error) {
	if err := c.await(len(p)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, c.expired(err)
	case errors.Is(err, io.EOF) && c.framing.part != inHead && c.framing.part != inTunnel:
		c.end = io.ErrUnexpectedEOF
		return 0, c.end
	}
	return 0, err
}

// hold keeps bytes behind those that are held already.
func (c *frontConn) hold(b []byte) {
	if len(b) > 0 {
		c.makeRoom(len(b))
		c.w += copy(c.buf[c.w:], b)
	}
}

// makeRoom makes room for n bytes at the end of buf, which it borrows, tidies up or enlarges.
func (c *frontConn) makeRoom(n int) {
	if c.buf == nil {
		c.buf = frontBuffers.Get().(*[frontBuffer]byte)[:]
	}
	if len(c.buf)-c.w >= n {
		return
	}
	to := c.buf
	if held := c.w - c.r; len(c.buf)-held < n {
		to = make([]byte, max(2*len(c.buf), held+n))
	}
	held := copy(to, c.buf[c.r:c.w])
	if len(to) != len(c.buf) {
		c.giveBack()
		c.buf = to
	}
	c.r, c.w = 0, held
}

// giveBack returns what was borrowed.
func (c *frontConn) giveBack() {
	if len(c.buf) == frontBuffer {
		frontBuffers.Put((*[frontBuffer]byte)(c.buf))
	}
	c.buf, c.r, c.w = nil, 0, 0
}

// Detach hands over the TCP connection, without deadlines, once net/http has given up its own hold by Hijack. Early is what
// came from the client and was not let through. What was let through and not used is in the reader that Hijack returned: so
// what the client sent goes on with that reader's buffered bytes, then early, then the connection. Behind a CONNECT head
// nothing is let through, so the reader is empty then.
//
// If the client is at fault already, the connection is handed over closed.
func (c *frontConn) Detach() (tcp *net.TCPConn, early []byte) {
	return c.tcp, c.detach()
}

// detach is Detach for whatever the front reads from.
func (c *frontConn) detach() (early []byte) {
	if c.faulted.Swap(false) {
		_ = c.tcp.Close()
	} else {
		early = bytes.Clone(c.buf[c.r:c.w])
		_ = c.Conn.SetDeadline(time.Time{})
	}
	c.giveBack()
	c.free, c.end = 0, net.ErrClosed
	return early
}

// RemoteAddr is the client's address.
func (c *frontConn) RemoteAddr() net.Addr {
	if c.remote.IsValid() {
		return net.TCPAddrFromAddrPort(c.remote)
	}
	return c.Conn.RemoteAddr()
}

// CloseWrite ends the answers; net/http does it before it waits for a client that is still sending.
func (c *frontConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection. If a fault was answered, it reads on for up to half a second, so that the answer arrives; a
// second call ends that.
func (c *frontConn) Close() error {
	if c.faulted.Swap(false) && c.CloseWrite() == nil {
		_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
	}
	if c.release != nil {
		defer c.release()
	}
	return c.Conn.Close()
}
