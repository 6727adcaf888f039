package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
)

func TestAPanicEndsOneTunnelOnly(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) {
		clock := c.Clock
		var asked atomic.Int64
		c.Clock = func() Instant {
			if asked.Add(1) == 2 { // at the hello of the first tunnel
				panic("the clock stands")
			}
			return clock()
		}
	}})
	w := r.tunnel("free.example:443").send(helloFor("free.example"))
	if err := w.end(); !isReset(err) {
		t.Errorf("the end is %v", err)
	}
	r.observed("closed tunnel panic")
	r.tunnel("free.example:443").send(helloFor("free.example")).expect("seen")
	if r.logs.FilterMessage("panic in a tunnel").Len() != 1 {
		t.Errorf("logged: %v", r.logs.All())
	}
}

func TestAPanicEndsOneRequestOnly(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) {
		c.Local = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("no page") })
	}})
	w := r.wire().send("GET /proxy.pac HTTP/1.1\r\nHost: x\r\n\r\n")
	if got, _ := w.rest(); got != "" {
		t.Errorf("%q", got)
	}
	r.get("http://free.example/").want(t, http.StatusOK)
	for _, line := range r.logs.All() {
		if strings.Contains(line.Message, "no page") {
			return
		}
	}
	t.Errorf("the panic is not in the log: %v", r.logs.All())
}

func TestShutdownWaitsAndThenCuts(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	slow := make(chan struct{})
	web := webOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-slow
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr, "web.upd.acme.example": web.addr}})
	tunnel := r.tunnel("upd.acme.example:443").send(helloFor("upd.acme.example"))
	tunnel.expect("seen")
	silent := r.tunnel("upd.acme.example:443")
	exchange := r.wire().send("GET http://web.upd.acme.example/ HTTP/1.0\r\n\r\n")
	exchange.expect("HTTP/1.0 200 OK\r\n")

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(ctx) }()
	for { // until nobody is accepted any more
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	_ = tunnel.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := tunnel.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("during the drain the tunnel ends: %v", err)
	}
	_ = tunnel.SetReadDeadline(time.Now().Add(patience))
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	for what, w := range map[string]*wire{"tunnel": tunnel, "silent tunnel": silent, "exchange": exchange} {
		if err := w.end(); !isReset(err) {
			t.Errorf("%s: the end is %v, want a reset", what, err)
		}
	}
	// Everything is over and written down when Shutdown returns.
	if n := r.seen.count("closed"); n != 3 {
		t.Errorf("observed %v", r.seen.all())
	}
	for _, rec := range r.records.all() {
		if rec.Event == audit.End && rec.Ended != "drain" {
			t.Errorf("record: %+v", rec)
		}
	}
	if n := len(r.records.all()); n != 4 { // one start, three ends
		t.Errorf("%d records", n)
	}
	close(slow)
}

func TestShutdownLetsFlowsFinish(t *testing.T) {
	t.Parallel()
	o := echoOrigin(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.tunnel("free.example:443").send("one ")
	w.expect("one ")
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(t.Context()) }()
	w.send("two").expect("two")
	_ = w.CloseWrite()
	if err := w.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestClientsByIPv6(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 on this machine:", err)
	}
	r := newRig(t, rigSetup{})
	done := make(chan error, 1)
	go func() { done <- r.Serve(l) }()
	r.addr = l.Addr().String()
	r.refused("cloud.acme.example:443", "", http.StatusUnavailableForLegalReasons)
	if rec := r.recorded(audit.Refused); rec.Client.Addr().String() != "::1" {
		t.Errorf("record: %+v", rec)
	}
	_ = r.stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// goproxy would tunnel any CONNECT that reaches it.
func TestTheForwarderTunnelsNothing(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	req := httptest.NewRequest(http.MethodConnect, "free.example:443", nil)
	r.plain.ServeHTTP(httptest.NewRecorder(), req)
	resp, err := r.road.roundTrip(httptest.NewRequest(http.MethodGet, "http://free.example/", nil))
	if err == nil {
		_ = resp.Body.Close()
		t.Error("a request that did not pass the gate went on")
	}
	w := httptest.NewRecorder()
	r.plain.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/local", nil))
	if w.Code != http.StatusBadRequest {
		t.Errorf("origin form: %d", w.Code)
	}
	if o.came.Load() != 0 {
		t.Error("the origin was dialled")
	}
}

func TestOnlyTCPIsServed(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := r.Serve(l); err == nil {
		t.Error("a listener of another kind was served")
	}
}
