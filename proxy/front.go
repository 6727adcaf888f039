package proxy

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// front owns every accepted connection. It takes CONNECT and the plain requests that the fast lane understands; a
// connection with anything else goes to net/http, with every byte that came, and stays there.
type front struct {
	server *Server
	limits frontLimits
	others chan net.Conn // to net/http

	mu      sync.Mutex
	accepts []*net.TCPListener
	loops   []*acceptor
	open    map[*lane]struct{}
	closing bool
	over    chan struct{} // closed when closing
	running sync.WaitGroup
}

func newFront(s *Server) *front {
	return &front{
		server: s,
		limits: frontLimits{Head: s.cfg.Head, HeaderCount: s.cfg.Headers, HeadTimeout: s.cfg.Hello, Idle: s.cfg.Idle},
		others: make(chan net.Conn), open: make(map[*lane]struct{}), over: make(chan struct{}),
	}
}

// take begins to serve an accepted connection.
func (f *front) take(c *net.TCPConn) {
	client, zoned := addresses(c)
	seat, met := f.server.admission.connect(client.Addr())
	if met != "" {
		f.server.meets(met, occasion{client: client.Addr()})
		f.server.door.turnAway(c, met)
		return
	}
	if !f.server.cfg.Clients.Allowed(zoned) {
		client = netip.AddrPort{}
	}
	l := newLane(f, c, client, seat)
	f.mu.Lock()
	if f.closing {
		f.mu.Unlock()
		_ = c.Close()
		l.release()
		return
	}
	f.open[l] = struct{}{}
	f.running.Add(1)
	f.mu.Unlock()
	go func() {
		defer f.running.Done()
		defer f.forget(l)
		l.run()
	}()
}

func (f *front) forget(l *lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, l)
}

// listen notes a listener to be closed with the front; false if that is closed already.
func (f *front) listen(l *net.TCPListener, a *acceptor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accepts = append(f.accepts, l)
	f.loops = append(slices.Clone(f.loops), a)
	return !f.closing
}

// wait waits until no connection is served here any more, or ctx ends.
func (f *front) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		f.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close stops accepting, and has idle connections closed at once, all others after the exchange that they are at.
func (f *front) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return
	}
	f.closing = true
	close(f.over)
	for _, l := range f.accepts {
		_ = l.Close()
	}
	for l := range f.open {
		l.retire()
	}
}

// abort ends every connection.
func (f *front) abort() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.open {
		_ = l.tcp.SetLinger(0)
		_ = l.tcp.Close()
	}
}

// release gives up the seat of a connection that is closed. Whoever waits for descriptors may have its own.
func (f *front) release(s seat) {
	s.release(time.Now())
	f.mu.Lock()
	loops := f.loops
	f.mu.Unlock()
	for _, a := range loops {
		a.freed()
	}
}

// handOver gives a connection to net/http, which reads first what is held. It is false if that is closed.
func (f *front) handOver(l *lane) bool {
	select {
	case <-f.over:
		return false
	default:
	}
	conn := newFrontConn(l.tcp, f.limits)
	conn.Conn = &writeLimited{Conn: l.tcp, limit: f.limits.Idle} // what is written is taken within the limit, too
	conn.seat, conn.release = l.seat, l.release
	conn.replay(l.buf[l.r:l.w], l.headBy)
	select {
	case f.others <- conn:
		return true
	case <-f.over:
		return false
	}
}

// frontListener is where net/http gets its connections from.
type frontListener struct{ *front }

func (l frontListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.others:
		return c, nil
	case <-l.over:
		return nil, http.ErrServerClosed
	}
}

func (l frontListener) Close() error {
	l.close()
	return nil
}

func (l frontListener) Addr() net.Addr { return &net.TCPAddr{} }

// laneState tells whether a lane waits for a request.
type laneState struct{ atomic.Int32 }

const (
	laneIdle int32 = iota
	laneBusy
	laneRetired
)

// retire closes a lane that is idle, and has one that is busy, or about to be, end after its exchange.
func (l *lane) retire() {
	if l.state.Swap(laneRetired) == laneIdle && peek(l.wait.raw) != peekBytes {
		_ = l.tcp.Close()
	}
}

func (l *lane) retired() bool { return l.state.Load() == laneRetired }

// addresses are the client's address as the policy takes it, and as the connection has it.
func addresses(c *net.TCPConn) (client netip.AddrPort, zoned netip.Addr) {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, netip.Addr{}
	}
	at := a.AddrPort()
	return netip.AddrPortFrom(host.ClientAddr(at.Addr()), at.Port()), at.Addr()
}
