package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
)

// road is one of the two that the fast lane serves: a plain connection, or the inside of an intercepted one. The host is mixed on
// either.
type road struct {
	*looker
	origin *origin
	kind   string // of its flows
	begin  string // of a target, up to its path
	wire   func() *roadWire
	slow   *atomic.Int64 // allowed requests that net/http served
}

// onBothRoads runs a test on either road, with an origin whose connections are served so. That need not close them.
func onBothRoads(t *testing.T, setup rigSetup, serve func(c net.Conn), test func(r *road)) {
	t.Helper()
	for _, kind := range []string{"plain", "intercepted"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(newRoad(t, kind, setup, serve))
		})
	}
}

func newRoad(t *testing.T, kind string, setup rigSetup, serve func(c net.Conn)) *road {
	t.Helper()
	cfg, roots, _ := secureConfig(t)
	o := rawOrigin(t, func(c *net.TCPConn) {
		if kind == "plain" {
			serve(c)
			return
		}
		s := tls.Server(c, cfg)
		defer s.Close()
		serve(s)
	})
	setup.hosts = map[string]string{mixed: o.addr}
	r := &road{looker: newLooker(t, setup, roots), origin: o, kind: kind, slow: new(atomic.Int64)}
	forwarder := r.plain
	r.plain = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.slow.Add(1)
		forwarder.ServeHTTP(w, req)
	})
	if kind == "plain" {
		r.begin = "http://" + mixed
		r.wire = func() *roadWire {
			w := r.rig.wire()
			return &roadWire{w.TCPConn, t, w.in}
		}
	} else {
		r.wire = func() *roadWire {
			w := r.secureWire(mixed)
			return &roadWire{w.Conn, t, w.in}
		}
	}
	return r
}

// head is that of a request for a path, with these lines behind Host.
func (r *road) head(method, path, lines string) string {
	return method + " " + r.begin + path + " HTTP/1.1\r\nHost: " + mixed + "\r\n" + lines + "\r\n"
}

// roadWire is a client on a road that says what it likes.
type roadWire struct {
	halfConn
	t  *testing.T
	in *bufio.Reader
}

func (w *roadWire) send(s string) *roadWire {
	w.t.Helper()
	if _, err := io.WriteString(w.halfConn, s); err != nil {
		w.t.Fatalf("sending %.80q: %v", s, err)
	}
	return w
}

// answer reads the response to a request of this method.
func (w *roadWire) answer(method string) answer {
	w.t.Helper()
	resp, err := http.ReadResponse(w.in, &http.Request{Method: method, URL: &url.URL{}})
	if err != nil {
		w.t.Fatalf("reading the answer: %v", err)
	}
	return readAnswer(resp)
}

// end reads to the end and tells how it came: io.EOF for a clean one.
func (w *roadWire) end() error {
	_, err := io.Copy(io.Discard, w.in)
	if err == nil {
		return io.EOF
	}
	return err
}

// tcpOf is what is beneath TLS, if there is any.
func tcpOf(c net.Conn) *net.TCPConn {
	if s, ok := c.(*tls.Conn); ok {
		c = s.NetConn()
		if w, ok := c.(*wire); ok {
			c = w.TCPConn
		}
	}
	return c.(*net.TCPConn)
}
