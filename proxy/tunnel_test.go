package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// echoOrigin sends back what it gets until the client has finished.
func echoOrigin(t *testing.T) *origin {
	t.Helper()
	return rawOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
}

// prompt is how soon one side must learn that the other has gone.
const prompt = time.Second

func TestTheOriginMaySpeakFirst(t *testing.T) {
	t.Parallel()
	o := rawOrigin(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "220 mail.example ESMTP\r\n")
		if buf := make([]byte, 6); readFull(c, buf) == "QUIT\r\n" {
			_, _ = io.WriteString(c, "221 bye\r\n")
		}
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"mail.example": o.addr}, change: func(c *Config) {
		c.Ports = func(uint16) bool { return true }
		c.Hello = time.Nanosecond // the greeting starts no clock
	}})
	w := r.tunnel("mail.example:25")
	w.expect("220 mail.example ESMTP\r\n")
	w.send("QUIT\r\n").expect("221 bye\r\n")
	if err := w.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	if rec := r.recorded(audit.Start); rec.Hello != policy.HelloNotTLS {
		t.Errorf("record: %+v", rec)
	}
}

func readFull(r io.Reader, buf []byte) string {
	n, _ := io.ReadFull(r, buf)
	return string(buf[:n])
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	t.Run("by the client", func(t *testing.T) {
		t.Parallel()
		o := rawOrigin(t, func(c *net.TCPConn) {
			all, _ := io.ReadAll(c)
			_, _ = io.WriteString(c, "got "+string(all))
		})
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
		w := r.tunnel("free.example:443").send("question")
		_ = w.CloseWrite()
		if got, err := w.rest(); err != nil || got != "got question" {
			t.Errorf("%q, %v", got, err)
		}
		r.observed("closed tunnel complete")
	})
	t.Run("by the origin", func(t *testing.T) {
		t.Parallel()
		got := make(chan string, 1)
		o := rawOrigin(t, func(c *net.TCPConn) {
			_ = c.CloseWrite()
			all, _ := io.ReadAll(c)
			got <- string(all)
		})
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
		w := r.tunnel("free.example:443")
		if err := w.end(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		w.send("still talking")
		_ = w.CloseWrite()
		if s := <-got; s != "still talking" {
			t.Errorf("the origin got %q", s)
		}
		r.observed("closed tunnel complete")
	})
}

func TestBulkThroughATunnel(t *testing.T) {
	t.Parallel()
	o := echoOrigin(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.tunnel("free.example:443")
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	go func() {
		_, _ = w.Write(sent)
		_ = w.CloseWrite()
	}()
	got, err := w.rest()
	if err != nil || got != string(sent) {
		t.Errorf("%d bytes of %d came back, %v", len(got), len(sent), err)
	}
	if rec := r.recorded(audit.End); rec.BytesIn != int64(len(sent)) || rec.BytesOut != int64(len(sent)) {
		t.Errorf("record: %+v", rec)
	}
}

// A reset on one side ends the other soon, and not as a clean end.
func TestResets(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before a hello", "after it"} {
		t.Run("by the client "+when, func(t *testing.T) {
			t.Parallel()
			ended, met := make(chan error, 1), make(chan struct{})
			o := rawOrigin(t, func(c *net.TCPConn) {
				close(met)
				_, err := io.Copy(io.Discard, c)
				ended <- err
			})
			r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
			w := r.tunnel("upd.acme.example:443")
			<-met
			if when == "after it" {
				w.send(helloFor("upd.acme.example"))
				r.recorded(audit.Start)
			}
			began := time.Now()
			reset(w.TCPConn)
			if err := <-ended; !isReset(err) || time.Since(began) > prompt {
				t.Errorf("after %v the origin sees %v", time.Since(began), err)
			}
			if rec := r.recorded(audit.End); rec.Ended != "client" {
				t.Errorf("recorded as %q", rec.Ended)
			}
			r.observed("closed tunnel client")
			if n := r.seen.count("decided"); n != 1 {
				t.Errorf("observed %v", r.seen.all())
			}
		})
		t.Run("by the origin "+when, func(t *testing.T) {
			t.Parallel()
			now := make(chan struct{})
			o := rawOrigin(t, func(c *net.TCPConn) {
				<-now
				reset(c)
			})
			r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
			w := r.tunnel("upd.acme.example:443")
			if when == "after it" {
				w.send(helloFor("upd.acme.example"))
				r.recorded(audit.Start)
			}
			began := time.Now()
			close(now)
			if err := w.end(); !isReset(err) || time.Since(began) > prompt {
				t.Errorf("after %v the client sees %v", time.Since(began), err)
			}
			r.observed("closed tunnel upstream")
		})
	}
}

func TestIdleTunnels(t *testing.T) {
	t.Parallel()
	t.Run("after a hello", func(t *testing.T) {
		t.Parallel()
		o := newSink(t)
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: brief})
		w := r.tunnel("free.example:443").send(helloFor("free.example"))
		w.expect("seen")
		if err := w.end(); !isReset(err) {
			t.Errorf("the end is %v", err)
		}
		r.observed("closed tunnel idle")
		if rec := r.recorded(audit.End); rec.Ended != "idle" {
			t.Errorf("record: %+v", rec)
		}
	})
	t.Run("a client that says nothing", func(t *testing.T) {
		t.Parallel()
		o := newSink(t)
		r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}, change: brief})
		w := r.tunnel("upd.acme.example:443")
		if err := w.end(); !isReset(err) {
			t.Errorf("the end is %v", err)
		}
		if rec := r.recorded(audit.End); rec.Ended != "idle" || rec.Hello != policy.HelloUnseen {
			t.Errorf("record: %+v", rec)
		}
		r.observed("decided allow grace")
		r.observed("closed tunnel idle")
	})
	t.Run("half closed", func(t *testing.T) {
		t.Parallel()
		over := make(chan struct{})
		o := rawOrigin(t, func(c *net.TCPConn) {
			_, _ = io.Copy(io.Discard, c)
			<-over
		})
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: brief})
		w := r.tunnel("free.example:443").send("hi")
		_ = w.CloseWrite()
		if err := w.end(); !isReset(err) {
			t.Errorf("the end is %v", err)
		}
		close(over)
		r.observed("closed tunnel idle")
	})
	t.Run("a peer that takes nothing", func(t *testing.T) {
		t.Parallel()
		o := rawOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(c, endless{}) })
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: brief})
		r.tunnel("free.example:443").send("hi")
		r.observed("closed tunnel idle")
	})
}

