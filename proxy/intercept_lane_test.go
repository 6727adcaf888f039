package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// closedYAML, behind operatorYAML, ends all that is open to mixed.
const closedYAML = "  - {id: all-of-it, hosts: [" + mixed + "], reason: closed, phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}\n"

// On one connection, what the fast lane understands is served by it, up to the first request that it leaves to net/http.
func TestInnerLaneHandsOver(t *testing.T) {
	t.Parallel()
	onBothRoads(t, rigSetup{}, echoUpload, func(r *road) {
		t := r.t
		for name, other := range map[string]string{
			"an upload":    r.head("POST", "/up", "Content-Length: 4\r\n") + "body",
			"in chunks":    r.head("PUT", "/up", "Transfer-Encoding: chunked\r\n") + "4\r\nbody\r\n0\r\n\r\n",
			"expectations": r.head("GET", "/", "Expect: 100-continue\r\n"),
			"a large head": r.head("GET", "/", "X: "+strings.Repeat("x", laneHead)+"\r\n"),
			"odd paths":    r.head("GET", "/\"", ""),
		} {
			w, before := r.wire(), r.slow.Load()
			for _, c := range []struct {
				method, request string
				status          int
			}{
				{"GET", r.head("GET", "/a?b=c", ""), 200},
				{"HEAD", r.head("HEAD", "/", ""), 200},
				{"GET", r.head("GET", "/v6/a", "Accept: text/html\r\n"), 451},
				{"HEAD", r.head("HEAD", "/v6/a", ""), 451},
				{"GET", r.head("GET", "/again", ""), 200},
			} {
				if a := w.send(c.request).answer(c.method).want(t, c.status); a.Close {
					t.Errorf("%s: %.40q: the connection is closed", name, c.request)
				}
			}
			if n := r.slow.Load(); n != before {
				t.Errorf("%s: net/http served %d before", name, n-before)
			}
			method, _, _ := strings.Cut(other, " ")
			w.send(other + r.head("GET", "/last", "")) // held together with what is handed over
			if a := w.answer(method).want(t, 200); strings.Contains(other, "body") && !strings.HasSuffix(a.body, "4") {
				t.Errorf("%s: the origin got %q", name, a.body)
			}
			w.answer("GET").want(t, 200)
			if n := r.slow.Load(); n != before+2 {
				t.Errorf("%s: net/http served %d, not 2", name, n-before)
			}
			_ = w.Close()
		}
	})
}

// echoUpload answers each request with its head and the size of its body.
func echoUpload(c net.Conn) {
	serveHTTP(c, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.RequestURI+" "+string(rune('0'+n)))
	})
}

// serveHTTP serves one connection with net/http, to its end.
func serveHTTP(c net.Conn, handler http.HandlerFunc) {
	l := &oneListener{conns: make(chan net.Conn, 1), over: make(chan struct{})}
	l.conns <- c
	server := &http.Server{Handler: handler, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(l.over)
		}
	}}
	_ = server.Serve(l)
}

// oneListener has one connection to accept.
type oneListener struct {
	conns chan net.Conn
	over  chan struct{}
}

