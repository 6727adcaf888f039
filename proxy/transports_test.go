package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// census counts the connections that are open at a server.
type census struct {
	mu      sync.Mutex
	changed *sync.Cond
	open    int
	late    bool
}

func (c *census) note(_ net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew:
		c.open++
	case http.StateClosed:
		c.open--
	case http.StateActive, http.StateIdle, http.StateHijacked:
	}
	c.changed.Broadcast()
}

// settle waits until no more than so many are open.
func (c *census) settle(t *testing.T, most int) {
	t.Helper()
	defer time.AfterFunc(patience, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.late = true
		c.changed.Broadcast()
	}).Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open > most {
		if c.late {
			t.Fatalf("%d connections are open, want at most %d", c.open, most)
		}
		c.changed.Wait()
	}
}

// TestStraightConnectionsAreBounded: to however many addresses clients lead the gateway, it keeps no more connections than to hosts.
func TestStraightConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	const together = maxIdleStraight + 2
	type crowd struct { // those who ask together
		came atomic.Int32
		all  chan struct{} // closed when they have come
	}
	var asking atomic.Pointer[crowd]
	c := &census{}
	c.changed = sync.NewCond(&c.mu)
	o := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now := asking.Load()
		if now.came.Add(1) == together {
			close(now.all)
		}
		<-now.all
		_, _ = io.WriteString(w, "ok") // an answer without a body may fail: see maxIdleStraight
	}))
	o.Config.ConnState = c.note
	o.Start()
	defer o.Close()
	ways := newStraightTransports(func(ctx context.Context, _ host.Name, _ uint16) (*net.TCPConn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", o.Listener.Addr().String())
		if err != nil {
			return nil, err
		}
		return conn.(*net.TCPConn), nil
	}, func(dial dialFunc) *transports {
		plain := newTransport(dial, patience)
		return &transports{plain: plain, socket: plain, secure: plain, secureOne: plain}
	})
	defer ways.closeIdle()
	at := netip.MustParseAddr("192.0.2.1")
	for n := 1; n <= maxStraight+2; n++ {
		asking.Store(&crowd{all: make(chan struct{})})
		var asked sync.WaitGroup
		way := ways.to(hostPort{host.FromAddr(at), 80})
		for range together {
			asked.Go(func() {
				resp, err := way.plain.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://free.example/", nil))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			})
		}
		asked.Wait()
		c.settle(t, maxIdleStraight*min(n, maxStraight))
		at = at.Next()
	}
	if maxStraight*maxIdleStraight > maxIdleOrigins {
		t.Error("that is more than to hosts")
	}
}
