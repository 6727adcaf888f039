package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
)

const (
	wsFields = "Host: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	wsAnswer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

// wsOrigin changes protocols, and says hello with its head. Then it does as it is told.
func wsOrigin(t *testing.T, then func(c *net.TCPConn)) (o *origin, heads *box[string]) {
	t.Helper()
	heads = newBox[string]()
	return rawOrigin(t, func(c *net.TCPConn) {
		heads.add(readHead(c))
		_, _ = io.WriteString(c, wsAnswer+"hello ")
		then(c)
	}), heads
}

func (r *rig) webSocket(url string) *wire {
	r.t.Helper()
	w := r.wire().send("GET " + url + " HTTP/1.1\r\n" + wsFields + "\r\n")
	resp, err := http.ReadResponse(w.in, nil)
	if err == nil {
		r.t.Cleanup(func() { _ = resp.Body.Close() })
	}
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || !isWebSocket(resp.Header) || resp.Header.Get("Sec-Websocket-Accept") == "" {
		r.t.Fatalf("%v, %v", resp, err)
	}
	return w
}

func TestWebSocketEchoes(t *testing.T) {
	t.Parallel()
	o, heads := wsOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
	w := r.webSocket("http://upd.acme.example/chat")
	w.expect("hello ")
	for range 3 {
		w.send("frame").expect("frame")
	}
	_ = w.CloseWrite()
	if err := w.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	head := heads.all()[0]
	for _, want := range []string{"GET /chat HTTP/1.1\r\n", "\r\nConnection: Upgrade\r\n", "\r\nUpgrade: websocket\r\n", "\r\nSec-Websocket-Key: ", "\r\nHost: upd.acme.example\r\n", "\r\nVia: 1.1 gracegate\r\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("the origin got no %q in %q", want, head)
		}
	}
	start, end := r.recorded(audit.Start), r.recorded(audit.End)
	if start.Kind != "websocket" || end.Kind != "websocket" || end.Status != http.StatusSwitchingProtocols || end.BytesIn != 15 || end.BytesOut != 21 || end.Ended != "complete" {
		t.Errorf("records: %+v %+v", start, end)
	}
	r.observed("opened websocket")
	r.observed("closed websocket complete")
	if n := r.seen.count("decided"); n != 1 {
		t.Errorf("observed %v", r.seen.all())
	}
}

func TestWebSocketEndsWithEitherSide(t *testing.T) {
	t.Parallel()
	t.Run("the origin ends", func(t *testing.T) {
		t.Parallel()
		o, _ := wsOrigin(t, func(*net.TCPConn) {})
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
		w := r.webSocket("http://free.example/")
		if got, err := w.rest(); got != "hello " || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		_ = w.Close()
		r.observed("closed websocket complete")
	})
	t.Run("the origin resets", func(t *testing.T) {
		t.Parallel()
		now := make(chan struct{})
		o, _ := wsOrigin(t, func(c *net.TCPConn) {
			<-now
			reset(c)
		})
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
		w := r.webSocket("http://free.example/")
		w.expect("hello ")
		close(now)
		if err := w.end(); !isReset(err) {
			t.Errorf("the end is %v", err)
		}
		r.observed("closed websocket upstream")
	})
	t.Run("the client resets", func(t *testing.T) {
		t.Parallel()
		ended := make(chan error, 1)
		o, _ := wsOrigin(t, func(c *net.TCPConn) {
			_, err := io.Copy(io.Discard, c)
			ended <- err
		})
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
		w := r.webSocket("http://free.example/")
		w.expect("hello ")
		reset(w.TCPConn)
		if err := <-ended; !isReset(err) {
			t.Errorf("the origin sees %v", err)
		}
		r.observed("closed websocket client")
	})
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		o, _ := wsOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: brief})
		w := r.webSocket("http://free.example/")
		if err := w.end(); !isReset(err) {
			t.Errorf("the end is %v", err)
		}
		r.observed("closed websocket idle")
	})
	t.Run("the gateway stops", func(t *testing.T) {
		t.Parallel()
		o, _ := wsOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
		w := r.webSocket("http://free.example/")
		w.expect("hello ")
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if err := w.end(); !isReset(err) {
			t.Errorf("the end is %v", err)
		}
		if rec := r.recorded(audit.End); rec.Ended != "drain" {
			t.Errorf("record: %+v", rec)
		}
	})
}

