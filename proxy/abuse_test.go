package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const many = 200

func TestManySlowHeads(t *testing.T) {
	o := newTroop(t, func(c *net.TCPConn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	s := besiege(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	c := s.crowd(many)
	const head = "GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\nConnection: close\r\n\r\n"
	for i := range head {
		c.say(head[i : i+1])
		if i == len(head)/2 {
			s.servesOthers()
			s.holds(many, 32<<10)
		}
	}
	for _, w := range c {
		if a := w.answer(http.MethodGet).want(t, http.StatusOK); a.body != "ok" {
			t.Errorf("%q", a.body)
		}
	}
	c.leave()
	o.leave()
	s.lifted()
}

// shortly has the limits of a client's patience end soon.
func shortly(c *Config) { c.Hello = 300 * time.Millisecond }

func TestManyHeadsThatNeverEnd(t *testing.T) {
	s := besiege(t, rigSetup{change: shortly})
	c := s.crowd(many)
	c.say("GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\nX: ")
	s.servesOthers()
	for i, heard := range c.slowly(t, "y") {
		if !strings.HasPrefix(heard, "HTTP/1.1 408 ") {
			t.Errorf("client %d heard %q", i, heard)
		}
	}
	c.leave()
	s.lifted()
}

func TestManyLargeHeadsThatNeverEnd(t *testing.T) {
	s := besiege(t, rigSetup{change: func(c *Config) { c.Hello = time.Second }})
	c := s.crowd(many)
	c.say("GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 60))
	s.servesOthers()
	s.holds(many, 192<<10) // the limit of a head is 64 KiB
	for i, heard := range c.slowly(t, "y") {
		if !strings.HasPrefix(heard, "HTTP/1.1 408 ") {
			t.Errorf("client %d heard %q", i, heard)
		}
	}
	c.leave()
	s.lifted()
}

func TestManyHellosThatNeverEnd(t *testing.T) {
	o := newSink(t)
	s := besiege(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: shortly})
	c := s.tunnels(many, "free.example:443")
	c.say(helloRecords(helloMessage(sniExt("free.example"), padExt(1<<14)), 1<<14)[:100])
	for i, heard := range c.slowly(t, "\x00") {
		if heard != accessDenied {
			t.Errorf("client %d heard %q", i, heard)
		}
	}
	c.leave()
	for _, got := range o.got.all() {
		if got != "" {
			t.Errorf("the origin got %q", got)
		}
	}
	s.lifted()
	if n := s.seen.count("closed tunnel refused"); n != many {
		t.Errorf("%d tunnels were refused, of %d", n, many)
	}
}

func TestManyWhoSayNothing(t *testing.T) {
	o := rawOrigin(t, func(c *net.TCPConn) { silent(c) })
	s := besiege(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) { c.Idle = time.Second }})
	c := append(s.crowd(many), s.tunnels(many, "free.example:443")...)
	s.servesOthers()
	s.holds(2*many, 32<<10)
	for i, w := range c {
		if got, _ := w.rest(); got != "" {
			t.Errorf("client %d heard %q", i, got)
		}
	}
	c.leave()
	s.lifted()
}

// Who opens connections and breaks them off, at any place, costs nothing in the end.
func TestManyWhoLeaveAtOnce(t *testing.T) {
	o := newTroop(t, func(c *net.TCPConn) { silent(c) })
	s := besiege(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	for _, said := range []string{
		"", "GET", "GET http://free.example/ HTTP/1.1\r\n", "GET http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT free.example:443 HTTP/1.1\r\n\r\n",
		"POST http://free.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx", "CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\n\r\n" + helloFor("free.example")[:30],
	} {
		c := s.crowd(many / 2)
		c.say(said)
		for i, w := range c {
			if i%2 == 0 {
				reset(w.TCPConn)
			}
		}
		c.leave()
	}
	o.leave()
	s.lifted()
}

func TestManyWhoNeverRead(t *testing.T) {
	const clients = 10
	head := "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n"
	o := newTroop(t, func(c *net.TCPConn) {
		if readFull(c, make([]byte, 3)) == "GET" {
			readHead(c)
			_, _ = io.WriteString(c, head)
		}
		_, _ = spout(c, filler)
	})
	s := besiege(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) { c.Idle = 2 * time.Second }})
	plain, tunnels := s.crowd(clients), s.tunnels(clients, "free.example:443")
	plain.say("GET http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
	tunnels.say("let it flow")
	s.servesOthers()
	s.holds(2*clients, 160<<10)
	s.settled()
	plain.leave()
	tunnels.leave()
	o.leave()
	s.lifted()
	others := s.seen.count("opened plain") - clients
	if n := s.seen.count("closed plain complete"); n != others {
		t.Errorf("%d answers of %d are complete though nobody read them", n-others, clients)
	}
	if n := s.seen.count("closed tunnel idle"); n != clients {
		t.Errorf("%d tunnels were idle, of %d", n, clients)
	}
}

// A client that has left takes its origin with it.
func TestAnOriginWhoseClientHasLeft(t *testing.T) {
	for _, kind := range []string{"plain", "tunnel"} {
		for _, how := range []string{"ends", "resets"} {
			t.Run(kind+" "+how, func(t *testing.T) {
				type result struct {
					wrote int64
					at    time.Time
				}
				over := make(chan result, 1)
				o := rawOrigin(t, func(c *net.TCPConn) {
					readFull(c, make([]byte, 10))
					_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 1<<30)
					wrote, _ := spout(c, filler)
					over <- result{wrote, time.Now()}
				})
				s := besiege(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
				var w *wire
				if kind == "plain" {
					w = s.wire().send("GET http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
				} else {
					w = s.tunnel("free.example:443").send("let it flow")
				}
				if _, err := io.CopyN(io.Discard, w, 1<<20); err != nil {
					t.Fatal(err)
				}
				left := time.Now()
				if how == "resets" {
					reset(w.TCPConn)
				} else {
					_ = w.Close()
				}
				got := within(t, over)
				if took := got.at.Sub(left); took > cutWithin() {
					t.Errorf("the origin learned of it after %v", took)
				}
				if got.wrote > 128<<20 {
					t.Errorf("the origin sent %d MiB", got.wrote>>20)
				}
				s.lifted()
			})
		}
	}
}

// And an origin that has left its client.
func TestAClientWhoseOriginHasLeft(t *testing.T) {
	for _, kind := range []string{"plain", "tunnel"} {
		t.Run(kind, func(t *testing.T) {
			o := rawOrigin(t, func(c *net.TCPConn) {
				readFull(c, make([]byte, 10))
				reset(c)
			})
			s := besiege(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
			var w *wire
			if kind == "plain" {
				w = s.wire().send("POST http://free.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n")
			} else {
				w = s.tunnel("free.example:443")
			}
			began := time.Now()
			wrote, err := spout(w.TCPConn, filler)
			if err == nil || wrote > 128<<20 || time.Since(began) > patience {
				t.Errorf("%d MiB were taken within %v, %v", wrote>>20, time.Since(began), err)
			}
			_ = w.Close()
			s.lifted()
		})
	}
}
