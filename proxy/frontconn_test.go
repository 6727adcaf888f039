package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// behindFront is a TCP listener whose connections come through the front.
type behindFront struct {
	net.Listener
	limits frontLimits
}

func (l behindFront) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newFrontConn(c.(*net.TCPConn), l.limits), nil
}

// generous are limits that a test reaches only if something hangs.
var generous = frontLimits{Head: 64 << 10, HeaderCount: 100, HeadTimeout: 20 * time.Second, Idle: 20 * time.Second}

// serveFront runs net/http behind the front. Faults are answered as the proxy does: with their status and code.
func serveFront(t *testing.T, handler http.HandlerFunc) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: answerFaults(handler)} // the front has the timeouts
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(behindFront{l, generous})
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l.Addr().String()
}

func answerFaults(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if fault, ok := FaultOf(r); ok {
			http.Error(w, fault.Code, fault.Status)
			return
		}
		handler(w, r)
	}
}

// client is a connection to the front and a reader of its answers.
type client struct {
	*net.TCPConn
	in *bufio.Reader
}

func dialFront(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &client{c.(*net.TCPConn), bufio.NewReader(c)}
}

func (c *client) send(t *testing.T, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// answer returns the next answer as "200 its body".
func (c *client) answer(t *testing.T) string {
	t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body)))
}

// ends makes sure that the server closes without another word.
func (c *client) ends(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		t.Errorf("at the end %q, %v", rest, err)
	}
}

func echoPath(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		if fault, ok := errors.AsType[*Fault](err); ok {
			http.Error(w, fault.Code, fault.Status)
			return
		}
		panic(http.ErrAbortHandler)
	}
	_, _ = fmt.Fprintf(w, "%s %s%s", r.Method, r.URL.Path, body)
}

func TestFrontAnswersInOrder(t *testing.T) {
	t.Parallel()
	c := dialFront(t, serveFront(t, echoPath))
	c.send(t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"+
		"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"+
		"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"+
		"GET /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+
		"GET /5 HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, want := range []string{"200 GET /1", "200 POST /2abc", "200 POST /3def", "400 transfer-encoding"} {
		if got := c.answer(t); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
	c.ends(t)
}

func TestFrontAnswersAHugeHead(t *testing.T) {
	t.Parallel()
	addr := serveFront(t, echoPath)
	for _, sent := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n",
		"GET /" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 100) + "\r\n",
	} {
		c := dialFront(t, addr)
		c.send(t, sent)
		if got := c.answer(t); !strings.HasPrefix(got, "431 too-") {
			t.Errorf("answer %q", got)
		}
		c.ends(t)
	}
	c := dialFront(t, addr)
	c.send(t, "GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 60<<10)+"\r\n\r\n")
	if got := c.answer(t); got != "200 GET /" {
		t.Errorf("answer %q to a head within the limits", got)
	}
}

func TestFrontAnswersABadBody(t *testing.T) {
	t.Parallel()
	c := dialFront(t, serveFront(t, echoPath))
	c.send(t, chunkedHead+"5\r\nabcde\r\n5 \r\nabcde\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := c.answer(t); got != "400 chunk-size" {
		t.Errorf("answer %q", got)
	}
	c.ends(t)
}

// TestBrokenUploadsLookBroken forwards uploads that are cut off or at fault, and asks the origin whether it saw a whole one.
func TestBrokenUploadsLookBroken(t *testing.T) {
	t.Parallel()
	const length = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
	for _, c := range []struct {
		sent  string
		whole bool
	}{
		{length + "0123456789", true},
		{chunkedHead + "5\r\nabcde\r\n0\r\n\r\n", true},
		{length + "012345678", false},
		{length, false},
		{chunkedHead + "5\r\nabcde\r\n", false},
		{chunkedHead + "5\r\nabcde\r\n0\r\n", false},
		{chunkedHead + "5\r\nabcde\r\n0\r\nX: y\r\n", false},
		{chunkedHead + "5\r\nabcde\r\n0\r\nContent-Length: 5\r\n\r\n", false},
		{chunkedHead + "5\r\nabcde\r\n0\n\r\n", false},
		{chunkedHead + "5\r\nabcdeX0\r\n\r\n", false},
	} {
		if whole := uploadIsWhole(t, c.sent); whole != c.whole {
			t.Errorf("%q: the origin saw a whole upload: %v", c.sent, whole)
		}
	}
}

// uploadIsWhole forwards what a client sends before it ends, and reports whether the origin saw an upload without error.
func uploadIsWhole(t *testing.T, sent string) bool {
	t.Helper()
	seen := make(chan error, 1)
	origin := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		seen <- err
	}))
	transport := &http.Transport{}
	c := dialFront(t, serveFront(t, func(w http.ResponseWriter, r *http.Request) {
		out, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, origin.URL, r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		out.ContentLength, out.Trailer = r.ContentLength, r.Trailer
		resp, err := transport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = resp.Body.Close()
	}))
	c.send(t, sent)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c.in)
	transport.CloseIdleConnections()
	origin.Close() // waits for its requests
	select {
	case err := <-seen:
		return err == nil
	default:
		return false // it was never asked
	}
}

