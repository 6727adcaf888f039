package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections within a synctest bubble.
type pipes chan net.Conn

func (l pipes) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l pipes) Close() error   { return nil }
func (l pipes) Addr() net.Addr { return &net.TCPAddr{} }

// timed are the limits of these tests.
var timed = frontLimits{Head: 64 << 10, HeaderCount: 100, HeadTimeout: 10 * time.Second, Idle: 5 * time.Minute}

// inBubble runs net/http behind the front within a synctest bubble, with one client connected by a pipe.
func inBubble(t *testing.T, limits frontLimits, handler http.HandlerFunc, test func(t *testing.T, c net.Conn, in *bufio.Reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes, 1)
		server := &http.Server{Handler: answerFaults(handler)} //nolint:gosec // the front has the timeouts
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(listener)
		}()
		near, far := net.Pipe()
		listener <- frontOf(far, limits)
		test(t, near, bufio.NewReader(near))
		_ = near.Close()
		close(listener)
		_ = server.Close()
		<-done
	})
}

// sendNow writes what the server takes; nobody waits for more.
func sendNow(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// status reads an answer and returns its status, and when it came.
func status(t *testing.T, in *bufio.Reader, since time.Time) string {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return fmt.Sprintf("%v after %v", err, time.Since(since))
	}
	at := time.Since(since)
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Sprintf("%d, %v", resp.StatusCode, err)
	}
	return fmt.Sprintf("%d %s after %v", resp.StatusCode, strings.TrimSpace(string(body)), at)
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSlowHead(t *testing.T) {
	t.Parallel()
	inBubble(t, timed, echoPath, func(t *testing.T, c net.Conn, in *bufio.Reader) {
		time.Sleep(time.Minute) // before the first byte only the idle limit counts
		start := time.Now()
		for i, part := range []string{"G", "ET / HT", "TP/1.1\r\nHo"} {
			time.Sleep(time.Duration(i) * time.Second)
			sendNow(t, c, part)
		}
		expect(t, status(t, in, start), "408 head-timeout after 10s")
	})
}

func TestHeadInTime(t *testing.T) {
	t.Parallel()
	inBubble(t, timed, echoPath, func(t *testing.T, c net.Conn, in *bufio.Reader) {
		start := time.Now()
		for range 3 { // each head has its own time
			sendNow(t, c, "GET / HTTP/1.1\r\n")
			time.Sleep(9 * time.Second)
			sendNow(t, c, "Host: a\r\n\r\n")
			expect(t, status(t, in, start)[:9], "200 GET /")
		}
	})
	inBubble(t, timed, echoPath, func(t *testing.T, c net.Conn, in *bufio.Reader) {
		start := time.Now()
		for range 3 { // so have trailers, and a head behind them
			sendNow(t, c, chunkedHead+"0\r\n")
			time.Sleep(9 * time.Second)
			sendNow(t, c, "\r\n")
			expect(t, status(t, in, start)[:10], "200 POST /")
			sendNow(t, c, "GET / HTTP/1.1\r\n")
			time.Sleep(9 * time.Second)
			sendNow(t, c, "Host: a\r\n\r\n")
			expect(t, status(t, in, start)[:9], "200 GET /")
		}
	})
}

func TestIdleConnection(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"} {
		inBubble(t, timed, echoPath, func(t *testing.T, c net.Conn, in *bufio.Reader) {
			start := time.Now()
			if before != "" {
				sendNow(t, c, before)
				expect(t, status(t, in, start), "200 GET / after 0s")
				time.Sleep(4 * time.Minute)
				sendNow(t, c, before)
				expect(t, status(t, in, start), "200 GET / after 4m0s")
				start = time.Now()
			}
			expect(t, status(t, in, start), "unexpected EOF after 5m0s")
		})
	}
}

// TestLongAnswer holds net/http to what the front expects of it: while a request is answered, it watches the client by a read
// of a single byte. That must not run into the idle limit, which would cancel the request.
func TestLongAnswer(t *testing.T) {
	t.Parallel()
	handler := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Hour):
			_, _ = io.WriteString(w, "late")
		case <-r.Context().Done():
			_, _ = io.WriteString(w, "canceled")
		}
	}
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		inBubble(t, timed, handler, func(t *testing.T, c net.Conn, in *bufio.Reader) {
			start := time.Now()
			sendNow(t, c, request)
			expect(t, status(t, in, start), "200 late after 1h0m0s")
		})
	}
	// A client that begins the next head meanwhile and stops is at fault for that one only, and in its turn.
	inBubble(t, timed, handler, func(t *testing.T, c net.Conn, in *bufio.Reader) {
		start := time.Now()
		sendNow(t, c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		sendNow(t, c, "GET")
		expect(t, status(t, in, start), "200 late after 1h0m0s")
		expect(t, status(t, in, start), "408 head-timeout after 1h0m0s")
	})
}

