package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// laneHeads are requests for the fast lane; the first of each pair says whether it takes it.
var laneHeads = []struct {
	taken bool
	head  string
}{
	{true, "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"},
	{true, "HEAD http://A.example:8080/b%20c?d=e&f=%2F HTTP/1.1\r\nHost: x\r\nUser-Agent: u\r\nAccept: text/html\r\nCookie: a=b\r\n\r\n"},
	{true, "GET http://[2001:db8::1]/ HTTP/1.1\r\nHost:\r\nConnection: keep-alive\r\nProxy-Connection: close\r\nKeep-Alive: 5\r\nProxy-Authorization: Basic x\r\nProxy: y\r\nProxy-Status: z\r\n\r\n"},
	{true, "GET http://a.example/~!$&'()*+,;=:@ HTTP/1.1\r\nHost: x\r\nrange: bytes=0-1\r\nX-Empty:\r\nx-twice: 1\r\nX-TWICE:  2 \t\r\n\r\n"},
	{false, "GET http://a.example HTTP/1.1\r\nHost: x\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.0\r\nHost: x\r\n\r\n"},
	{false, "GET http://u@a.example/ HTTP/1.1\r\nHost: x\r\n\r\n"},
	{false, "GET http://a.example/\" HTTP/1.1\r\nHost: x\r\n\r\n"},
	{false, "GET http://a.example/%zz HTTP/1.1\r\nHost: x\r\n\r\n"},
	{false, "GET http://a.example/b/../%2f HTTP/1.1\r\nHost: x\r\n\r\n"},
	{false, "GET http://a.example/%00 HTTP/1.1\r\nHost: x\r\n\r\n"},
	{false, "GET HTTP://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n"},
	{false, "GET /proxy.pac HTTP/1.1\r\nHost: x\r\n\r\n"},
	{false, "POST http://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nHTTP2-Settings: AA\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nConnection: close, X-Hop\r\n\r\n"},
	{true, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: te\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nTE: trailers, gzip\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nLarge: " + strings.Repeat("x", laneHead) + "\r\n\r\n"},
}

// innerHeads are requests inside of an intercepted connection to port 8443 of mixed.
var innerHeads = []struct {
	taken bool
	head  string
}{
	{true, "GET / HTTP/1.1\r\nHost: mixed.acme.example:8443\r\n\r\n"},
	{true, "GET /b%20c?d=e&f=%2F HTTP/1.1\r\nhost: MIXED.acme.example.\r\nConnection: close\r\nKeep-Alive: 5\r\nCookie: a=b\r\n\r\n"},
	{true, "HEAD //v6//a HTTP/1.1\r\nAccept: text/html\r\nHost:\tmixed.acme.example \r\n\r\n"},
	{true, "GET /? HTTP/1.1\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\nHost: mixed.acme.example:443\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\nHost: mixed.acme.example:0\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\nHost: other.acme.example\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\nHost: a@mixed.acme.example\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\nHost: mixed.acme.example\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\n\r\n"},
	{false, "GET / HTTP/1.0\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "GET https://mixed.acme.example:8443/ HTTP/1.1\r\nHost: mixed.acme.example:8443\r\n\r\n"},
	{false, "GET http://mixed.acme.example/ HTTP/1.1\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "GET mixed.acme.example/ HTTP/1.1\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "GET /b/../%2f HTTP/1.1\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "GET /\" HTTP/1.1\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "GET /\\ HTTP/1.1\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "POST / HTTP/1.1\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "OPTIONS * HTTP/1.1\r\nHost: mixed.acme.example\r\n\r\n"},
	{false, "CONNECT mixed.acme.example:8443 HTTP/1.1\r\nHost: mixed.acme.example:8443\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\nHost: mixed.acme.example\r\nContent-Length: 0\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\nHost: mixed.acme.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
	{false, "GET / HTTP/1.1\r\nHost: mixed.acme.example\r\nExpect: 100-continue\r\n\r\n"},
}

// readingLane is a lane that can read a head, and nothing else.
func readingLane(head []byte, inside bool) *lane {
	l := &lane{server: &Server{cfg: Config{Dialer: NewDialer(DialConfig{})}}, buf: head, w: len(head), laneScratch: new(laneScratch)}
	if inside {
		name := host.MustParse(mixed)
		l.inner = &interception{flow: &flow{facts: policy.Facts{Authority: name, SNI: name, Port: 8443}}}
	}
	return l
}

// reads has the fast lane read a head, by itself.
func (l *lane) reads() (q laneRequest, size int, taken bool) {
	size, fault := l.head.step(l.buf, 64<<10, 100)
	return q, size, size > 0 && fault == nil && q.read(l)
}

func TestWhatTheFastLaneTakes(t *testing.T) {
	t.Parallel()
	for i, heads := range [][]struct {
		taken bool
		head  string
	}{laneHeads, innerHeads} {
		for _, c := range heads {
			if _, _, taken := readingLane([]byte(c.head), i == 1).reads(); taken != c.taken {
				t.Errorf("%.200q: taken: %v", c.head, taken)
			}
		}
	}
}

// Whatever the fast lane takes, net/http reads in the same way, and what goes on is what would have gone on by net/http.
func FuzzFastLaneReadsAsNetHTTP(f *testing.F) {
	for _, c := range laneHeads {
		f.Add([]byte(c.head), false)
	}
	for _, c := range innerHeads {
		f.Add([]byte(c.head), true)
	}
	f.Fuzz(func(t *testing.T, head []byte, inside bool) {
		l := readingLane(head, inside)
		q, size, taken := l.reads()
		if !taken {
			return
		}
		out := l.out
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			t.Fatalf("net/http does not read %q: %v", head, err)
		}
		if want.Body != http.NoBody || want.ContentLength != 0 || size > laneHead {
			t.Fatalf("%q has a body, or is too large", head)
		}
		wantFlow, usual := netHTTPFlow(t, l, want), uint16(80)
		if inside {
			usual = 443
		}
		if got := l.newFlow(&q); got.facts != wantFlow.facts || got.url != wantFlow.url || got.kind != wantFlow.kind || got.within != wantFlow.within {
			t.Fatalf("%q: %+v, %s, want %+v, %s", head, got.facts, got.url, wantFlow.facts, wantFlow.url)
		}
		if want.URL.RequestURI() != q.target {
			t.Fatalf("%q: goes to %q", head, q.target)
		}
		if closes := want.Close || strings.EqualFold(want.Header.Get("Proxy-Connection"), "close"); closes && !q.close {
			t.Fatalf("%q: close %v", head, q.close)
		}
		stripRequest(want)
		if _, told := want.Header["Te"]; told {
			want.Header.Set("Connection", "TE")
		}
		want.Header.Add("Via", "1.1 gracegate")
		got, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out)))
		if err != nil {
			t.Fatalf("what goes on cannot be read: %q: %v", out, err)
		}
		if diff := cmp.Diff(want.Header, got.Header); diff != "" {
			t.Fatalf("%q goes on as %q: %s", head, out, diff)
		}
		gotName, gotPort, err := host.ParseAuthority(got.Host)
		if gotPort == 0 {
			gotPort = usual
		}
		if err != nil || gotName != wantFlow.facts.Inner || gotPort != wantFlow.facts.Port || got.RequestURI != q.target {
			t.Fatalf("%q goes on as %q", head, out)
		}
	})
}

