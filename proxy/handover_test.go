package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A client that was accepted just before the shutdown may still say what it wants.
func TestShutdownHearsWhoJustCame(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire()
	retired := func() (n int) {
		r.front.mu.Lock()
		defer r.front.mu.Unlock()
		for l := range r.front.open {
			if l.retired() {
				n++
			}
		}
		return n
	}
	soon(t, "it was accepted", func() bool {
		r.front.mu.Lock()
		defer r.front.mu.Unlock()
		return len(r.front.open) == 1
	})
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(t.Context()) }()
	soon(t, "the shutdown has begun", func() bool { return retired() == 1 })
	if a := w.send("GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n\r\n").answer(http.MethodGet).want(t, http.StatusOK); !a.Close {
		t.Errorf("%v", a.Header)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// While one proxy follows another on a socket that outlives both, no client is lost.
func TestHandingOver(t *testing.T) {
	t.Parallel()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	o := webOrigin(t, greet)
	next := func() *rig {
		f, err := held.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
		go func() { _ = r.Serve(l) }()
		return r
	}
	var answered atomic.Int64
	var clients sync.WaitGroup
	enough := make(chan struct{})
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				if err := getOnce(held.Addr().String(), "free.example"); err != nil {
					t.Errorf("after %d: %v", answered.Load(), err)
					return
				}
				answered.Add(1)
			}
		})
	}
	r := next()
	for range 20 {
		before := answered.Load()
		soon(t, "clients are answered", func() bool { return answered.Load() > before+50 })
		if err := r.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		r = next()
	}
	close(enough)
	clients.Wait()
}

// getOnce asks a proxy for a page on a connection of its own.
func getOnce(proxy, host string) error {
	c, err := net.Dial("tcp", proxy)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, "GET http://%[1]s/ HTTP/1.1\r\nHost: %[1]s\r\nConnection: close\r\n\r\n", host); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		err = fmt.Errorf("answered with %.80q", answer)
	}
	return err
}
