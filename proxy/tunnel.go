package proxy

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/proxy/hello"
)

// These are how long, and how much, a refused client is listened to after its alert, so that the alert arrives: closing
// with unread bytes makes the kernel send a reset that overtakes it.
const (
	refusalTime  = 2 * time.Second
	refusalBytes = 256 << 10
)

// tunnel is what a CONNECT becomes: a relay, once the gate has seen the hello.
type tunnel struct {
	*relay
	server *Server
	early  []byte // what the client sent with its CONNECT

	running  atomic.Int32 // goroutines of the tunnel
	recorded bool         // the last record is written
	then     func()       // goes on with the client and the flow instead of ending them
}

// newTunnel makes a tunnel of two connections, which it owns, and is how the flow is cut from then on.
func (s *Server) newTunnel(f *flow, down, up *net.TCPConn) *tunnel {
	t := &tunnel{relay: newRelay(f, s.cfg.Idle, down, up), server: s}
	t.watch.lifetime = s.cfg.Lifetime
	f.setCut(t.cut)
	return t
}

// run begins the tunnel, in a goroutine of its own, and leaves it to one for each direction: those run on the small stacks of
// goroutines that never did anything else. The last of them to leave ends the tunnel.
func (t *tunnel) run() {
	t.running.Store(1)
	t.startWatch()
	defer t.leave()
	if err := t.flow.establish(t.down.TCPConn); err != nil {
		t.flow.end("client")
		return
	}
	t.running.Add(1)
	go t.runDown() // the origin may be the one that speaks first
	held, ok := t.identify()
	if !ok {
		t.cut()
		return
	}
	s, f := t.server, t.flow
	r := s.judgeOpen(f)
	if s.mustIntercept(f, &r) {
		t.interceptInstead(held)
		return
	}
	if r.Verdict == policy.Block {
		s.refused(f)
		t.recorded = true
		t.refuse()
		return
	}
	s.record(f, audit.Start)
	t.running.Add(1)
	go t.runUp(held)
}

// carryOn begins with a client that has had its 200 and said hello, and was judged by that.
func (t *tunnel) carryOn(held []byte) {
	t.running.Store(2)
	t.startWatch()
	t.server.record(t.flow, audit.Start)
	go t.runDown()
	go t.runUp(held)
}

// interceptInstead gives up the origin, to which nothing was sent, and has the client intercepted: its hello told that the
// requests must be seen, which its CONNECT had not.
func (t *tunnel) interceptInstead(held []byte) {
	i := &interception{server: t.server, flow: t.flow}
	t.refused.Store(true) // so that the end of the origin is not that of the client
	_ = t.up.Close()
	t.then = func() {
		i.take(t.down.TCPConn, held)
		defer i.survive()
		i.serve()
	}
}

func (t *tunnel) runDown() {
	defer t.leave()
	t.downward(nil)
}

func (t *tunnel) runUp(held []byte) {
	defer t.leave()
	t.upward(held)
}

// leave is the last that a goroutine of the tunnel does.
func (t *tunnel) leave() {
	t.survive(recover())
	if t.running.Add(-1) == 0 {
		t.finish()
	}
}

// finish ends the tunnel, which owns both connections, and its flow.
func (t *tunnel) finish() {
	s, f := t.server, t.flow
	t.stopWatch()
	if t.then != nil {
		t.then()
		return
	}
	t.close()
	f.end("complete")
	if !t.recorded {
		s.record(f, audit.End)
	}
	s.close(f)
}

// identify holds the client's first bytes until they tell what the client wants. It is false if there is nothing to judge:
// the client left, or nobody said anything for the idle limit.
func (t *tunnel) identify() (held []byte, ok bool) {
	held = t.early
	if len(held) == 0 {
		if err := t.toUp.receive(); err != nil {
			t.flow.end("client")
			return nil, false
		}
		held = t.toUp.rest
	}
	t.early = nil
	first := helloReader{Conn: t.down.TCPConn, limit: t.server.cfg.Hello}
	info, held, err := hello.Read(&first, held)
	first.done()
	if t.gone.Load() {
		return nil, false
	}
	t.flow.in.Store(int64(len(held)))
	t.watch.touch()
	t.flow.see(func(facts *policy.Facts) { note(facts, &info, err) })
	return held, true
}

// helloReader reads what is missing of a hello, if something is, until a deadline that begins with the first byte.
type helloReader struct {
	net.Conn
	limit time.Duration
	began bool
}

func (r *helloReader) Read(p []byte) (int, error) {
	if !r.began {
		r.began = true
		_ = r.SetReadDeadline(after(r.limit))
	}
	return r.Conn.Read(p)
}

// done takes the deadline away.
func (r *helloReader) done() {
	if r.began {
		_ = r.SetReadDeadline(time.Time{})
	}
}

// note turns what the hello told into facts. A hello that did not arrive whole, or names something that is no host, is
// unreadable: what stayed unseen is for the policy to judge.
func note(facts *policy.Facts, info *hello.Info, err error) {
	facts.Stage = policy.StageHello
	facts.ECH, facts.ALPN = info.ECH, strings.Join(info.ALPN, ",")
	switch {
	case err != nil || info.Kind == hello.Unreadable:
		facts.Hello = policy.HelloUnreadable
	case info.Kind == hello.NotTLS:
		facts.Hello = policy.HelloNotTLS
	case info.ServerName == "":
		facts.Hello = policy.HelloNoName
	default:
		name, err := host.Parse(info.ServerName)
		if err != nil {
			facts.Hello = policy.HelloUnreadable
			return
		}
		facts.Hello, facts.SNI = policy.HelloWithName, name
	}
}

// refuse tells the client, and ends the origin with a reset.
func (t *tunnel) refuse() {
	t.refused.Store(true)
	t.toUp.letGo()
	_ = t.up.SetLinger(0)
	_ = t.up.Close()
	denyHello(t.down.TCPConn, &t.flow.facts)
}

// denyHello tells a TLS client that access is denied, and anybody else by a reset. The connection is to be closed then.
func denyHello(down *net.TCPConn, facts *policy.Facts) {
	if facts.Hello == policy.HelloNotTLS {
		_ = down.SetLinger(0)
		return
	}
	_ = down.SetDeadline(time.Now().Add(refusalTime))
	if _, err := down.Write(hello.Alert(hello.AccessDenied)); err != nil {
		return
	}
	_ = down.CloseWrite()
	_, _ = io.CopyN(io.Discard, down, refusalBytes)
}

// survive keeps a panic from ending the process, as net/http does in its own goroutines: it ends this tunnel.
func (t *tunnel) survive(panicked any) {
	if panicked != nil {
		t.server.cfg.Log.Error("panic in a tunnel", zap.Any("panic", panicked), zap.Stack("stack"))
		t.flow.end("panic")
		t.cut()
	}
}