// netHTTPFlow is the flow that Server.forward and Server.serveInner make of a request that the fast lane takes.
func netHTTPFlow(t *testing.T, l *lane, r *http.Request) *flow {
	t.Helper()
	if l.inner != nil {
		f, fault := l.inner.innerFlow(r)
		if fault != nil || !l.inner.agrees(f.facts.Inner, f.facts.Port) || r.URL.IsAbs() {
			t.Fatalf("%v %v: %v", r.Host, r.URL, fault)
		}
		return f
	}
	name, port, err := target(r)
	path, again, ok := policy.ReadPath(r.URL.EscapedPath())
	if err != nil || !ok {
		t.Fatalf("%v: %v", r.URL, err)
	}
	return newPlainFlow(l.client, r.Method, name, port, path, again, r.URL.String())
}

var laneAnswers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n02\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nDate: today\r\n\r\nto the end",
	"HTTP/1.0 404 Not Found\nContent-Length: 0\n\n",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
	"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
}

// Whatever answer the fast lane passes on, net/http reads in the same way, before and after.
func FuzzFastLaneAnswersAsNetHTTP(f *testing.F) {
	for _, a := range laneAnswers {
		f.Add([]byte(a))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		size := headEnd(raw, 0)
		var a laneAnswer
		if size == 0 || a.read(raw[:size], http.MethodGet) != nil || a.status < 200 {
			return
		}
		head := a.write(nil, raw[:size], "", false)
		c := &originConn{in: bytes.Clone(raw), r: size, w: len(raw)}
		body := bodyReader{kind: a.body, left: a.length}
		data, done, fault := body.read(c, true)
		if fault != nil || !done {
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: http.MethodGet})
		if err != nil {
			t.Fatalf("net/http does not read %q: %v", raw, err)
		}
		defer want.Body.Close()
		if all, err := io.ReadAll(want.Body); err != nil || !bytes.Equal(all, data) || want.StatusCode != a.status {
			t.Fatalf("%q: net/http reads %q, %v, the lane %q", raw, all, err, data)
		}
		if a.body == bodyChunked || a.body == bodyToEnd {
			head = append(head, "0\r\n\r\n"...)
		}
		got, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), &http.Request{Method: http.MethodGet})
		if err != nil || got.StatusCode != want.StatusCode {
			t.Fatalf("%q goes on as %q: %v", raw, head, err)
		}
		defer got.Body.Close()
		stripResponse(want)
		want.Header.Del("Content-Length")
		for _, name := range []string{"Via", "Date", "Content-Length", "Transfer-Encoding"} {
			want.Header.Del(name)
			got.Header.Del(name)
		}
		if diff := cmp.Diff(want.Header, got.Header); diff != "" {
			t.Fatalf("%q goes on as %q: %s", raw, head, diff)
		}
	})
}
