package proxy

import (
	"bytes"
	"io"
	"strings"
	"sync"
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
}

// run is the life of the tunnel, in a goroutine of its own. It owns both connections.
func (t *tunnel) run() {
	s, f := t.server, t.flow
	counted, ended := false, false
	defer t.survive()
	defer func() {
		t.close()
		if !counted { // nothing was said, or nobody was there any more to hear it
			s.count(f)
		}
		if !ended {
			s.record(f, audit.End)
		}
		s.close(f)
	}()
	if _, err := io.WriteString(t.down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		f.end("client")
		return
	}
	f.status = 200
	// The origin may be the one that speaks first.
	var origin sync.WaitGroup
	origin.Go(t.downward)
	defer origin.Wait()
	defer t.survive() // before that wait

	held, ok := t.identify()
	if !ok || f.endedBy() != "" { // cut, while it was waited for
		t.cut()
		return
	}
	s.judge(f)
	s.count(f)
	counted = true
	if f.ruling.Verdict == policy.Block {
		f.end("refused")
		s.record(f, audit.Refused)
		ended = true
		t.refuse()
		return
	}
	s.record(f, audit.Start)
	t.upward(held)
	origin.Wait()
	f.end("complete")
}

// identify holds the client's first bytes until they tell what the client wants. It is false if there is nothing to judge:
// the client left, or nobody said anything for the idle limit.
func (t *tunnel) identify() (held []byte, ok bool) {
	held = t.early
	if len(held) == 0 {
		buf, n, err := t.read(&t.down)
		if n > 0 {
			held = bytes.Clone(buf[:n])
		}
		buf.giveBack()
		if n == 0 {
			t.flow.end(endOf(err, "client"))
			return nil, false
		}
	}
	_ = t.down.SetReadDeadline(after(t.server.cfg.Hello))
	info, held, err := hello.Read(t.down, held)
	t.touch()
	t.flow.see(func(facts *policy.Facts) { note(facts, &info, err) })
	return held, true
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
	_, _ = io.CopyN(io.Discard, t.down, refusalBytes)
}

// survive keeps a panic from ending the process, as net/http does in its own goroutines: it ends this tunnel.
func (t *tunnel) survive() {
	if p := recover(); p != nil {
		t.server.cfg.Log.Error("panic in a tunnel", zap.Any("panic", p), zap.Stack("stack"))
		t.flow.end("panic")
		t.cut()
	}
}
