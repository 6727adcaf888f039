package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"
)

// work is a kind of load.
type work struct {
	clients int
	unit    string                     // of what is counted
	per     float64                    // how many counted make one unit
	keeps   bool                       // its clients keep their connections, if the peer does
	resumes bool                       // its clients resume sessions, if the peer can
	names   int                        // how many names are asked for once each, in all rounds together; 0 is work that goes on
	step    func(t target) func() step // made anew for each client
}

// target is what a load asks of a peer.
type target struct {
	proxy   string // where it listens
	direct  bool   // it is no proxy but the origin, over TLS
	host    string // for plain requests, with a port if it is not 80
	connect string // the authority of CONNECT
	status  int    // of a refusal
	listed  int    // instead of host: any of so many listed names
	once    bool   // one request a connection

	roots      *x509.CertPool // of the certificates within a tunnel
	fresh      bool           // no session is resumed
	from, till int            // the names to ask for once each
	known      bool           // or as often for the warm one
}

func (t target) get(length int) []byte {
	connection := ""
	if t.once {
		connection = "Connection: close\r\n"
	}
	return fmt.Appendf(nil, "GET http://%s/files/%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: updater/1.0\r\nAccept: */*\r\n%s\r\n", t.host, length, t.host, connection)
}

func (t target) connectHead() []byte {
	return fmt.Appendf(nil, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: updater/1.0\r\n\r\n", t.connect, t.connect)
}

// getting asks for a plain body again and again, on one connection if the peer keeps it.
func getting(clients, length int) work {
	return work{clients: clients, unit: "request", per: 1, keeps: true, step: func(t target) func() step {
		request := t.get(length)
		return func() step {
			return func(c *client) (int64, error) {
				err := c.dial(t.proxy)
				if err == nil {
					err = c.ask(request, 200, length)
				}
				if t.once {
					c.hangUp()
				}
				return 1, err
			}
		}
	}}
}

// paced asks as getting does, so many times a second: the clients take turns, and whoever is late goes on at once.
func paced(clients, length, rate int) work {
	w := getting(clients, length)
	eager := w.step
	var turns atomic.Int64
	interval := time.Duration(clients) * time.Second / time.Duration(rate)
	w.step = func(t target) func() step {
		newStep := eager(t)
		return func() step {
			do := newStep()
			next := time.Now().Add(interval * time.Duration(turns.Add(1)%int64(clients)) / time.Duration(clients))
			return func(c *client) (int64, error) {
				time.Sleep(time.Until(next))
				next = next.Add(interval)
				return do(c)
			}
		}
	}
	return w
}

// refused asks for what is not allowed, plainly on a kept connection or by CONNECT on a new one each.
func refused(clients int, tunnel bool) work {
	return work{clients: clients, unit: "refusal", per: 1, keeps: !tunnel, step: func(t target) func() step {
		requests := t.refusedRequests(tunnel)
		return func() step {
			i := 0
			return func(c *client) (int64, error) {
				err := c.dial(t.proxy)
				if err == nil {
					err = c.ask(requests[i%len(requests)], t.status, -1)
				}
				if i++; tunnel || t.once {
					c.hangUp()
				}
				return 1, err
			}
		}
	}}
}

func (t target) refusedRequests(tunnel bool) [][]byte {
	switch {
	case tunnel:
		return [][]byte{t.connectHead()}
	case t.listed == 0:
		return [][]byte{t.get(1 << 10)}
	}
	requests := make([][]byte, 4096)
	for i := range requests {
		t.host = listedHost(rand.IntN(t.listed)) //nolint:gosec // any will do
		requests[i] = t.get(1 << 10)
	}
	return requests
}

// updatesOverTLS opens a tunnel, shakes hands, asks for one body and closes.
func updatesOverTLS(clients, length int, roots *x509.CertPool) work {
	return work{clients: clients, unit: "tunnel", per: 1, step: func(t target) func() step {
		connect := t.connectHead()
		request := fmt.Appendf(nil, "GET /files/%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", length, serverName)
		config := clientTLS(roots)
		return func() step {
			inner := newHeadReader(nil)
			return func(c *client) (int64, error) {
				if err := c.connect(t.proxy, connect); err != nil {
					return 0, err
				}
				secured := tls.Client(c.conn, config)
				inner.reset(secured)
				outer := c.reader
				c.conn, c.reader = secured, inner
				err := c.ask(request, 200, length)
				c.hangUp()
				c.reader = outer
				return 1, err
			}
		}
	}}
}

// bulk reads an endless blob through a tunnel each, and counts bytes.
func bulk(clients int, hello []byte) work {
	return work{clients: clients, unit: "GB", per: 1e9, step: func(t target) func() step {
		connect := t.connectHead()
		return func() step {
			at := 0
			buf := make([]byte, 256<<10)
			return func(c *client) (int64, error) {
				if c.conn == nil {
					if err := c.open(t, connect, hello); err != nil {
						return 0, err
					}
					if err := c.want(endless); err != nil {
						return 0, err
					}
				}
				n, err := c.take(buf, at)
				at += n
				return int64(n), err
			}
		}
	}}
}

// open opens a tunnel to a blob and greets it.
func (c *client) open(t target, connect, hello []byte) error {
	if err := c.connect(t.proxy, connect); err != nil {
		return err
	}
	return c.greet(hello)
}

// serverName is the name in every hello: one that the policy governs.
const serverName = "s01.upd.kaspersky.com"

func clientTLS(roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.X25519}, // the load is to be light
	}
}

// makeHello returns the bytes of a hello.
func makeHello() ([]byte, error) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	shaken := make(chan struct{})
	go func() {
		defer close(shaken)
		_ = tls.Client(theirs, clientTLS(nil)).HandshakeContext(context.Background()) // fails, since nobody answers
	}()
	hello := make([]byte, 16<<10)
	n, err := ours.Read(hello)
	_ = ours.Close()
	<-shaken
	return hello[:n], err
}
