package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy/host"
)

// lane is the fast lane: it serves one client's connection for as long as that sends CONNECT or requests of the simplest kind
// (lanerequest.go), without net/http. Whatever else comes, a fault above all, is left to net/http, with every byte: so there
// is one place that answers faults, and the lane needs to be right only about what it takes.
//
// The same lane serves the inside of an intercepted connection over HTTP/1.1. What it reads and writes is TLS then; what ends the
// connection or looks at it without waiting is done to TCP in either case, since closing TLS waits for locks and for the client.
type lane struct {
	entrance
	front  *front
	server *Server
	conn   clientConn    // what is read and written: tcp itself, or TLS
	inner  *interception // beneath that TLS; nil outside of intercepted connections
	tcp    *net.TCPConn
	raw    syscall.RawConn
	client netip.AddrPort // as the policy takes it; zero: it may not come in
	remote netip.AddrPort // the client's address, where the socket's is that of the balancer; zero elsewhere
	device device         // of the client, once a request was judged
	state  laneState
	heard  bool // something has come

	balancer netip.AddrPort // that made the connection for a client; zero: the client made it itself

	seat    seat
	release func() // gives up the seat, once
	left    bool   // another has the connection now, and the seat

	wait waiter
	buf  []byte // buf[r:w] came and was not used; nil while nothing is held
	r, w int

	head   requestHead
	headBy time.Time // when the head that has begun must be complete
	last   struct {  // the authority of the last request, which is most often the next one's, too
		text string
		name host.Name
		port uint16
	}

	*laneScratch // nil while nothing is held

	cutAsFunc  func()    // cut, made once
	writableBy time.Time // the write deadline in force

	// These are read and changed under the lock of the flow in progress.
	origin *originConn
	cancel func() // of a dial
}

// clientConn is a connection of which what is written can be ended alone.
type clientConn interface {
	net.Conn
	CloseWrite() error
}

// laneHead is the largest head of a request in the fast lane.
const laneHead = 8 << 10

// laneScratch is what a lane needs while it serves, besides what came.
type laneScratch struct {
	out, reply []byte // the heads that go to the origin and to the client
	answer     laneAnswer
}

var laneScratches = sync.Pool{New: func() any { return new(laneScratch) }}

func newLane(f *front, c *net.TCPConn, client netip.AddrPort, seat seat) *lane {
	l := &lane{front: f, server: f.server, conn: c, tcp: c, raw: rawConn(c), client: client, seat: seat}
	l.release = sync.OnceFunc(func() { f.release(l.seat) })
	l.wait.init(l.raw)
	l.cutAsFunc = l.cut
	return l
}

// newInnerLane is a lane for the inside of an intercepted connection. The seat stays with the flow of that.
func newInnerLane(f *front, c *tls.Conn, i *interception) *lane {
	l := &lane{
		front: f, server: f.server, conn: c, inner: i, tcp: i.tcp, raw: rawConn(i.tcp), client: i.flow.client,
		seat: i.flow.seat, release: func() {},
	}
	l.cutAsFunc = l.cut
	return l
}

// run serves the connection to its end, or until it is handed over.
func (l *lane) run() {
	defer func() {
		if p := recover(); p != nil { // as net/http does: it ends this connection, and no other
			l.server.cfg.Log.Error("panic in an exchange", zap.Any("panic", p), zap.Stack("stack"))
			l.cut() // whatever it was at is over
			_ = l.conn.Close()
		}
		if !l.left {
			l.release()
		}
	}()
	if l.balancer.IsValid() && !l.introduce() || l.redirected() && !l.arrive() {
		return
	}
	if l.socks {
		l.serveSOCKS()
		return
	}
	for l.readHead() && l.serve() {
		if l.r == l.w {
			l.giveBack()
		}
	}
	l.giveBack()
}

// serve takes the request whose head is held, and tells whether another may follow.
func (l *lane) serve() (goesOn bool) {
	l.laneScratch = laneScratches.Get().(*laneScratch)
	defer l.dropScratch()
	if l.head.connect && l.inner == nil && !l.redirected() {
		return l.connect()
	}
	var q laneRequest
	if !l.client.IsValid() || !q.read(l) {
		l.handOver()
		return false
	}
	l.r += l.head.lines.start
	if !l.exchange(&q) {
		l.close()
		return false
	}
	return true
}

// readHead receives until a whole request head is held. It is false if the connection has ended or was handed over.
func (l *lane) readHead() bool {
	l.head, l.headBy = requestHead{}, time.Time{}
	for {
		if l.w > l.r {
			size, fault := l.head.step(l.buf[l.r:l.w], l.front.limits.Head, l.front.limits.HeaderCount)
			if size > 0 && fault == nil && l.client.IsValid() {
				return true
			}
			if size > 0 || fault != nil {
				l.handOver()
				return false
			}
		}
		if err := l.receive(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && l.w > l.r {
				l.handOver()
			} else {
				l.close()
			}
			return false
		}
	}
}

// receive waits for more of a head, or for the first byte of one: then no buffer is held, and the gateway may be shut down.
func (l *lane) receive() error {
	if l.w == l.r {
		return l.await(l.front.limits.Idle)
	}
	if l.headBy.IsZero() {
		l.headBy = after(l.front.limits.HeadTimeout)
		_ = l.tcp.SetReadDeadline(l.headBy)
	}
	l.makeRoom()
	n, err := l.conn.Read(l.buf[l.w:])
	return l.received(n, err)
}

