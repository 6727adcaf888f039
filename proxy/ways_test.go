package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// headsOfWays are requests of each way through the gateway, without the empty line at the end, for a port.
var headsOfWays = map[string]string{
	"fast lane": "GET http://free.example:%d/ HTTP/1.1\r\nHost: x\r\n",
	"net/http":  "OPTIONS http://free.example:%d/ HTTP/1.1\r\nHost: x\r\n",
	"CONNECT":   "CONNECT free.example:%d HTTP/1.1\r\nHost: x\r\n",
}

// The guards of the gateway are the same on every way.
func TestEveryWayIsGuarded(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	rigOf := func(t *testing.T, limits AdmissionLimits) *rig {
		t.Helper()
		return newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) { c.Limits = limits }})
	}
	for way, head := range headsOfWays {
		ask := func(r *rig, port int) answer {
			h := fmt.Sprintf(head, port)
			method, _, _ := strings.Cut(h, " ")
			return r.wire().send(h + "\r\n").answer(method)
		}
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			r := rigOf(t, AdmissionLimits{})
			ask(r, 22).want(t, http.StatusForbidden)
			r.observed("guarded port")

			r = rigOf(t, AdmissionLimits{PerDestination: 1})
			r.tunnel("free.example:80")
			ask(r, 80).want(t, http.StatusTooManyRequests)
			r.observed("limited destination")

			r = rigOf(t, AdmissionLimits{Rate: 1})
			wantLimitedSoon(t, func() answer { return ask(r, 80) })
			r.observed("limited rate")
		})
	}
}

// So is the rate of requests inside of an intercepted connection.
func TestRequestsInsideAreLimited(t *testing.T) {
	t.Parallel()
	for way, method := range map[string]string{"fast lane": http.MethodGet, "net/http": http.MethodOptions, "HTTP/2": http.MethodGet} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			o, roots := secureOrigin(t, tell)
			l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: func(c *Config) { c.Limits.Rate = 1 }}, roots)
			b := l.browser(way == "HTTP/2")
			wantLimitedSoon(t, func() answer { return l.ask(b, newRequest(t, method, "https://"+mixed+"/a")) })
			l.observed("limited rate")
		})
	}
}

// wantLimitedSoon asks until that is too often, however long the machine takes for one answer.
func wantLimitedSoon(t *testing.T, ask func() answer) {
	t.Helper()
	for range 50 {
		if a := ask(); a.StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("nobody met the limit")
}

// A page of the operator's own comes on every way, and of a HEAD its length alone.
func TestEveryWayHasThePage(t *testing.T) {
	t.Parallel()
	own, err := ParsePage("{{.Host}} is closed")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, rigSetup{change: func(c *Config) { c.Page = own }})
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "CONNECT"} {
		target := "http://games.example/"
		if method == "CONNECT" {
			target = "games.example:443"
		}
		a := r.wire().send(method+" "+target+" HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n").answer(method).want(t, http.StatusForbidden)
		want := "games.example is closed"
		if a.Header.Get("Content-Length") != fmt.Sprint(len(want)) {
			t.Errorf("%s: %v", method, a.Header)
		}
		if method == "HEAD" {
			want = ""
		}
		if a.body != want {
			t.Errorf("%s: %q", method, a.body)
		}
	}
}

// Where the requests of a CONNECT were to be seen, and need not be any more once the client says hello, it gets the origin itself.
func TestNoInterceptionAfterAll(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	for name, addr := range map[string]string{"a tunnel": o.addr, "no origin": goneOrigin(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLooker(t, rigSetup{hosts: map[string]string{mixed: addr}}, roots)
			w := l.tunnel(mixed + ":443") // which is answered before anything is dialled
			l.change(nameOnly, operatorYAML)
			if addr != o.addr {
				if err := w.send(helloFor(mixed)).end(); !isReset(err) {
					t.Errorf("the end is %v", err)
				}
				l.observed("dial failed refused")
				return
			}
			c := tls.Client(w, &tls.Config{RootCAs: roots, ServerName: mixed})
			newSecureWire(t, c).send("GET /v6/a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").answer("GET").want(t, http.StatusOK)
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, c) // what is left unread would end in a reset
			_ = c.Close()
			l.observed("closed tunnel complete")
		})
	}
}

// An origin that does not speak TLS is told from one with which it fails.
func TestAnOriginWithoutTLS(t *testing.T) {
	t.Parallel()
	o := rawOrigin(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "220 mail.example ESMTP\r\n") })
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, nil)
	for _, method := range []string{http.MethodGet, http.MethodOptions} { // the second by net/http
		a := l.ask(l.browser(false), newRequest(t, method, "https://"+mixed+"/a")).want(t, http.StatusBadGateway)
		if !strings.Contains(a.body, "The origin does not speak TLS; the request was not sent.") {
			t.Errorf("%s: %s", method, a.body)
		}
	}
}
