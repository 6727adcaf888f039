package proxy

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// siege is a rig that is abused, with what it used before anything happened. Its tests run alone, since they count what the
// whole process uses.
type siege struct {
	*rig
	goroutines, files int
	memory            int64
}

func besiege(t *testing.T, setup rigSetup) *siege {
	t.Helper()
	web := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // so that nothing of it stays open
		greet(w, r)
	})
	hosts := maps.Clone(setup.hosts)
	if hosts == nil {
		hosts = map[string]string{}
	}
	hosts["other.example:80"], hosts["other.example:443"] = web.addr, echoOrigin(t).addr
	setup.hosts = hosts
	s := &siege{rig: newRig(t, setup)}
	s.servesOthers() // what is made once is there now
	s.settled()
	s.goroutines = runtime.NumGoroutine()
	s.memory, _ = inUse(t)
	s.files = descriptors(t)
	return s
}

// settled waits until every flow is closed.
func (s *siege) settled() {
	s.t.Helper()
	eventually(s.t, "every flow is closed", func() bool { return s.seen.count("opened") == s.seen.count("closed") })
}

// servesOthers makes sure that somebody else gets what he asks for.
func (s *siege) servesOthers() {
	s.t.Helper()
	w := s.wire().send("GET http://other.example/ HTTP/1.0\r\n\r\n")
	if a := w.answer(http.MethodGet).want(s.t, http.StatusOK); a.body != "hello from the origin" {
		s.t.Errorf("another client got %q", a.body)
	}
	_ = w.Close()
	w = s.tunnel("other.example:443").send("hello")
	w.expect("hello")
	_ = w.CloseWrite()
	if err := w.end(); !errors.Is(err, io.EOF) {
		s.t.Errorf("another client's tunnel ends with %v", err)
	}
	_ = w.Close()
}

// holds makes sure that no more memory is in use than so many bytes for each of so many clients.
func (s *siege) holds(clients, each int64) {
	s.t.Helper()
	memory, _ := inUse(s.t)
	if more := memory - s.memory; more > clients*each {
		s.t.Errorf("%d clients cost %d bytes each, more than %d", clients, more/clients, each)
	}
}

// lifted makes sure that others are served, and that everything comes back to what it was, once nobody is there any more.
func (s *siege) lifted() {
	s.t.Helper()
	s.servesOthers()
	s.settled()
	eventually(s.t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= s.goroutines })
	eventually(s.t, "the descriptors are closed", func() bool { return descriptors(s.t) <= s.files })
	eventually(s.t, "the memory is given back", func() bool {
		const slack = 4 << 20 // what is kept for the next: lists that grew, records and observations of the test
		memory, _ := inUse(s.t)
		return memory-s.memory <= slack
	})
}

// descriptors counts those that are open, except pipes: relays keep a number of these for a while.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc on this system")
	}
	n := 0
	for _, fd := range list {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && !strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// crowd is many clients that do the same.
type crowd []*wire

func (s *siege) crowd(n int) crowd {
	s.t.Helper()
	c := make(crowd, n)
	for i := range c {
		c[i] = s.wire()
	}
	return c
}

// tunnels is many clients in tunnels to the same destination.
func (s *siege) tunnels(n int, authority string) crowd {
	s.t.Helper()
	c := make(crowd, n)
	for i := range c {
		c[i] = s.tunnel(authority)
	}
	return c
}

// say has each client say a word.
func (c crowd) say(word string) {
	for _, w := range c {
		_, _ = io.WriteString(w.TCPConn, word)
	}
}

func (c crowd) leave() {
	for _, w := range c {
		_ = w.Close()
	}
}

// slowly has each say one byte of a text after the other, again from its start, until all of them were left. They are left
// within patience.
func (c crowd) slowly(t *testing.T, text string) (heard []string) {
	t.Helper()
	heard = make([]string, len(c))
	over := make(chan int, len(c))
	for i, w := range c {
		go func() {
			heard[i], _ = w.rest()
			over <- i
		}()
	}
	left := make(map[int]bool, len(c))
	next := time.NewTicker(20 * time.Millisecond)
	defer next.Stop()
	timeout := time.After(patience)
	for at := 0; len(left) < len(c); {
		select {
		case i := <-over:
			left[i] = true
		case <-next.C:
			for i, w := range c {
				if !left[i] {
					_, _ = io.WriteString(w.TCPConn, text[at:at+1])
				}
			}
			at = (at + 1) % len(text)
		case <-timeout:
			c.leave()
			t.Fatalf("%d of %d clients are still heard out", len(c)-len(left), len(c))
		}
	}
	return heard
}

// within waits for what an origin has to tell at its end.
func within[T any](t *testing.T, from <-chan T) (told T) {
	t.Helper()
	select {
	case told = <-from:
	case <-time.After(patience):
		t.Fatal("the connection to the origin does not end")
	}
	return told
}

// spout writes the same until it fails, and tells how much that was. It stops by itself after a gigabyte.
func spout(c net.Conn, text []byte) (wrote int64, err error) {
	for wrote < 1<<30 && err == nil {
		var n int
		n, err = c.Write(text)
		wrote += int64(n)
	}
	return wrote, err
}

// filler is a part of something that does not end.
var filler = bytes.Repeat([]byte("x"), 8<<10)

// troop is an origin that can be told to go away, with every connection, also those that are kept for later.
type troop struct {
	*origin
	mu   sync.Mutex
	open []*net.TCPConn
}

func newTroop(t *testing.T, serve func(c *net.TCPConn)) *troop {
	t.Helper()
	o := &troop{}
	o.origin = rawOrigin(t, func(c *net.TCPConn) {
		o.mu.Lock()
		o.open = append(o.open, c)
		o.mu.Unlock()
		serve(c)
	})
	return o
}

func (o *troop) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.open {
		_ = c.Close()
	}
}
