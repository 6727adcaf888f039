package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// front owns every accepted connection. It takes CONNECT and the requests that the fast lane understands, plain ones and those
// inside of intercepted connections; a connection with anything else goes to net/http, with every byte that came, and stays there.
type front struct {
	server *Server
	limits frontLimits
	others chan net.Conn // to net/http

	mu        sync.Mutex
	accepts   []*net.TCPListener
	loops     []*acceptor
	open      map[*lane]struct{}
	stopping  bool // no listener is accepted from any more
	accepting sync.WaitGroup
	closing   bool
	over      chan struct{} // closed when closing
	running   sync.WaitGroup
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
	f.begin(c, entrance{turnAway: f.server.door.turnAway})
}

// entrance is how a connection came.
type entrance struct {
	socks    bool                          // its client speaks SOCKS
	dest     hostPort                      // from which a packet filter took it on its way there; zero if it was made to this proxy
	turnAway func(*net.TCPConn, limitName) // tells a client that it has met a limit, and closes
}

// begin begins to serve a connection.
func (f *front) begin(c *net.TCPConn, came entrance) {
	peer, zoned := addresses(c)
	client := peer.Addr()
	balanced := came.dest.name.IsZero() && f.server.isBalancer(client)
	if balanced {
		client = netip.Addr{} // not known before the balancer has told it: until then the connection is nobody's
	}
	seat, met := f.server.admission.connect(client)
	if met != "" {
		f.server.meets(met, occasion{client: peer.Addr()})
		came.turnAway(c, met)
		return
	}
	l := newLane(f, c, netip.AddrPort{}, seat)
	l.entrance = came
	if balanced {
		l.balancer = peer
	} else if f.server.cfg.Clients.Allowed(zoned) {
		l.client = peer
	}
	if !f.enter(l) {
		_ = c.Close()
		l.release()
		return
	}
	go f.run(l)
}

// takeInside serves the inside of an intercepted connection, or has net/http do it. It is false if the front is closed.
func (f *front) takeInside(c *tls.Conn, i *interception) (taken bool) {
	if c.ConnectionState().NegotiatedProtocol == "h2" {
		return f.give(f.server.insides, c)
	}
	l := newInnerLane(f, c, i)
	if taken = f.enter(l); taken {
		f.run(l)
	}
	return taken
}

// enter takes a lane in, which then is run. It is false if the front is closed.
func (f *front) enter(l *lane) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return false
	}
	f.open[l] = struct{}{}
	f.running.Add(1)
	return true
}

func (f *front) run(l *lane) {
	defer f.running.Done()
	defer f.forget(l)
	l.run()
}

func (f *front) forget(l *lane) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, l)
}

// accept runs the loop of a listener until the front is closed. It fails only for what is no listening socket.
func (f *front) accept(ctx context.Context, l *net.TCPListener, a *acceptor) error {
	if !f.listen(l, a) {
		_ = l.Close()
		return nil
	}
	defer f.accepting.Done()
	return a.run(ctx)
}

// listen notes a listener to be closed with the front; false if that is closed already.
func (f *front) listen(l *net.TCPListener, a *acceptor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopping {
		return false
	}
	f.accepting.Add(1)
	f.accepts = append(f.accepts, l)
	f.loops = append(slices.Clone(f.loops), a)
	return true
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

// close stops accepting, and has idle connections closed at once, all others after the exchange that they are at or about to begin. So no
// client is lost that was accepted, whose next attempt another process would serve, on the same socket.
func (f *front) close() {
	f.stopAccepting()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return
	}
	f.closing = true
	close(f.over)
	for l := range f.open {
		l.retire()
	}
}

// stopAccepting returns when all that was accepted has entered.
func (f *front) stopAccepting() {
	f.mu.Lock()
	f.stopping = true
	for _, l := range f.accepts {
		_ = l.Close()
	}
	for _, a := range f.loops {
		a.freed()
	}
	f.mu.Unlock()
	f.accepting.Wait()
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
	conn, to := newFrontConn(l.tcp, f.limits), f.others
	conn.Conn = &writeLimited{Conn: l.tcp, limit: f.limits.Idle} // what is written is taken within the limit, too
	conn.seat, conn.release, conn.remote = l.seat, l.release, l.remote
	conn.dest, conn.framing.ownHost = l.dest, !l.dest.name.IsZero()
	if l.inner != nil { // which has such a limit, and keeps the seat
		conn.Conn, conn.release, to = l.conn, nil, f.server.insides
	}
	conn.replay(l.buf[l.r:l.w], l.headBy)
	return f.give(to, conn)
}

// give gives a connection to a server of net/http. It is false if those are closed.
func (f *front) give(to chan<- net.Conn, c net.Conn) bool {
	select {
	case <-f.over: // before anything else: they take no more
		return false
	default:
	}
	select {
	case to <- c:
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
	laneNew int32 = iota // nothing has come yet
	laneIdle
	laneBusy
	laneRetired
)

// newGrace is how long a retired lane waits for the first request: its client has connected, and a request may be on its way.
const newGrace = time.Second

// retire has a lane that is idle end, and one that is new or busy, or about to be, after its exchange.
func (l *lane) retire() {
	switch l.state.Swap(laneRetired) {
	case laneNew:
		_ = l.tcp.SetReadDeadline(time.Now().Add(newGrace))
	case laneIdle:
		l.wake()
	}
}

// wake ends the wait for a request, unless one is coming.
func (l *lane) wake() {
	if peek(l.raw) != peekBytes {
		_ = l.tcp.SetReadDeadline(time.Unix(1, 0))
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