// await waits for the first byte of what the client says next.
func (l *lane) await(limit time.Duration) error {
	l.state.CompareAndSwap(laneBusy, laneIdle)
	_ = l.tcp.SetReadDeadline(after(limit))
	switch { // again: the deadline may have undone it
	case !l.retired():
	case l.heard:
		l.wake()
	default:
		_ = l.tcp.SetReadDeadline(after(newGrace))
	}
	l.giveBack()
	buf, n, err := l.wait.receive(l.conn)
	if l.buf = buf; n > 0 {
		l.heard = true
		if !l.state.CompareAndSwap(laneNew, laneBusy) {
			l.state.CompareAndSwap(laneIdle, laneBusy)
		}
	}
	return l.received(n, err)
}

func (l *lane) received(n int, err error) error {
	if l.w += n; n > 0 {
		return nil
	}
	return err
}

// redirected tells whether a packet filter sent the connection here.
func (l *lane) redirected() bool { return !l.dest.name.IsZero() }

// dropScratch gives it back; not with the memory of a large head, which is rare.
func (l *lane) dropScratch() {
	s := l.laneScratch
	l.laneScratch = nil
	if max(cap(s.out), cap(s.reply)) > 2*laneHead {
		return
	}
	clear(s.answer.dropped)
	laneScratches.Put(s)
}

// makeRoom makes sure that more can be received behind what is held.
func (l *lane) makeRoom() {
	if l.w < len(l.buf) {
		return
	}
	to := l.buf
	if l.r == 0 {
		to = make([]byte, 2*len(l.buf)) // a head is bounded, and so is this
	}
	n := copy(to, l.buf[l.r:l.w])
	if len(to) != len(l.buf) {
		giveBackLane(l.buf)
	}
	l.buf, l.r, l.w = to, 0, n
}

func (l *lane) giveBack() {
	giveBackLane(l.buf)
	l.buf, l.r, l.w = nil, 0, 0
}

// handOver leaves the connection to net/http. If that takes none any more, the client is told so.
func (l *lane) handOver() {
	if l.left = l.front.handOver(l); l.left {
		return
	}
	if l.inner != nil {
		l.inner.flow.end("drain")
	}
	l.laneScratch = new(laneScratch)
	l.server.refusals.write(&laneWriter{lane: l, closing: true}, asker{}, &refusal{
		Status: http.StatusServiceUnavailable, Title: "Shutting down", Detail: "This gateway is shutting down.", Error: "proxy_internal_error", ID: "drain", Kind: "gateway",
	})
	l.r = l.w // it was answered
	l.close()
}

// limited answers a request of a client that makes too many.
func (l *lane) limited(w *laneWriter, by asker) {
	o := occasion{client: l.client.Addr()}
	if l.inner != nil {
		o = l.inner.flow.occasion()
	}
	l.server.meets(limitRate, o)
	l.server.refusals.limited(w, by, limitRate)
}

// close ends the connection so that what was written arrives: bytes that were not read would turn the end into a reset.
func (l *lane) close() {
	if l.r < l.w || peek(l.raw) == peekBytes {
		_ = l.conn.CloseWrite()
		_ = l.tcp.CloseWrite()
		_ = l.tcp.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, l.tcp, lingerBytes)
	}
	_ = l.conn.Close()
}

// gone tells whether the client has left.
func (l *lane) gone() bool {
	if l.inner != nil { // its last word is TLS, so that its end comes behind bytes
		return hungUp(l.raw)
	}
	return peek(l.raw) == peekEnd
}

// reset ends the connection so that nobody takes what came for the whole.
func (l *lane) reset() {
	_ = l.tcp.SetLinger(0)
	_ = l.tcp.Close()
}

// cut ends both sides of the exchange in progress; the lock of its flow is held. So TLS is left alone: closing that ends the flow
// of an intercepted connection, under whose lock this may be.
func (l *lane) cut() {
	l.reset()
	if l.origin != nil {
		_ = l.origin.tcp.Close()
	}
	if l.cancel != nil {
		l.cancel()
	}
}

// send writes to the client.
func (l *lane) send(parts ...[]byte) error {
	if l.inner != nil { // which has its own limit, since TLS cannot go on behind a part of a record
		for _, part := range parts {
			if _, err := l.conn.Write(part); err != nil {
				return err
			}
		}
		return nil
	}
	if len(parts) == 1 {
		part := parts[0]
		return l.whileItTakes(func() (int64, error) {
			n, err := l.tcp.Write(part)
			part = part[n:]
			return int64(n), err
		})
	}
	bufs := net.Buffers(parts)
	return l.whileItTakes(func() (int64, error) { return bufs.WriteTo(l.tcp) })
}

// whileItTakes has something written to the client, for as long as that takes something at least once within the idle limit.
func (l *lane) whileItTakes(write func() (int64, error)) error {
	idle := l.front.limits.Idle
	for began := time.Now(); ; {
		if idle > 0 && l.writableBy.Sub(began) < idle/2 {
			l.writableBy = began.Add(idle)
			_ = l.tcp.SetWriteDeadline(l.writableBy)
		}
		n, err := write()
		if err == nil {
			return nil
		}
		switch now := time.Now(); {
		case !errors.Is(err, os.ErrDeadlineExceeded), n == 0 && now.Sub(began) >= idle:
			return err
		case n > 0:
			began = now
		}
		l.writableBy = time.Time{}
	}
}
