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

// bubble has net/http behind the front within a synctest bubble, with one client connected by a pipe.
type bubble struct {
	t     *testing.T
	c     net.Conn
	in    *bufio.Reader
	start time.Time
}

func inBubble(t *testing.T, limits frontLimits, handler http.HandlerFunc, test func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes, 1)
		server := &http.Server{Handler: answerFaults(handler)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(listener)
		}()
		near, far := net.Pipe()
		listener <- frontOf(far, limits)
		test(&bubble{t: t, c: near, in: bufio.NewReader(near), start: time.Now()})
		_ = near.Close()
		close(listener)
		_ = server.Close()
		<-done
	})
}

// send sends what the server takes at once.
func (b *bubble) send(s string) {
	b.t.Helper()
	if _, err := io.WriteString(b.c, s); err != nil {
		b.t.Fatal(err)
	}
}

// expect wants the next answer to have a status and a body at a time after the start: "200 GET / after 5s", or an end.
func (b *bubble) expect(want string) {
	b.t.Helper()
	if got := b.answer(); got != want {
		b.t.Errorf("%s, want %s", got, want)
	}
}

func (b *bubble) answer() string {
	resp, err := http.ReadResponse(b.in, nil)
	if err != nil {
		return fmt.Sprintf("%v after %v", err, time.Since(b.start))
	}
	at := time.Since(b.start)
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Sprintf("%d, %v", resp.StatusCode, err)
	}
	return fmt.Sprintf("%d %s after %v", resp.StatusCode, strings.TrimSpace(string(body)), at)
}

func TestSlowHead(t *testing.T) {
	t.Parallel()
	inBubble(t, timed, echoPath, func(b *bubble) {
		time.Sleep(time.Minute) // before the first byte only the idle limit counts
		for i, part := range []string{"G", "ET / HT", "TP/1.1\r\nHo"} {
			time.Sleep(time.Duration(i) * time.Second)
			b.send(part)
		}
		b.expect("408 head-timeout after 1m10s")
	})
}

func TestHeadInTime(t *testing.T) {
	t.Parallel()
	inBubble(t, timed, echoPath, func(b *bubble) {
		for _, at := range []string{"9s", "18s", "27s"} { // each head has its own time
			b.send("GET / HTTP/1.1\r\n")
			time.Sleep(9 * time.Second)
			b.send("Host: a\r\n\r\n")
			b.expect("200 GET / after " + at)
		}
	})
	inBubble(t, timed, echoPath, func(b *bubble) {
		for _, at := range [][2]string{{"9s", "18s"}, {"27s", "36s"}} { // so have trailers, and a head behind them
			b.send(chunkedHead + "0\r\n")
			time.Sleep(9 * time.Second)
			b.send("\r\n")
			b.expect("200 POST / after " + at[0])
			b.send("GET / HTTP/1.1\r\n")
			time.Sleep(9 * time.Second)
			b.send("Host: a\r\n\r\n")
			b.expect("200 GET / after " + at[1])
		}
	})
}

func TestIdleConnection(t *testing.T) {
	t.Parallel()
	inBubble(t, timed, echoPath, func(b *bubble) {
		b.expect("unexpected EOF after 5m0s")
	})
	inBubble(t, timed, echoPath, func(b *bubble) {
		const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
		b.send(get)
		b.expect("200 GET / after 0s")
		time.Sleep(4 * time.Minute)
		b.send(get)
		b.expect("200 GET / after 4m0s")
		b.expect("unexpected EOF after 9m0s")
	})
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
		inBubble(t, timed, handler, func(b *bubble) {
			b.send(request)
			b.expect("200 late after 1h0m0s")
		})
	}
	// A client that begins the next head meanwhile and stops is at fault for that one only, and in its turn.
	inBubble(t, timed, handler, func(b *bubble) {
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		b.send("GET")
		b.expect("200 late after 1h0m0s")
		b.expect("408 head-timeout after 1h0m0s")
	})
}

// TestFrontAnswersBehindASlowOne has a bad request arrive while the one before it is still being answered.
func TestFrontAnswersBehindASlowOne(t *testing.T) {
	t.Parallel()
	handler := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		_, _ = fmt.Fprintf(w, "%s %v", r.URL.Path, r.Context().Err())
	}
	for bad, code := range map[string]string{"GET /2 HTTP/1.1\nHost: a\n\n": "bare-lf", "\n": "request-line"} {
		inBubble(t, timed, handler, func(b *bubble) {
			b.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
			b.send(bad)
			b.expect("200 /1 <nil> after 1s")
			b.expect("400 " + code + " after 1s")
			b.expect("unexpected EOF after 1.5s")
		})
	}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sent, want string }{
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", "408 body-timeout after 9m0s"},
		{chunkedHead + "7\r\n", "408 body-timeout after 9m0s"},
		{chunkedHead + "4\r\n", "408 body-timeout after 9m0s"},
		// Trailers have the time of a head. The handler learns of an error but not of which, so the connection is closed without
		// an answer, half a second later.
		{chunkedHead + "4\r\nabcd\r\n0\r\nX: ", "unexpected EOF after 10.5s"},
		{chunkedHead + "4\r\nabcd\r\n0\r\n", "unexpected EOF after 10.5s"},
	} {
		inBubble(t, timed, echoPath, func(b *bubble) {
			b.send(c.sent)
			if strings.HasSuffix(c.want, "9m0s") {
				time.Sleep(4 * time.Minute) // within the limit, which then begins anew
				b.send("abcd")
			}
			b.expect(c.want)
		})
	}
}

func TestNoLimits(t *testing.T) {
	t.Parallel()
	inBubble(t, frontLimits{Head: 1024, HeaderCount: 10}, echoPath, func(b *bubble) {
		for _, part := range []string{"POST / HTTP/1.1\r\n", "Host: a\r\nContent-Length: 4\r\n\r\n", "ab", "cd"} {
			time.Sleep(24 * time.Hour)
			b.send(part)
		}
		b.expect("200 POST /abcd after 96h0m0s")
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