// detached hijacks a request and returns its connection, and all that the client sent behind it so far.
func detached(t *testing.T, w http.ResponseWriter) (tcp *net.TCPConn, unread, early []byte) {
	t.Helper()
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return nil, nil, nil
	}
	unread, err = rw.Peek(rw.Reader.Buffered())
	if err != nil {
		t.Error(err)
	}
	front := conn.(*frontConn)
	tcp, early = front.Detach()
	if front.buf != nil {
		t.Error("a detached front holds a buffer")
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a detached front still reads: %d, %v", n, err)
	}
	return tcp, unread, early
}

// TestDetachKeepsEveryByte sends more and more early bytes behind requests that become something else than HTTP.
func TestDetachKeepsEveryByte(t *testing.T) {
	t.Parallel()
	addr := serveFront(t, func(w http.ResponseWriter, r *http.Request) {
		tcp, unread, early := detached(t, w)
		if tcp == nil {
			return
		}
		defer func() { _ = tcp.Close() }()
		if r.Method == http.MethodConnect && len(unread) > 0 {
			t.Errorf("%q was let through behind a CONNECT", unread)
		}
		_, _ = tcp.Write(append([]byte("+"), append(unread, early...)...))
		_, _ = io.Copy(tcp, tcp)
	})
	const connect = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, size := range []int{0, 1, 100, 3 << 10, 5 << 10, 16 << 10, 17 << 10, 300 << 10} {
		early := strings.Repeat("GET / HTTP/1.1\n", size/15+1)[:size]
		checkEcho(t, addr, connect, early)
	}
	checkEcho(t, addr, get, "")
	checkEcho(t, addr, get, get+get+get[:9])
	checkEcho(t, addr, get, strings.Repeat(get, 400))
}

// checkEcho sends a request and early bytes at once, and late ones once it is no longer HTTP, and wants all but the request
// back.
func checkEcho(t *testing.T, addr, request, early string) {
	t.Helper()
	c := dialFront(t, addr)
	ready := make(chan struct{})
	go func() {
		_, _ = io.WriteString(c, request+early)
		<-ready
		_, _ = io.WriteString(c, strings.Repeat("late", 1000))
		_ = c.CloseWrite()
	}()
	_, err := c.in.Discard(1)
	close(ready)
	if err != nil {
		t.Fatal(err)
	}
	want := early + strings.Repeat("late", 1000)
	got, err := io.ReadAll(c.in)
	if err != nil || string(got) != want {
		t.Errorf("%d early bytes behind %.12q: %d bytes came back of %d, %v", len(early), request, len(got), len(want), err)
	}
}

// TestDetachAfterAFault sends what is no request where only requests may be: the connection is of no use.
func TestDetachAfterAFault(t *testing.T) {
	t.Parallel()
	ready := make(chan struct{})
	done := make(chan error, 1)
	c := dialFront(t, serveFront(t, func(w http.ResponseWriter, _ *http.Request) {
		<-ready
		tcp, _, early := detached(t, w)
		_, err := tcp.Write([]byte("x"))
		if len(early) > 0 {
			err = nil
		}
		done <- err
	}))
	c.send(t, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x85junk")
	close(ready)
	if err := <-done; err == nil {
		t.Error("the connection is alive")
	}
}

// TestRefusedConnectPassesNothing answers a CONNECT without closing, against the rules: what the client sent early must
// still not become a request.
func TestRefusedConnectPassesNothing(t *testing.T) {
	t.Parallel()
	requests := make(chan string, 10)
	c := dialFront(t, serveFront(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- r.Method
		w.WriteHeader(http.StatusForbidden)
	}))
	c.send(t, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"+strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1000))
	if got := c.answer(t); got != "403" && got != "403 " {
		t.Errorf("answer %q", got)
	}
	_ = c.CloseWrite()
	_, _ = io.Copy(io.Discard, c.in)
	close(requests)
	var all []string
	for r := range requests {
		all = append(all, r)
	}
	if len(all) != 1 {
		t.Errorf("requests %q", all)
	}
}

// TestClientLeaving cancels the request, also while a tunnel is dialled.
func TestClientLeaving(t *testing.T) {
	t.Parallel()
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET",
		"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nearly",
	} {
		begun, left := make(chan struct{}), make(chan error, 1)
		c := dialFront(t, serveFront(t, func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			select {
			case <-r.Context().Done():
				left <- nil
			case <-time.After(10 * time.Second):
				left <- context.DeadlineExceeded
			}
		}))
		c.send(t, request)
		<-begun
		_ = c.Close()
		if err := <-left; err != nil {
			t.Errorf("%q: the request goes on without its client", request)
		}
	}
}

// TestTunnelHoldsLittle lets a client send far more than may be held before there is a tunnel.
func TestTunnelHoldsLittle(t *testing.T) {
	t.Parallel()
	conn := &scripted{pieces: [][]byte{[]byte("CONNECT a:443 HTTP/1.0\r\n\r\n"), bytes.Repeat([]byte("x"), 1<<20)}, end: io.EOF}
	front := frontOf(conn, testLimits)
	p := make([]byte, 4096)
	n, err := front.Read(p)
	if err != nil || string(p[:n]) != "CONNECT a:443 HTTP/1.0\r\n\r\n" {
		t.Fatalf("%q, %v", p[:n], err)
	}
	for range 3 {
		if n, err := front.Read(p); n != 0 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	if held := front.w - front.r; held < maxEarly || held > 2*maxEarly {
		t.Errorf("%d bytes are held", held)
	}
}
