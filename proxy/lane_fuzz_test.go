package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"},
	{false, "GET http://a.example/ HTTP/1.1\r\nHost: x\r\nLarge: " + strings.Repeat("x", laneHead) + "\r\n\r\n"},
}

// laneReads has the fast lane read a head, by itself.
func laneReads(head []byte) (q laneRequest, out []byte, size int, taken bool) {
	l := &lane{buf: head, w: len(head), laneScratch: new(laneScratch)}
	size, fault := l.head.step(head, 64<<10, 100)
	if size == 0 || fault != nil || l.head.connect {
		return q, nil, 0, false
	}
	taken = q.read(l)
	return q, l.out, size, taken
}

func TestWhatTheFastLaneTakes(t *testing.T) {
	t.Parallel()
	for _, c := range laneHeads {
		if _, _, _, taken := laneReads([]byte(c.head)); taken != c.taken {
			t.Errorf("%.200q: taken: %v", c.head, taken)
		}
	}
}

// Whatever the fast lane takes, net/http reads in the same way, and what goes on is what would have gone on by net/http.
func FuzzFastLaneReadsAsNetHTTP(f *testing.F) {
	for _, c := range laneHeads {
		f.Add([]byte(c.head))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		q, out, size, taken := laneReads(head)
		if !taken {
			return
		}
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			t.Fatalf("net/http does not read %q: %v", head, err)
		}
		if want.Body != http.NoBody || want.ContentLength != 0 || size > laneHead {
			t.Fatalf("%q has a body, or is too large", head)
		}
		name, port, err := target(want)
		if err != nil || name != q.name || port != q.port || want.Method != q.method || want.URL.RequestURI() != q.target {
			t.Fatalf("%q: %v %d %q %q, %v", head, q.name, q.port, q.method, q.target, err)
		}
		if closes := want.Close || strings.EqualFold(want.Header.Get("Proxy-Connection"), "close"); closes && !q.close {
			t.Fatalf("%q: close %v", head, q.close)
		}
		stripHopByHop(want.Header)
		want.Header.Add("Via", "1.1 gracegate")
		got, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out)))
		if err != nil {
			t.Fatalf("what goes on cannot be read: %q: %v", out, err)
		}
		if diff := cmp.Diff(want.Header, got.Header); diff != "" {
			t.Fatalf("%q goes on as %q: %s", head, out, diff)
		}
		if gotName, gotPort, err := host.ParseAuthority(got.Host); err != nil || gotName != name || max(gotPort, 80) != max(port, 80) && gotPort != port || got.RequestURI != q.target {
			t.Fatalf("%q goes on as %q", head, out)
		}
	})
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