// TestFrontAnswersBehindASlowOne has a bad request arrive while the one before it is still being answered.
func TestFrontAnswersBehindASlowOne(t *testing.T) {
	t.Parallel()
	handler := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		fmt.Fprintf(w, "%s %v", r.URL.Path, r.Context().Err())
	}
	for _, bad := range []string{"GET /2 HTTP/1.1\nHost: a\n\n", "\n"} {
		inBubble(t, timed, handler, func(t *testing.T, c net.Conn, in *bufio.Reader) {
			start := time.Now()
			sendNow(t, c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
			sendNow(t, c, bad)
			expect(t, status(t, in, start), "200 /1 <nil> after 1s")
			expect(t, status(t, in, start)[:3], "400")
			expect(t, status(t, in, start), "unexpected EOF after 1.5s")
		})
	}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sent, want string }{
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", "408 body-timeout after 9m0s"},
		{chunkedHead + "7\r\n", "408 body-timeout after 9m0s"},
		{chunkedHead + "4\r\n", "408 body-timeout after 9m0s"},
		{chunkedHead + "4\r\nabcd\r\n0\r\nX: ", "unexpected EOF after 10s"}, // trailers are a kind of head, whose faults net/http hides
		{chunkedHead + "4\r\nabcd\r\n0\r\n", "unexpected EOF after 10s"},
	} {
		inBubble(t, timed, echoPath, func(t *testing.T, conn net.Conn, in *bufio.Reader) {
			start := time.Now()
			sendNow(t, conn, c.sent)
			if strings.HasSuffix(c.want, "9m0s") {
				time.Sleep(4 * time.Minute) // within the limit, which then begins anew
				sendNow(t, conn, "abcd")
			}
			expect(t, strings.Replace(status(t, in, start), "10.5s", "10s", 1), c.want) // with the linger of half a second
		})
	}
}

func TestNoLimits(t *testing.T) {
	t.Parallel()
	inBubble(t, frontLimits{Head: 1024, HeaderCount: 10}, echoPath, func(t *testing.T, c net.Conn, in *bufio.Reader) {
		start := time.Now()
		for _, part := range []string{"POST / HTTP/1.1\r\n", "Host: a\r\nContent-Length: 4\r\n\r\n", "ab", "cd"} {
			time.Sleep(24 * time.Hour)
			sendNow(t, c, part)
		}
		expect(t, status(t, in, start), "200 POST /abcd after 96h0m0s")
	})
}

// TestDeadlinesFromOutside sets deadlines beside the front's own, as net/http does to wake up a Read.
func TestDeadlinesFromOutside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _ = near.Close() }()
		front := frontOf(far, timed)
		go func() { _, _ = io.WriteString(near, "GET / HT") }()
		p := make([]byte, 100)
		for i, c := range []struct {
			set   func(time.Time) error
			limit time.Duration
		}{
			{front.SetReadDeadline, time.Second}, {front.SetDeadline, 2 * time.Second}, {front.SetReadDeadline, -time.Hour},
		} {
			start := time.Now()
			if err := c.set(start.Add(c.limit)); err != nil {
				t.Fatal(err)
			}
			n, err := front.Read(p)
			if took := time.Since(start); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || took != max(0, c.limit) {
				t.Errorf("read %d: %d bytes, %v after %v", i, n, err, took)
			}
		}
		// Woken up in the middle, nothing is lost, and the time for the head still runs from its beginning.
		if err := front.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _ = front.SetReadDeadline(time.Unix(1, 0)) })
		if n, err := front.Read(p); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("woken up: %d bytes, %v", n, err)
		}
		if err := front.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(near, "TP/1.1\r\nHost: a\r\n\r\n") }()
		n, err := front.Read(p)
		if err != nil || string(p[:n]) != "GET / HTTP/1.1\r\nHost: a\r\n\r\n" {
			t.Errorf("%q, %v", p[:n], err)
		}
	})
}

// TestCloseAfterAFault reads on for a while, and is ended by a second call.
func TestCloseAfterAFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, twice := range []bool{false, true} {
			near, far := net.Pipe()
			front := frontOf(far, timed)
			go func() { _, _ = io.WriteString(near, strings.Repeat("\n", 8<<10)) }()
			if _, err := io.Copy(io.Discard, front); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			want := lingerTime
			if twice {
				want = lingerTime / 2
				time.AfterFunc(want, func() { _ = front.Close() })
			}
			_ = front.Close()
			if took := time.Since(start); took != want {
				t.Errorf("closed twice %v: took %v, want %v", twice, took, want)
			}
			if _, err := near.Write([]byte("x")); err == nil {
				t.Error("still open")
			}
		}
	})
}
