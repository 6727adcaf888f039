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
}

// run begins the tunnel, in a goroutine of its own, and leaves it to one for each direction: those run on the small stacks of
// goroutines that never did anything else. The last of them to leave ends the tunnel.
func (t *tunnel) run() {
	t.running.Store(1)
	t.startWatch()
	defer t.leave()
	if _, err := io.WriteString(t.down.TCPConn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		t.flow.end("client")
		return
	}
	t.flow.status = 200
	t.running.Add(1)
	go t.runDown() // the origin may be the one that speaks first
	held, ok := t.identify()
	if !ok {
		t.cut()
		return
	}
	s, f := t.server, t.flow
	s.judgeOpen(f)
	if f.ruling.Verdict == policy.Block {
		f.end("refused")
		s.count(f)
		s.record(f, audit.Refused)
		s.quiet.refused(f)
		t.recorded = true
		t.refuse()
		return
	}
	s.record(f, audit.Start)
	t.running.Add(1)
	go t.runUp(held)
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

// refuse tells a TLS client that access is denied, and anybody else by a reset.
func (t *tunnel) refuse() {
	t.refused.Store(true)
	t.toUp.letGo()
	_ = t.up.SetLinger(0)
	_ = t.up.Close()
	if t.flow.facts.Hello == policy.HelloNotTLS {
		_ = t.down.SetLinger(0)
		return
	}
	deadline := time.Now().Add(refusalTime)
	_ = t.down.SetDeadline(deadline)
	if _, err := t.down.Write(hello.Alert(hello.AccessDenied)); err != nil {
		return
	}
	_ = t.down.CloseWrite()
	_, _ = io.CopyN(io.Discard, t.down.TCPConn, refusalBytes)
}

// survive keeps a panic from ending the process, as net/http does in its own goroutines: it ends this tunnel.
func (t *tunnel) survive(panicked any) {
	if panicked != nil {
		t.server.cfg.Log.Error("panic in a tunnel", zap.Any("panic", panicked), zap.Stack("stack"))
		t.flow.end("panic")
		t.cut()
	}
}