func (l *oneListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *oneListener) Close() error   { return nil }
func (l *oneListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestInnerLaneCut wants a request cut wherever it is, with its connection, at once, and never as if the answer were whole.
func TestInnerLaneCut(t *testing.T) {
	t.Parallel()
	for what, strike := range map[string]func(l *looker){
		"cut":      func(l *looker) { l.enforceText(operatorYAML+closedYAML, policy.Allow) },
		"lifetime": func(*looker) {},
		"drain":    func(l *looker) { _ = l.stop() },
	} {
		for name, stuck := range map[string]func(c *net.TCPConn, cfg *tls.Config, begun chan<- struct{}){
			"shaking hands": func(c *net.TCPConn, _ *tls.Config, begun chan<- struct{}) {
				_, _ = c.Read(make([]byte, 1))
				close(begun)
			},
			"waiting": func(c *net.TCPConn, cfg *tls.Config, begun chan<- struct{}) {
				readHead(tls.Server(c, cfg))
				close(begun)
			},
			"writing": func(c *net.TCPConn, cfg *tls.Config, begun chan<- struct{}) {
				s := tls.Server(c, cfg)
				readHead(s)
				_, _ = io.WriteString(s, headInChunks)
				_, _ = stuff(s, chunk(bulk))
				close(begun)
			},
		} {
			t.Run(what+" "+name, func(t *testing.T) {
				t.Parallel()
				cfg, roots, _ := secureConfig(t)
				begun, left := make(chan struct{}), make(chan struct{})
				o := rawOrigin(t, func(c *net.TCPConn) {
					stuck(c, cfg, begun)
					_, _ = io.Copy(io.Discard, c)
					close(left)
				})
				l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: func(c *Config) {
					if lasting(c); what == "lifetime" {
						c.Lifetime = time.Second
					}
				}}, roots)
				w := l.secureWire(mixed).send("GET /a HTTP/1.1\r\nHost: " + mixed + "\r\n\r\n")
				if what != "lifetime" { // which does not wait
					<-begun
				}
				strike(l)
				within(t, left)
				if err := whole(w.in, http.MethodGet); err == nil || errors.Is(err, io.EOF) && name != "writing" {
					t.Errorf("it ends with %v", err)
				}
				l.records.wait(t, what, func(r audit.Record) bool { return r.Kind == "intercepted" && r.Ended == what })
				l.observed("closed tunnel " + what)
			})
		}
	}
}

// TestInnerLaneCutAlone cuts a request inside before its connection: that was cut too, and must not pass for one that was complete.
func TestInnerLaneCutAlone(t *testing.T) {
	t.Parallel()
	cfg, roots, _ := secureConfig(t)
	begun := make(chan struct{})
	o := rawOrigin(t, func(c *net.TCPConn) {
		readHead(tls.Server(c, cfg))
		close(begun)
		_, _ = io.Copy(io.Discard, c)
	})
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: lasting}, roots)
	l.secureWire(mixed).send("GET /a HTTP/1.1\r\nHost: " + mixed + "\r\n\r\n")
	<-begun
	for _, f := range l.flows.all() {
		if f.kind == "intercepted" {
			f.cutFor("drain")
		}
	}
	l.observed("closed intercepted drain")
	l.observed("closed tunnel drain")
}

// TestInnerLaneSilentOrigin wants an origin that does not shake hands given up in time, or as soon as nobody waits for it.
func TestInnerLaneSilentOrigin(t *testing.T) {
	t.Parallel()
	dialled, left := make(chan struct{}, 2), make(chan struct{}, 2)
	o := rawOrigin(t, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		dialled <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
		left <- struct{}{}
	})
	for _, leaves := range []bool{false, true} {
		l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: func(c *Config) {
			if lasting(c); !leaves {
				c.Hello = time.Second
			}
		}}, nil)
		w := l.secureWire(mixed).send("GET /a HTTP/1.1\r\nHost: " + mixed + "\r\n\r\n")
		within(t, dialled)
		if leaves {
			_ = w.Close()
			l.observed("closed intercepted client")
		} else if a := w.answer("GET").want(t, 504); !strings.Contains(a.Header.Get("Proxy-Status"), "error=http_response_timeout") {
			t.Errorf("%v", a.Header)
		}
		within(t, left)
	}
}

// together writes what it is given in one go, when it is told to.
type together struct {
	net.Conn
	held bytes.Buffer
	hold bool
}

