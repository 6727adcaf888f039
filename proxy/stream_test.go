package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
)

func TestAClientThatDoesNotWait(t *testing.T) {
	t.Parallel()
	asked, gone := make(chan struct{}), make(chan struct{})
	o := webOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(gone)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
	w := r.wire().send("GET http://upd.acme.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	_ = w.Close()
	<-gone
	if rec := r.recorded(audit.End); rec.Ended != "client" {
		t.Errorf("recorded as %q", rec.Ended)
	}
	if n := r.seen.count("dial failed"); n != 0 {
		t.Error("the origin was blamed")
	}
}

// untilGone answers with what it is given and says when the client went away.
func untilGone(gone chan<- struct{}, contentType string, parts <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case part := <-parts:
				_, _ = io.WriteString(w, part)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				close(gone)
				return
			}
		}
	}
}

func TestStreamsAreNotHeldBack(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"application/x-ndjson", "text/event-stream", ""} {
		t.Run(contentType, func(t *testing.T) {
			t.Parallel()
			gone, parts := make(chan struct{}), make(chan string)
			o := webOrigin(t, untilGone(gone, contentType, parts))
			r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
			resp, err := r.client().Get("http://free.example/") // the head comes before the first part
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(resp.Body)
			for i := range 3 {
				part := fmt.Sprintf("data: %d\n", i)
				parts <- part
				if got, err := lines.ReadString('\n'); err != nil || got != part {
					t.Fatalf("read %q, %v", got, err)
				}
			}
			_ = resp.Body.Close() // the client leaves, and the request ends at the origin too
			<-gone
			r.observed("closed plain client")
		})
	}
}

func TestUploadsAreNotHeldBack(t *testing.T) {
	t.Parallel()
	got := make(chan string)
	o := webOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
		for in := bufio.NewReader(r.Body); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			got <- line
		}
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire().send("POST http://free.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 3 {
		w.send("3\r\nab\n\r\n")
		select {
		case line := <-got:
			if line != "ab\n" {
				t.Fatalf("%q", line)
			}
		case <-time.After(patience):
			t.Fatal("an uploaded part is held back")
		}
	}
	w.send("0\r\n\r\n").answer(http.MethodPost).want(t, http.StatusOK)
}

// Each answer breaks off. Nobody may take what came for the whole.
func TestABrokenAnswerLooksBroken(t *testing.T) {
	t.Parallel()
	part := strings.Repeat("x", 1000)
	chunk := "3e8\r\n" + part + "\r\n"
	for name, c := range map[string]struct {
		answer  string
		request string // version and fields
	}{
		"a length":                       {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + part, "HTTP/1.1\r\nHost: x\r\n"},
		"chunks":                         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, "HTTP/1.1\r\nHost: x\r\n"},
		"chunks, within one":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk[:500], "HTTP/1.1\r\nHost: x\r\n"},
		"chunks, a bad one":              {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + "nonsense\r\n", "HTTP/1.1\r\nHost: x\r\n"},
		"an event stream":                {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, "HTTP/1.1\r\nHost: x\r\n"},
		"chunks, for an old client":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, "HTTP/1.0\r\n"},
		"events, for an old client":      {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, "HTTP/1.0\r\n"},
		"a length, client not keeping":   {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + part, "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"},
		"a refused WebSocket, in chunks": {"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, "HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := scriptedOrigin(t, c.answer)
			r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
			w := r.wire().send("GET http://upd.acme.example/ " + c.request + "\r\n")
			if got, err := w.rest(); !isReset(err) || strings.HasSuffix(got, "0\r\n\r\n") {
				t.Errorf("the end is %v after %q", err, got)
			}
			if rec := r.recorded(audit.End); rec.Ended != "upstream" {
				t.Errorf("recorded as %q", rec.Ended)
			}
		})
	}
}

func TestABrokenUploadIsNotWhole(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"a length":    "Content-Length: 5000\r\n\r\n" + strings.Repeat("x", 1000),
		"chunks":      "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("x", 1000) + "\r\n",
		"half a size": "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("x", 1000) + "\r\n0",
		"no last end": "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("x", 1000) + "\r\n0\r\n",
	} {
		for end, leave := range map[string]func(*net.TCPConn){"end": func(c *net.TCPConn) { _ = c.CloseWrite() }, "reset": reset} {
			t.Run(name+", "+end, func(t *testing.T) {
				t.Parallel()
				got, begun := make(chan error, 1), make(chan struct{})
				o := webOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
					close(begun)
					_, err := io.Copy(io.Discard, r.Body)
					got <- err
				})
				r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
				w := r.wire().send("POST http://free.example/ HTTP/1.1\r\nHost: x\r\n" + request)
				<-begun
				leave(w.TCPConn)
				if err := <-got; err == nil {
					t.Error("the origin took the upload for whole")
				}
				if rec := r.recorded(audit.End); rec.Ended != "client" {
					t.Errorf("recorded as %q", rec.Ended)
				}
				if n := r.seen.count("dial failed"); n != 0 {
					t.Error("the origin was blamed")
				}
			})
		}
	}
}

