package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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

// tunnel carries bytes between a client and an origin that it has connected to, once the gate has seen the hello.
type tunnel struct {
	server   *Server
	flow     *flow
	down, up *net.TCPConn
	early    []byte // what the client sent with its CONNECT

	refused  atomic.Bool  // the client is being told so: leave its side open for that
	lastByte atomic.Int64 // real time of the last byte in either direction, in nanoseconds
}

// cut ends the tunnel at once, with a reset on both sides, so that neither takes what it has for the whole.
func (t *tunnel) cut() {
	_ = t.down.SetLinger(0)
	_ = t.up.SetLinger(0)
	_ = t.down.Close()
	_ = t.up.Close()
}

// run is the life of the tunnel. It owns both connections.
func (t *tunnel) run() {
	s, f := t.server, t.flow
	defer func() {
		_ = t.down.Close()
		_ = t.up.Close()
		f.end("complete")
		s.cfg.Observer.FlowClosed(f.kind, f.endedBy())
		s.flows.remove(f)
	}()
	t.touch()
	if _, err := io.WriteString(t.down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		f.end("client")
		return
	}
	f.status = 200
	// The origin may be the one that speaks first.
	var fromUp sync.WaitGroup
	fromUp.Go(func() { t.copy(t.down, t.up, &f.out, "upstream") })
	defer fromUp.Wait()

	held, ok := t.identify()
	if !ok {
		t.cut()
		return
	}
	s.judge(f)
	s.count(f)
	if f.ruling.Verdict == policy.Block {
		f.end("refused")
		s.record(f, audit.Refused)
		t.refuse()
		return
	}
	s.record(f, audit.Start)
	f.in.Add(int64(len(held)))
	if _, err := t.up.Write(held); err != nil {
		t.fail("upstream")
	} else {
		t.copy(t.up, t.down, &f.in, "client")
	}
	fromUp.Wait()
	f.end("complete")
	s.record(f, audit.End)
}

// identify holds the client's first bytes until they tell what the client wants. It is false if there is nothing to judge:
// the client left, or nobody said anything for the idle limit.
func (t *tunnel) identify() (held []byte, ok bool) {
	held = t.early
	if len(held) == 0 {
		held = make([]byte, 0, 2048)
		n, err := t.read(t.down, held[:cap(held)])
		if n == 0 && err != nil {
			t.flow.end(endOf(err, "client"))
			return nil, false
		}
		held = held[:n]
	}
	_ = t.down.SetReadDeadline(time.Now().Add(t.server.cfg.Hello))
	info, held, err := hello.Read(t.down, held)
	_ = t.down.SetReadDeadline(time.Time{})
	t.note(&info, err)
	return held, true
}

// note turns what the hello told into facts. A hello that did not arrive whole, or names something that is no host, is
// unreadable: what stayed unseen is for the policy to judge.
func (t *tunnel) note(info *hello.Info, err error) {
	facts := &t.flow.facts
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

// refuse tells a TLS client that access is denied, and anybody else by closing.
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

// copy moves bytes one way until their source ends, and passes that end on as a half-close. On a failure, or when neither
// direction has moved a byte for the idle limit, it ends both.
func (t *tunnel) copy(dst, src *net.TCPConn, count *atomic.Int64, from string) {
	buf := streamBuffers.Get().(*[32 << 10]byte)
	defer streamBuffers.Put(buf)
	for {
		n, err := t.read(src, buf[:])
		if n > 0 {
			count.Add(int64(n))
			if idle := t.server.cfg.Idle; idle > 0 {
				_ = dst.SetWriteDeadline(time.Now().Add(idle))
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				t.fail(endOf(err, other(from)))
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = dst.CloseWrite()
			return
		case err != nil:
			t.fail(endOf(err, from))
			return
		}
	}
}

// read waits for bytes as long as either direction is alive.
func (t *tunnel) read(c *net.TCPConn, p []byte) (int, error) {
	idle := t.server.cfg.Idle
	for {
		if idle > 0 {
			_ = c.SetReadDeadline(time.Unix(0, t.lastByte.Load()).Add(idle))
		}
		n, err := c.Read(p)
		if n > 0 {
			t.touch()
		}
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, t.lastByte.Load())) < idle {
			continue // the other direction moved in the meantime
		}
		return n, err
	}
}

func (t *tunnel) touch() { t.lastByte.Store(time.Now().UnixNano()) }

func (t *tunnel) fail(reason string) {
	if !t.refused.Load() {
		t.flow.end(reason)
		t.cut()
	}
}

// endOf names why a connection ended.
func endOf(err error, side string) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "idle"
	}
	return side
}

func other(side string) string {
	if side == "client" {
		return "upstream"
	}
	return "client"
}