func (c *together) Write(p []byte) (int, error) {
	if c.hold {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *together) flush() {
	c.hold = false
	_ = c.SetWriteDeadline(time.Time{}) // TLS sets one behind its last word
	_, _ = c.Write(c.held.Bytes())
	c.held.Reset()
}

// TestInnerLaneUnasked wants an answer that nobody asked for given to nobody, although TLS has received it with the one before.
func TestInnerLaneUnasked(t *testing.T) {
	t.Parallel()
	cfg, roots, _ := secureConfig(t)
	for name, more := range map[string]func(s *tls.Conn){
		"an answer":    func(s *tls.Conn) { _, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") },
		"a byte":       func(s *tls.Conn) { _, _ = s.Write([]byte("\n")) },
		"its last one": func(s *tls.Conn) { _ = s.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := rawOrigin(t, func(c *net.TCPConn) {
				gather := &together{Conn: c}
				s := tls.Server(gather, cfg)
				readHead(s)
				gather.hold = true
				_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
				more(s)
				gather.flush()
				_, _ = io.Copy(io.Discard, c)
			})
			l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
			w := l.secureWire(mixed)
			for range 3 {
				if a := w.send("GET /a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").answer("GET").want(t, 200); a.body != "good" {
					t.Errorf("%q", a.body)
				}
			}
			if n := o.came.Load(); n != 3 {
				t.Errorf("%d connections to the origin", n)
			}
		})
	}
}

// TestInnerLaneKeepsOrigins wants one connection to an origin for many requests, of whichever version of TLS, with tickets or without.
func TestInnerLaneKeepsOrigins(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tickets := range []bool{false, true} {
			cfg, roots, _ := secureConfig(t)
			cfg = cfg.Clone()
			cfg.MinVersion, cfg.MaxVersion, cfg.SessionTicketsDisabled = version, version, !tickets
			o := webServer(t, http.HandlerFunc(tell), cfg)
			l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
			for i := range 3 { // clients
				w := l.secureWire(mixed)
				for range 3 {
					w.send("GET /a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").answer("GET").want(t, 200)
				}
				_ = w.Close()
				eventually(t, "the client has gone", func() bool { return l.seen.count("closed tunnel complete") == i+1 })
			}
			if n := o.came.Load(); n != 1 {
				t.Errorf("TLS %x, tickets %v: %d connections to the origin", version, tickets, n)
			}
		}
	}
}

// TestInnerLaneNeverMixes wants no plain request on a connection behind TLS, nor the other way round, though host and port are the same.
func TestInnerLaneNeverMixes(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	plain := webOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr, "free.example": plain.addr}}, roots)
	l.secureWire(mixed).send("GET /a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").answer("GET").want(t, 200)
	l.get("http://"+mixed+":443/a").want(t, 400) // by an origin that was spoken to without TLS
}

// TestInnerLaneRate wants a client that asks too often told so, on a connection that goes on.
func TestInnerLaneRate(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: func(c *Config) { c.Limits.Rate = 5 }}, roots)
	w := l.secureWire(mixed).send(strings.Repeat("GET /a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n", 40))
	var got []int
	for range 40 {
		a := w.answer("GET")
		if got = append(got, a.StatusCode); a.Close {
			t.Fatalf("closed behind %d", a.StatusCode)
		}
	}
	if got[0] != 200 || !slices.Contains(got, 429) {
		t.Errorf("%v", got)
	}
	l.observed("limited rate")
}

// TestInnerLanePanic wants a panic to end its connection alone, and the flow of that.
func TestInnerLanePanic(t *testing.T) {
	t.Parallel()
	var panics atomic.Bool
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: func(c *Config) {
		c.Observer = panicObserver{c.Observer, &panics}
	}}, roots)
	w := l.secureWire(mixed)
	w.send("GET /a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").answer("GET").want(t, 200)
	l.observed("closed intercepted complete")
	panics.Store(true) // in a refusal, of which no flow is open
	if err := whole(w.send("GET /v6/a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").in, "GET"); !isReset(err) {
		t.Errorf("it ends with %v", err)
	}
	l.observed("closed tunnel complete")
	l.secureWire(mixed).send("GET /v6/a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").answer("GET").want(t, 451)
	if l.logs.FilterMessage("panic in an exchange").Len() != 1 {
		t.Errorf("logged: %v", l.logs.All())
	}
}

// panicObserver panics at the next decision that it is told of.
type panicObserver struct {
	Observer
	now *atomic.Bool
}

func (o panicObserver) Decided(d *policy.Decision, c policy.Cause, took time.Duration) {
	if o.now.Swap(false) {
		panic("cannot count")
	}
	o.Observer.Decided(d, c, took)
}
