package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracegate/gracegate/audit"
)

// innerSocket carries a WebSocket inside of an intercepted connection, over TLS on both sides, until one of them ends.
type innerSocket struct {
	flow  *flow
	down  io.ReadWriteCloser // the client
	up    io.ReadWriteCloser // the origin
	tcp   *net.TCPConn       // the client's
	stall *stall             // begun anew whenever something moves
	cut   atomic.Bool

	over    chan struct{} // closed when the origin's side is to be closed
	overNow sync.Once
}

// innerWebSocket goes on with a WebSocket to which an origin has agreed.
func (s *Server) innerWebSocket(w http.ResponseWriter, f *flow, resp *http.Response) {
	up, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		f.breakOff("upstream")
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		f.end("client")
		_ = up.Close()
		return
	}
	front := conn.(*frontConn) // HTTP/2 has no upgrades
	early := append(buffered(rw.Reader), front.detach()...)
	l := &innerSocket{flow: f, down: front.Conn, up: up, tcp: front.tcp, stall: s.newStall(f), over: make(chan struct{})}
	var origin sync.WaitGroup
	defer origin.Wait()
	defer l.close()
	origin.Go(func() {
		<-l.over
		_ = l.up.Close() // TLS says goodbye, for which a stuck origin takes its time
	})
	f.setCut(l.abort)
	l.stall.begin()
	defer l.stall.stop()
	if s.cfg.Lifetime > 0 {
		defer time.AfterFunc(s.cfg.Lifetime, func() { f.cutFor("lifetime") }).Stop()
	}
	if _, err := l.down.Write(headOf(resp)); err != nil {
		f.end("client")
		l.abort()
		return
	}
	s.record(f, audit.Start)
	origin.Go(func() {
		l.carry(l.down, l.up, nil, &f.out, "upstream")
	})
	l.carry(l.up, l.down, early, &f.in, "client")
}

// carry moves bytes from one side to the other until the source ends; then both are closed, since either end is the end of a
// WebSocket (RFC 6455, section 7.1.1).
func (l *innerSocket) carry(to, from io.ReadWriteCloser, held []byte, count *atomic.Int64, name string) {
	buf := borrow()
	defer buf.giveBack()
	n := len(held)
	for {
		if n > 0 {
			count.Add(int64(n))
			l.stall.begin()
			if held == nil {
				held = buf[:n]
			}
			if _, err := to.Write(held); err != nil {
				l.abort()
				return
			}
		}
		held = nil
		var err error
		n, err = from.Read(buf[:])
		if err == nil || n > 0 {
			continue
		}
		if errors.Is(err, io.EOF) {
			l.close()
		} else if !l.cut.Load() {
			l.flow.end(name)
			l.abort()
		}
		return
	}
}

// abort ends both sides, the client's with a reset. It may be called with the locks of this flow and of its connection's held, so
// it leaves the client's TLS alone: closing that ends the flow of the connection.
func (l *innerSocket) abort() {
	l.cut.Store(true)
	_ = l.tcp.SetLinger(0)
	_ = l.tcp.Close()
	l.end()
}

// close ends both sides in order. No lock of a flow may be held. A client that does not hear the goodbye of TLS does not hold it up.
func (l *innerSocket) close() {
	l.cut.Store(true)
	l.end()
	defer time.AfterFunc(goodbyeTime, func() { _ = l.tcp.Close() }).Stop()
	_ = l.down.Close()
}

// goodbyeTime is how long a client may take to hear that a WebSocket ends.
const goodbyeTime = 5 * time.Second

func (l *innerSocket) end() { l.overNow.Do(func() { close(l.over) }) }
