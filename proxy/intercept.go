package proxy

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/proxy/hello"
)

// Issuer makes the certificates of intercepted connections.
type Issuer interface {
	Permits(name host.Name) bool // whether its constraints let it sign for the name

	// ServerConfig serves a certificate for the server name that the client sends, if that is permitted, and offers these
	// protocols (ALPN).
	ServerConfig(nextProtos ...string) *tls.Config
}

// interception is a connection of which the policy must see the requests. This gateway answers the client's hello itself; the
// requests inside go through the gate one by one, in the fast lane (lane.go) or by net/http (inner.go), and to their origin over another
// connection (secure.go).
//
// It is a net.Conn, below TLS: what the client said so far comes first, and closing it ends its flow.
type interception struct {
	net.Conn // the client's; bounds the time of writes
	tcp      *net.TCPConn
	server   *Server
	flow     *flow // of the connection: that of its CONNECT

	held     []byte // of the client, to be read first
	lifetime *time.Timer
	handed   atomic.Bool // to who serves the requests inside, and ends the flow by Close
	over     sync.Once

	mu       sync.Mutex
	requests map[*flow]struct{} // in progress inside
	ended    string             // why all of them were cut
}

// interceptable tells whether requests for a name can be seen: this gateway has a CA that may sign for it.
func (s *Server) interceptable(name host.Name) bool {
	return s.cfg.Issuer != nil && !name.IsZero() && !name.IsAddr() && s.cfg.Issuer.Permits(name)
}

// mustIntercept tells whether the policy must see the requests of a flow, and can. Where it cannot, the verdict stands: it is
// that of unseen.request then.
func (s *Server) mustIntercept(f *flow, r *ruling) bool {
	if r.Need != policy.NeedRequest {
		return false
	}
	if f.facts.Stage == policy.StageHello {
		return f.facts.Hello == policy.HelloWithName && s.interceptable(f.facts.SNI)
	}
	return s.interceptable(f.facts.Authority)
}

// intercept takes a CONNECT whose requests must be seen. The client gets its 200 at once: if its origin cannot be reached, it
// will hear so in an answer to its request.
func (s *Server) intercept(w http.ResponseWriter, f *flow) {
	s.open(f, nil)
	i := &interception{server: s, flow: f}
	begun := false
	defer func() {
		if !begun {
			f.end("client")
			s.record(f, audit.End)
			s.close(f)
		}
	}()
	down, early, err := detach(w, f)
	if err != nil {
		s.cfg.Log.Debug("connection lost before its interception began", zap.Error(err))
		return
	}
	i.take(down, early)
	begun = true
	go i.run()
}

// take owns the client's connection from now on.
func (i *interception) take(down *net.TCPConn, held []byte) {
	i.tcp, i.held = down, held
	i.Conn = &writeLimited{Conn: down, limit: i.server.cfg.Idle}
	if limit := i.server.cfg.Lifetime; limit > 0 {
		i.lifetime = time.AfterFunc(limit, func() { i.flow.cutFor("lifetime") })
	}
	i.flow.setCut(i.cut)
}

// cut ends the connection at once, with a reset, and before that, for the same reason, the requests inside: they would take it
// for the client's leaving. The lock of the connection's flow is held.
func (i *interception) cut() {
	reason := i.flow.ended
	for _, f := range i.end(reason) {
		if reason == "cut" {
			i.server.judgeAgain(f)
		}
		f.cutFor(reason)
	}
	i.reset()
}

// end returns the requests in progress. One that comes later ends for the same reason, with the connection.
func (i *interception) end(reason string) []*flow {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = reason
	return slices.Collect(maps.Keys(i.requests))
}

// note notes a request inside, until the function that it returns is called.
func (i *interception) note(f *flow) (done func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended != "" {
		f.end(i.ended)
	}
	if i.requests == nil {
		i.requests = make(map[*flow]struct{})
	}
	i.requests[f] = struct{}{}
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.requests, f)
	}
}

func (i *interception) reset() {
	_ = i.tcp.SetLinger(0)
	_ = i.tcp.Close()
}

// run identifies the client, and then acts: intercept, or what the policy has said where that cannot be.
func (i *interception) run() {
	defer i.survive()
	s, f := i.server, i.flow
	if err := f.establish(i.Conn); err != nil {
		i.fail("client")
		return
	}
	if !i.identify() {
		i.fail("client")
		return
	}
	r := s.judgeOpen(f)
	switch {
	case s.mustIntercept(f, &r):
		i.serve()
	case r.Verdict == policy.Block:
		s.refused(f)
		denyHello(i.tcp, &f.facts)
		i.finish()
	case r.Need == policy.NeedRequest || r.State == policy.Unseen:
		i.concealed()
	default:
		i.tunnel()
	}
}