// One direction keeps the other alive.
func TestATunnelIsNotIdleWhileOneSideSends(t *testing.T) {
	t.Parallel()
	const idle = 8 * time.Second // a busy machine sleeps seconds longer than it is told
	o := rawOrigin(t, func(c *net.TCPConn) {
		readFull(c, make([]byte, 2)) // what is left unread would end in a reset
		for range 10 {
			time.Sleep(idle / 8)
			_, _ = io.WriteString(c, "tick ")
		}
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) { c.Idle = idle }})
	w := r.tunnel("free.example:443").send("hi")
	if got, err := w.rest(); err != nil || got != strings.Repeat("tick ", 10) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRecordsOfATunnel(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr, "free.example": o.addr}, change: func(c *Config) { c.Ungoverned = false }})
	for _, name := range []string{"free.example", "upd.acme.example"} {
		w := r.tunnel(name + ":443")
		c := tls.Client(w.TCPConn, &tls.Config{ServerName: name, RootCAs: roots, NextProtos: []string{"http/1.1"}})
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if got, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(got), "hello from the origin") {
			t.Fatalf("%q, %v", got, err)
		}
		_ = w.end() // a farewell that the origin does not read would end in a reset
		_ = c.Close()
	}
	start, end := r.recorded(audit.Start), r.recorded(audit.End)
	if all := r.records.all(); len(all) != 2 {
		t.Errorf("%d records: %+v", len(all), all)
	}
	for _, rec := range []audit.Record{start, end} {
		if rec.Kind != "tunnel" || rec.Method != http.MethodConnect || rec.Scheme != "https" || rec.Host.String() != "upd.acme.example" || rec.Port != 443 ||
			rec.SNI.String() != "upd.acme.example" || rec.Hello != policy.HelloWithName || rec.ALPN != "http/1.1" || rec.Status != 200 ||
			rec.Verdict != policy.Allow || rec.State != policy.Grace || rec.Cause.ID != "test-2024-001" || rec.Upstream.String() != o.addr {
			t.Errorf("record: %+v", rec)
		}
	}
	if start.BytesOut != 0 || end.BytesIn == 0 || end.BytesOut == 0 || end.Ended != "complete" || end.Duration < start.Duration {
		t.Errorf("records: %+v %+v", start, end)
	}
	_ = r.stop() // once all is counted
	if n := r.seen.count("decided"); n != 2 {
		t.Errorf("counted %d times for two flows", n)
	}
}

// An origin that has said all may be gone before the client has heard it, or has finished itself.
func TestAnOriginThatIsGoneIsHeardOut(t *testing.T) {
	t.Parallel()
	last := strings.Repeat("last words ", 2000)
	o := rawOrigin(t, func(c *net.TCPConn) {
		readFull(c, make([]byte, 2))
		_, _ = io.WriteString(c, last)
		_ = c.CloseWrite()
		reset(c)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	for range 50 {
		w := r.tunnel("free.example:443").send("hi")
		go func() { _ = chatter(w) }()
		w.expect(last)
		_ = w.Close()
	}
}

// chatter sends until nobody listens any more, and tells why it stopped.
func chatter(w *wire) error {
	for {
		if _, err := io.WriteString(w.TCPConn, "are you there?"); err != nil {
			return err
		}
	}
}

// However many bytes go the other way: a reset never becomes an end.
func TestAResetIsNeverAnEnd(t *testing.T) {
	t.Parallel()
	o := rawOrigin(t, func(c *net.TCPConn) {
		readFull(c, make([]byte, 2))
		_, _ = io.WriteString(c, "the first half")
		reset(c)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	for range 200 {
		w := r.tunnel("free.example:443").send("hi")
		broken := chatters(w.TCPConn)
		if got, err := w.rest(); err == nil && !broken() {
			t.Fatalf("a clean end after %q", got)
		}
		_ = w.Close()
	}
}
