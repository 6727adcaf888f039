package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// secureWire is a wire over TLS.
type secureWire struct {
	*tls.Conn
	t  *testing.T
	in *bufio.Reader
}

func newSecureWire(t *testing.T, c *tls.Conn) *secureWire {
	t.Helper()
	return &secureWire{c, t, bufio.NewReader(c)}
}

func (w *secureWire) send(s string) *secureWire {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, s); err != nil {
		w.t.Fatalf("sending %.80q: %v", s, err)
	}
	return w
}

func (w *secureWire) answer(method string) answer {
	w.t.Helper()
	resp, err := http.ReadResponse(w.in, &http.Request{Method: method, URL: &url.URL{}})
	if err != nil {
		w.t.Fatalf("reading the answer: %v", err)
	}
	return readAnswer(resp)
}

func tell(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "%s %s %s%s", r.Proto, r.Method, r.Host, r.URL.RequestURI())
}

// mixed is the host of which one path is blocked and all others are not.
const mixed = "mixed.acme.example"

// TestInterceptByPath wants one path allowed and one refused, on one connection, both recorded.
func TestInterceptByPath(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2 %v", http2), func(t *testing.T) {
			t.Parallel()
			o, roots := secureOrigin(t, tell)
			l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: func(c *Config) { c.Ungoverned = false }}, roots)
			b := l.browser(http2)
			ok := l.look(b, "https://"+mixed+"/other?q=1").want(t, 200)
			if ok.body != "HTTP/1.1 GET "+mixed+"/other?q=1" {
				t.Errorf("the origin saw %q", ok.body)
			}
			if want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]; ok.Proto != want {
				t.Errorf("answered over %s, want %s", ok.Proto, want)
			}
			no := l.look(b, "https://"+mixed+"/v6/file").want(t, 451)
			if !strings.Contains(no.body, "test-2024-001") {
				t.Errorf("the refusal says %s", no.body)
			}
			l.look(b, "https://"+mixed+"/third").want(t, 200)
			if n := o.came.Load(); n != 1 {
				t.Errorf("%d connections to the origin, want 1", n)
			}
			for _, want := range []struct {
				path    string
				event   audit.Event
				verdict policy.Verdict
				status  int
			}{{"/other", audit.End, policy.Allow, 200}, {"/v6/file", audit.Refused, policy.Block, 451}, {"/third", audit.End, policy.Allow, 200}} {
				r := l.records.wait(t, want.path, func(r audit.Record) bool { return r.Path == want.path })
				if r.Event != want.event || r.Verdict != want.verdict || r.Status != want.status || r.Kind != "intercepted" || r.SNI.String() != mixed || r.Scheme != "https" {
					t.Errorf("record %+v, want %+v", r, want)
				}
			}
		})
	}
}

// TestInterceptOnlyWhereNeeded wants every other connection untouched.
func TestInterceptOnlyWhereNeeded(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{"reports.acme.example": o.addr, "upd.acme.example": o.addr, "example.org": o.addr}}, roots)
	for _, name := range []string{"reports.acme.example", "upd.acme.example", "example.org"} {
		w := l.tunnel(name + ":443")
		c := tls.Client(w, &tls.Config{RootCAs: roots, ServerName: name})
		if err := c.HandshakeContext(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = c.Close()
	}
}

// TestInterceptUnable wants the verdict of unseen.request where the requests cannot be seen.
func TestInterceptUnable(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	hosts := map[string]string{mixed: o.addr}
	none := func(c *Config) { c.Issuer = nil }
	outside := func(c *Config) { c.Issuer = rigIssuer{c.Issuer.(rigIssuer).Issuer, []string{"games.example"}} }
	for name, change := range map[string]func(*Config){"no CA": none, "outside": outside} {
		for _, word := range []string{"allow", "block"} {
			t.Run(name+" "+word, func(t *testing.T) {
				t.Parallel()
				l := newLooker(t, rigSetup{hosts: hosts, settings: "unseen: {request: " + word + "}", change: change}, roots)
				w := l.wire().send("CONNECT " + mixed + ":443 HTTP/1.1\r\nHost: " + mixed + ":443\r\n\r\n")
				got := w.answer(http.MethodConnect)
				if word == "block" {
					got.want(t, 403)
				} else {
					got.want(t, 200)
					c := tls.Client(w, &tls.Config{RootCAs: roots, ServerName: mixed})
					if err := c.HandshakeContext(t.Context()); err != nil {
						t.Error(err)
					}
					_ = c.Close()
				}
				l.records.wait(t, "unseen", func(r audit.Record) bool { return r.State == policy.Unseen })
			})
		}
	}
}

// TestInterceptBlockPage wants a page for a blocked name, over TLS that the client trusts, and never a dial.
func TestInterceptBlockPage(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{"cloud.acme.example": o.addr, "games.example": o.addr}, settings: "block-page: true"}, roots)
	for _, http2 := range []bool{false, true} {
		for target, status := range map[string]int{"https://cloud.acme.example/": 451, "https://games.example/play": 403} {
			a := l.look(l.browser(http2), target, "Accept", "text/html").want(t, status)
			if !strings.Contains(a.body, "<h1>") {
				t.Errorf("no page: %s", a.body)
			}
		}
	}
	if n := o.came.Load(); n != 0 {
		t.Errorf("the origin was dialled %d times", n)
	}
}

