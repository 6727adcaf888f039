package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// openSocket has a WebSocket open inside of an intercepted connection, whose origin says nothing more.
func openSocket(t *testing.T, change func(*Config)) (*looker, *secureWire) {
	t.Helper()
	cfg, roots, _ := secureConfig(t)
	o := rawOrigin(t, func(c *net.TCPConn) {
		s := tls.Server(c, cfg)
		readHead(s)
		_, _ = io.WriteString(s, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, s)
	})
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: change}, roots)
	w := l.secureWire(mixed)
	w.send("GET /ws HTTP/1.1\r\nHost: " + mixed + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n")
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	l.records.wait(t, "the start", func(r audit.Record) bool { return r.Kind == "websocket" && r.Event == audit.Start })
	return l, w
}

func (l *looker) socketEnded(w *secureWire, reason string) {
	l.t.Helper()
	_, _ = io.Copy(io.Discard, w.in)
	l.records.wait(l.t, reason, func(r audit.Record) bool {
		return r.Kind == "websocket" && r.Event == audit.End && r.Ended == reason
	})
}

// TestInterceptSocketCut wants the connection of a WebSocket cut together with it, whichever comes first: both flows have locks.
func TestInterceptSocketCut(t *testing.T) {
	t.Parallel()
	l, w := openSocket(t, nil)
	l.enforceText(operatorYAML+"  - {id: all-of-it, hosts: ["+mixed+"], reason: closed, phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}\n", policy.Allow)
	l.socketEnded(w, "cut")
}

func TestInterceptSocketLifetime(t *testing.T) {
	t.Parallel()
	l, w := openSocket(t, func(c *Config) { c.Lifetime = 2 * time.Second }) // what comes before takes its time on a busy machine
	l.socketEnded(w, "lifetime")
}

func TestInterceptSocketDrain(t *testing.T) {
	t.Parallel()
	l, w := openSocket(t, nil)
	_ = l.secureWire(mixed) // so that the flows lie in other shards
	if err := l.stop(); err != nil {
		t.Error(err)
	}
	l.socketEnded(w, "drain")
}

// TestInterceptConcealed wants no client to choose whether its requests are seen.
func TestInterceptConcealed(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	for name, server := range map[string]string{"another name": "example.com", "no name": ""} {
		c := tls.Client(l.tunnel(mixed+":443"), &tls.Config{ServerName: server, InsecureSkipVerify: true})
		if err := c.HandshakeContext(t.Context()); err == nil {
			t.Errorf("%s: let through", name)
		}
	}
	if got, _ := io.ReadAll(l.tunnel(mixed + ":443").send("GET /v6/a HTTP/1.1\r\nHost: " + mixed + "\r\n\r\n")); len(got) > 0 {
		t.Errorf("no TLS: answered %q", got)
	}
	if n := o.came.Load(); n != 0 {
		t.Errorf("the origin was dialled %d times", n)
	}
	l.records.wait(t, "concealed", func(r audit.Record) bool { return r.Guard == "concealed" && r.Event == audit.Refused })
}

// TestInterceptSocketFault wants a client that talks before its WebSocket is agreed to, in what is no request, closed: what stands
// for the fault must not reach the origin.
func TestInterceptSocketFault(t *testing.T) {
	t.Parallel()
	cfg, roots, _ := secureConfig(t)
	got := make(chan string, 1)
	o := rawOrigin(t, func(c *net.TCPConn) {
		s := tls.Server(c, cfg)
		readHead(s)
		_, _ = io.WriteString(s, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		rest, _ := io.ReadAll(s)
		got <- string(rest)
	})
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	w := l.secureWire(mixed)
	w.send("GET /ws HTTP/1.1\r\nHost: " + mixed + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello")
	_, _ = io.Copy(io.Discard, w.in)
	if rest := <-got; rest != "" {
		t.Errorf("the origin got %q", rest)
	}
}