// concealed refuses a client that keeps from us what we could see: by its CONNECT the request must be seen, and it speaks no TLS, names
// no server, or another one than it connected to. Otherwise it would be the client's choice whether a path is judged.
func (i *interception) concealed() {
	s, f := i.server, i.flow
	s.noteGuard(f, "concealed", "the hello is not for the host of the CONNECT, of which the requests must be seen")
	f.end("guarded")
	s.record(f, f.last())
	denyHello(i.tcp, &f.facts)
	i.finish()
}

// identify holds the client's first bytes until they tell what the client wants; false if it says nothing.
func (i *interception) identify() bool {
	if len(i.held) == 0 {
		first := make([]byte, 4<<10)
		_ = i.tcp.SetReadDeadline(after(i.server.cfg.Idle))
		n, err := i.tcp.Read(first)
		if err != nil {
			return false
		}
		_ = i.tcp.SetReadDeadline(time.Time{})
		i.held = first[:n]
	}
	rest := helloReader{Conn: i.tcp, limit: i.server.cfg.Hello}
	info, held, err := hello.Read(&rest, i.held)
	rest.done()
	i.held = held
	i.flow.see(func(facts *policy.Facts) { note(facts, &info, err) })
	return true
}

// serve answers the hello, and has the requests inside served.
func (i *interception) serve() {
	s, f := i.server, i.flow
	conn := tls.Server(i, s.innerTLS)
	if err := i.handshake(conn); err != nil {
		s.quiet.handshake(f, err)
		i.fail("handshake")
		return
	}
	f.intercepted()
	s.judgeOpen(f) // its next change may have been passed over while it shook hands
	i.handed.Store(true)
	if !s.front.takeInside(conn, i) {
		f.end("drain")
		_ = conn.Close()
	}
}

func (i *interception) handshake(conn *tls.Conn) error {
	ctx, cancel := context.WithTimeout(i.server.running, i.server.cfg.Hello)
	defer cancel()
	return conn.HandshakeContext(ctx)
}

// tunnel makes a tunnel of what was to be intercepted, and now need not or cannot be.
func (i *interception) tunnel() {
	s, f := i.server, i.flow
	if i.lifetime != nil {
		i.lifetime.Stop()
	}
	ctx, cancel := context.WithCancel(s.running)
	defer cancel()
	f.setCut(func() {
		i.reset()
		cancel()
	})
	up, err := s.dial(ctx, f.to.name, f.to.port)
	if err != nil {
		f.end(failureOf(err).reason)
		s.noteFailure(f, err)
		i.reset() // it has its 200 already
		s.record(f, f.last())
		i.finish()
		return
	}
	f.reached(remoteOf(up))
	t := s.newTunnel(f, i.tcp, up)
	f.in.Store(int64(len(i.held)))
	t.carryOn(i.held)
}

// Read returns what is held before what comes.
func (i *interception) Read(p []byte) (int, error) {
	if len(i.held) > 0 {
		n := copy(p, i.held)
		if i.held = i.held[n:]; len(i.held) == 0 {
			i.held = nil
		}
		return n, nil
	}
	return i.Conn.Read(p)
}

// Close ends the connection, and its flow once that is out of our hands. No lock of a flow may be held.
func (i *interception) Close() error {
	err := i.tcp.Close()
	if !i.handed.Load() {
		return err
	}
	i.flow.end("complete")
	i.finish()
	return err
}

// sharesCut notes that the connection ends for the reason for which a request inside was cut, if it was: it may only be about to learn it.
func (i *interception) sharesCut(f *flow) {
	if why, cut := f.wasCut(); cut {
		i.flow.end(why)
	}
}

// fail ends a connection on which no request came, and records that.
func (i *interception) fail(reason string) {
	i.flow.end(reason)
	i.server.record(i.flow, audit.End)
	i.finish()
}

// finish is the end of the flow. Its requests have records of their own.
func (i *interception) finish() {
	i.over.Do(func() {
		if i.lifetime != nil {
			i.lifetime.Stop()
		}
		_ = i.tcp.Close()
		i.server.close(i.flow)
	})
}

// survive keeps a panic from ending the process: it ends this connection.
func (i *interception) survive() {
	if panicked := recover(); panicked != nil {
		i.server.cfg.Log.Error("panic in an interception", zap.Any("panic", panicked), zap.Stack("stack"))
		i.reset()
		i.fail("panic")
	}
}