// TestInterceptLate wants a connection intercepted whose hello, not its CONNECT, names the host; the origin then is where the
// name leads, not what the client chose.
func TestInterceptLate(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	decoy := rawOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr, "192.0.2.1": decoy.addr}}, roots)
	c, err := l.secureTunnel("192.0.2.1:443", mixed)
	if err != nil {
		t.Fatal(err)
	}
	w := newSecureWire(t, c)
	w.send("GET /a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").answer("GET").want(t, 200)
	w.send("GET /v6/a HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").answer("GET").want(t, 451)
}

// TestInterceptMisdirected wants every way to name another host refused, and nothing sent there.
func TestInterceptMisdirected(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	other, _ := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr, "example.org": other.addr, "reports.acme.example": other.addr}}, roots)
	for _, tc := range []struct {
		head   string
		status int
	}{
		{"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 421},
		{"GET / HTTP/1.1\r\nHost: reports.acme.example\r\n\r\n", 421},
		{"GET https://example.org/ HTTP/1.1\r\nHost: " + mixed + "\r\n\r\n", 421},
		{"GET http://" + mixed + "/ HTTP/1.1\r\nHost: " + mixed + "\r\n\r\n", 421},
		{"GET / HTTP/1.1\r\nHost: " + mixed + ":8443\r\n\r\n", 421},
		{"GET / HTTP/1.1\r\nHost: " + mixed + ":443\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: MIXED.acme.example.\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: " + mixed + "@example.org\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
		{"GET https://a@" + mixed + "/ HTTP/1.1\r\nHost: " + mixed + "\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: " + mixed + "/v6\r\n\r\n", 400},
		{"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.0\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: " + mixed + "\r\nHost: example.org\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: " + mixed + "\r\nX: a\r\n b\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: " + mixed + "\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: " + mixed + "\r\nX: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", 431},
		{"GET / HTTP/3.7\r\nHost: " + mixed + "\r\n\r\n", 505},
	} {
		w := l.secureWire(mixed)
		go func() { _, _ = io.WriteString(w.Conn, tc.head) }() // it may not be read whole
		if got := w.answer("GET"); got.StatusCode != tc.status {
			t.Errorf("%.80q: %d, want %d", tc.head, got.StatusCode, tc.status)
		}
		_ = w.Close()
	}
	if n := other.came.Load(); n != 0 {
		t.Errorf("the other host was dialled %d times", n)
	}
	c, err := l.secureTunnel("reports.acme.example:443", mixed)
	if err != nil {
		t.Fatal(err)
	}
	newSecureWire(t, c).send("GET / HTTP/1.1\r\nHost: "+mixed+"\r\n\r\n").answer("GET").want(t, 421)
}

// TestInterceptPaths wants the blocked path refused however it is spelled.
func TestInterceptPaths(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	for path, status := range map[string]int{
		"/v6/a": 451, "/%76%36/a": 451, "/v6%2fa": 451, "//v6//a": 451, "/./v6/a": 451, "/x/../v6/a": 451, "/v6/./a": 451,
		"/%2576%2536/a": 451, "/v6;p=1/a": 451, "/v6%5Ca": 451, `/v6\a`: 451, "/x%5C..%5Cv6%5Ca": 451, "/x/%252e%252e/v6/a": 451,
		"/a": 200, "/v6": 200, "/a%20b": 200, "/x//../v6/a": 400, "/x/..%2fv6/a": 400, "/%00": 400,
	} {
		w := l.secureWire(mixed)
		if got := w.send("GET " + path + " HTTP/1.1\r\nHost: " + mixed + "\r\n\r\n").answer("GET"); got.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, got.StatusCode, status)
		}
		_ = w.Close()
	}
}

// TestInterceptCut wants a stream inside cut at the deadline, as incomplete, and the rest of its connection left alone.
func TestInterceptCut(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2 %v", http2), func(t *testing.T) {
			t.Parallel()
			o, roots := secureOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "first ")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
			b := l.browser(http2)
			resp, err := b.Do(newRequest(t, http.MethodGet, "https://"+mixed+"/slow"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 6)); err != nil {
				t.Fatal(err)
			}
			l.enforceText(operatorYAML+"  - {id: all-of-it, hosts: ["+mixed+"], reason: closed, phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}\n", policy.Allow)
			if _, err := io.ReadAll(resp.Body); err == nil {
				t.Error("the answer ended as if it were whole")
			}
			l.records.wait(t, "cut", func(r audit.Record) bool {
				return r.Kind == "intercepted" && r.Ended == "cut" && r.Verdict == policy.Block
			})
		})
	}
}

// TestInterceptRecordsAll wants whatever was decrypted recorded, also what no text governs: here the other paths of a host of
// which a rule blocks one.
func TestInterceptRecordsAll(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{"two.acme.example": o.addr}, change: func(c *Config) { c.Ungoverned = false }}, roots)
	l.enforceText(operatorYAML+`  - {id: no-codebase, vendor: own, channels: [codebase], reason: "not here", phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}
vendors:
  - vendor: own
    name: Own
    sources: {own: {title: "the tests", url: "https://own.example/", checked: 2026-01-02, grade: operator}}
    endpoints:
      - {host: two.acme.example, paths: ["/sig/**"], channels: [signatures], sources: [own]}
      - {host: two.acme.example, paths: ["/base/**"], channels: [codebase], sources: [own]}
`, policy.Allow)
	b := l.browser(true)
	l.look(b, "https://two.acme.example/sig/a").want(t, 200)
	l.look(b, "https://two.acme.example/base/a").want(t, 403)
	for path, event := range map[string]audit.Event{"/sig/a": audit.End, "/base/a": audit.Refused} {
		l.records.wait(t, path, func(r audit.Record) bool { return r.Path == path && r.Event == event && r.Kind == "intercepted" })
	}
}