// A WebSocket in which only the client speaks is not idle.
func TestWebSocketIsNotIdleWhileTheClientSends(t *testing.T) {
	t.Parallel()
	const idle = 8 * time.Second // a busy machine sleeps seconds longer than it is told
	got := make(chan string, 1)
	o, _ := wsOrigin(t, func(c *net.TCPConn) {
		all, _ := io.ReadAll(c)
		got <- string(all)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) { c.Idle = idle }})
	w := r.webSocket("http://free.example/")
	for range 10 {
		time.Sleep(idle / 8)
		w.send("tick ")
	}
	_ = w.CloseWrite()
	if s := <-got; s != strings.Repeat("tick ", 10) {
		t.Errorf("%q", s)
	}
}

func TestWebSocketThatIsRefused(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Upgrade", "h2c")
		http.Error(w, "no sockets here", http.StatusUpgradeRequired)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr, "cloud.acme.example": o.addr}})
	w := r.wire()
	for range 2 {
		a := w.send("GET http://free.example/ HTTP/1.1\r\n"+wsFields+"\r\n").answer(http.MethodGet).want(t, http.StatusUpgradeRequired)
		if a.body != "no sockets here\n" || a.Header.Get("Upgrade") != "" {
			t.Errorf("%v %q", a.Header, a.body)
		}
	}
	w.send("GET http://cloud.acme.example/ HTTP/1.1\r\n"+wsFields+"\r\n").answer(http.MethodGet).want(t, http.StatusUnavailableForLegalReasons)
	w.send("GET http://down.example/ HTTP/1.1\r\n"+wsFields+"\r\n").answer(http.MethodGet).want(t, http.StatusBadGateway)
}

// What is no whole opening of a WebSocket goes on as what it is otherwise, without the fields.
func TestOtherUpgradesAreDropped(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %v %v %s", r.Method, r.Header["Upgrade"], r.Header["Connection"], body)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire()
	for request, want := range map[string]string{
		"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n": "GET [] [] ",
		"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n":                                                 "GET [] [] ",
		"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n":                                                                      "GET [] [] ",
		"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n":                                          "GET [] [] ",
		"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n":                               "GET [] [] ",
		"POST http://free.example/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nbody":                     "POST [] [] body",
		"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nbody":                      "GET [] [] body",
	} {
		if a := w.send(request).answer(http.MethodGet).want(t, http.StatusOK); a.body != want {
			t.Errorf("%q: the origin got %q, want %q", request, a.body, want)
		}
	}
}

func TestAnOriginThatChangesToSomethingElse(t *testing.T) {
	t.Parallel()
	o := scriptedOrigin(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire().send("GET http://free.example/ HTTP/1.1\r\n" + wsFields + "\r\n")
	w.answer(http.MethodGet).want(t, http.StatusBadGateway)
}

// A client must wait for the 101 (RFC 6455, section 4.1). What it sends before is a request as long as nobody has said
// otherwise, and bytes of the WebSocket from then on; a frame cannot be read as a request, and ends the connection.
func TestBytesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for early, want := range map[string]string{
		"GET http://cloud.acme.example/ HTTP/1.1\r\nHost: x\r\n\r\n": "GET http://cloud.acme.example/ HTTP/1.1\r\nHost: x\r\n\r\nlater",
		"\x81\x85abcdhello": "",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			hold := make(chan struct{})
			got := make(chan string, 1)
			o := rawOrigin(t, func(c *net.TCPConn) {
				readHead(c)
				<-hold
				_, _ = io.WriteString(c, wsAnswer)
				rest, _ := io.ReadAll(c)
				got <- string(rest)
			})
			r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
			w := r.wire().send("GET http://free.example/ HTTP/1.1\r\n" + wsFields + "\r\n" + early)
			r.observed("opened websocket")
			close(hold)
			if want != "" {
				w.expect("HTTP/1.1 101 ")
				w.send("later")
			}
			_ = w.CloseWrite()
			_, _ = w.rest()
			if s := <-got; s != want {
				t.Errorf("the origin got %q, want %q", s, want)
			}
		})
	}
}
