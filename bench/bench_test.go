package main

import (
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serving serves connections on a loopback address until the test ends.
func serving(t *testing.T, serve func(net.Conn) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// some runs a step some times, on a client of its own.
func some(t *testing.T, w work, to target) (done int64, c *client, err error) {
	t.Helper()
	c = newClient(0, time.Now().Add(time.Minute))
	t.Cleanup(c.hangUp)
	do := w.step(to)()
	for range 5 {
		n, err := do(c)
		if done += n; err != nil {
			return done, c, err
		}
	}
	return done, c, nil
}

func TestPlainAnswersAreCounted(t *testing.T) {
	t.Parallel()
	at := serving(t, new(origin).serveHTTP)
	done, c, err := some(t, getting(1, 100<<10), target{proxy: at, host: "a.example"})
	if done != 5 || c.dials != 1 || err != nil {
		t.Errorf("%d done on %d connections, %v", done, c.dials, err)
	}
	if _, c, err = some(t, getting(1, 10), target{proxy: at, host: "a.example", once: true}); c.dials != 5 || err != nil {
		t.Errorf("one request a connection: %d connections, %v", c.dials, err)
	}
}

func TestWrongAnswersFail(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 10\r\n\r\n0123456789":         "status 502, want 200",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n012345678":                    "9 bytes, want 10",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234":                       "ended after 5",
		"HTTP/1.1 200 OK\r\n\r\n01234":                                             "5 bytes, want 10",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n": "chunked",
		"HTTP/1.1 200 OK\r\nContent-Le":                                            "unexpected EOF",
		"SSH-2.0-x\r\n\r\n":                                                        "no status line",
		"":                                                                         "no answer",
	} {
		at := serving(t, func(c net.Conn) error {
			if _, err := newHeadReader(c).head(); err != nil {
				return err
			}
			_, err := io.WriteString(c, answer)
			return err
		})
		if _, _, err := some(t, getting(1, 10), target{proxy: at, host: "a.example"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
	}
}

func TestTunnelsThroughTheRelay(t *testing.T) {
	t.Parallel()
	hello, err := makeHello()
	if err != nil || hello[0] != 22 {
		t.Fatalf("a hello of %d bytes: %v", len(hello), err)
	}
	done, c, err := some(t, bulk(1, hello), target{proxy: serving(t, relay), connect: serving(t, serveBlob)})
	if done == 0 || c.dials != 1 || err != nil {
		t.Errorf("%d bytes through %d tunnels, %v", done, c.dials, err)
	}
}

func TestWrongBytesOfABlobFail(t *testing.T) {
	t.Parallel()
	at := serving(t, func(c net.Conn) error {
		_, err := c.Write([]byte{0, 1, 3})
		return err
	})
	c := newClient(0, time.Now().Add(time.Minute))
	if err := c.dial(at); err != nil {
		t.Fatal(err)
	}
	defer c.hangUp()
	if err := c.fetch(3, make([]byte, 3)); err == nil || !strings.Contains(err.Error(), "wrong bytes") {
		t.Errorf("took %v", err)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{5, 1, 3, 2, 4}, spread{2, 3, 4}},
		{[]float64{4, 1, 3, 2}, spread{1.75, 2.5, 3.25}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
	if got := spreadOf(nil); !math.IsNaN(got.median) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestNotesStay(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "page.md")
	if err := writePage(name, []byte("first\n")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	noted := strings.Replace(string(text), notesEnd, "by hand\n"+notesEnd, 1)
	if err := os.WriteFile(name, []byte(noted), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePage(name, []byte("second\n")); err != nil {
		t.Fatal(err)
	}
	text, err = os.ReadFile(name)
	if want := strings.Replace(noted, "first", "second", 1); string(text) != want || err != nil {
		t.Errorf("%q, %v, want %q", text, err, want)
	}
	if err := os.WriteFile(name, []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writePage(name, nil); err == nil {
		t.Error("a page without marks was overwritten")
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	t.Parallel()
	of := func(label string, cpu ...float64) line {
		l := line{label: label}
		for _, c := range cpu {
			l.samples = append(l.samples, sample{cpu: c, rate: 1, dials: 0})
		}
		return l
	}
	r := result{
		row:   row{aims: []aim{{"squid", 0.6, true}, {"haproxy", 1, false}}},
		lines: []line{of("gracegate", 1, 10, 100), of("squid", 2, 20, 100), of("haproxy", 1, 5, 1)},
	}
	if got, want := r.judge(true), "0.6 of squid: 0.50, reached"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := r.judge(false), "1 of haproxy: 2.00, not reached"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