func TestOriginsThatCannotBeReached(t *testing.T) {
	t.Parallel()
	down := rawOrigin(t, func(*net.TCPConn) {})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := l.Addr().String()
	_ = l.Close()
	r := newRig(t, rigSetup{hosts: map[string]string{"down.example": refusing, "rude.example": down.addr}})
	for _, c := range []struct {
		host   string
		status int
		proxy  string
	}{
		{"down.example", http.StatusBadGateway, "connection_refused"},
		{"rude.example", http.StatusBadGateway, "http_protocol_error"},
		{"nowhere.example", http.StatusBadGateway, "dns_error"},
	} {
		a := r.get("http://"+c.host+"/").want(t, c.status)
		if got := a.Header.Get("Proxy-Status"); !strings.HasPrefix(got, "gracegate; error="+c.proxy+";") {
			t.Errorf("%s: %q", c.host, got)
		}
		if strings.Contains(a.body+fmt.Sprint(a.Header), "127.0.0.1") {
			t.Errorf("%s: an address is told: %v %s", c.host, a.Header, a.body)
		}
		page := r.get("http://"+c.host+"/", "Accept", "text/html").want(t, c.status)
		if !strings.HasPrefix(page.body, "<!DOCTYPE html>") {
			t.Errorf("%s: %s", c.host, page.body)
		}
		if c.host != "rude.example" {
			r.refused(c.host+":443", "", c.status)
		}
	}
}

// brief has every limit of an exchange end soon.
func brief(c *Config) { c.Idle, c.Hello = 150*time.Millisecond, 150*time.Millisecond }

func TestAnOriginThatNeverAnswers(t *testing.T) {
	t.Parallel()
	silent := rawOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": silent.addr}, change: brief})
	a := r.get("http://free.example/").want(t, http.StatusGatewayTimeout)
	if got := a.Header.Get("Proxy-Status"); !strings.HasPrefix(got, "gracegate; error=http_response_timeout;") {
		t.Error(got)
	}
	r.observed("closed plain timeout")
}

// An origin gets the whole limit for its answer, however long the connection to it was idle before.
func TestAPooledConnectionHasItsFullTime(t *testing.T) {
	t.Parallel()
	const idle = 10 * time.Second // a busy machine sleeps seconds longer than it is told
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(3 * idle / 5)
		}
		greet(w, r)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) { c.Idle = idle }})
	r.get("http://free.example/").want(t, http.StatusOK)
	time.Sleep(3 * idle / 5)
	r.get("http://free.example/slow").want(t, http.StatusOK)
	if n := o.came.Load(); n != 1 {
		t.Errorf("%d connections to the origin: nothing was tested", n)
	}
}

func TestAnAnswerThatStalls(t *testing.T) {
	t.Parallel()
	stalling := rawOrigin(t, func(c *net.TCPConn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": stalling.addr}, change: brief})
	w := r.wire().send("GET http://upd.acme.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
	if got, err := w.rest(); !isReset(err) || !strings.HasSuffix(got, "\r\n2\r\nok\r\n") {
		t.Errorf("%v after %q", err, got)
	}
	if rec := r.recorded(audit.End); rec.Ended != "idle" {
		t.Errorf("recorded as %q", rec.Ended)
	}
}

func TestPeersThatTakeNothing(t *testing.T) {
	t.Parallel()
	t.Run("client", func(t *testing.T) {
		t.Parallel()
		o := webOrigin(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, endless{}) })
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: brief})
		r.wire().send("GET http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
		r.observed("closed plain client")
	})
	t.Run("origin", func(t *testing.T) {
		t.Parallel()
		over := make(chan struct{})
		o := rawOrigin(t, func(*net.TCPConn) { <-over })
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: brief})
		w := r.wire().send("POST http://free.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
		go func() { _, _ = io.Copy(w.TCPConn, endless{}) }()
		r.observed("closed plain timeout")
		close(over)
		_ = w.Close()
	})
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(w, "no", http.StatusExpectationFailed)
			return
		}
		all, _ := io.ReadAll(r.Body)
		_, _ = w.Write(all)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire().send("POST http://free.example/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	w.expect("HTTP/1.1 100 Continue\r\n\r\n")
	if a := w.send("hello").answer(http.MethodPost).want(t, http.StatusOK); a.body != "hello" {
		t.Errorf("%q", a.body)
	}
	for url, status := range map[string]int{
		"http://free.example/no":     http.StatusExpectationFailed,
		"http://cloud.acme.example/": http.StatusUnavailableForLegalReasons,
	} {
		r.wire().send("POST "+url+" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").answer(http.MethodPost).want(t, status)
	}
}

func TestLargeBodiesTakeLittleMemory(t *testing.T) {
	const size = 64 << 20
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Got", fmt.Sprint(n))
		_, _ = io.CopyN(w, endless{}, size)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://free.example/", io.LimitReader(endless{}, size))
	if err != nil {
		t.Fatal(err)
	}
	client := r.client()
	client.Timeout = 0
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	runtime.ReadMemStats(&after)
	if err != nil || n != size || resp.Header.Get("Got") != fmt.Sprint(size) {
		t.Errorf("got %d, %v; sent %s", n, err, resp.Header.Get("Got"))
	}
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 8<<20 {
		t.Errorf("%d MiB each way took %d MiB of allocations", size>>20, grown>>20)
	}
}
