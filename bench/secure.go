package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
)

// The names that are asked for over TLS when a peer is to take it apart.
const (
	benchZone = "bench.test"
	warmName  = "warm." + benchZone
	leafNames = 10_000 // how many others there are
)

// leafName is the i-th of the names; below 0 it is the warm one.
func leafName(i int) string {
	if i < 0 {
		return warmName
	}
	return fmt.Sprintf("n%04d.%s", i, benchZone)
}

// errDone ends a client of a load that has nothing left to do.
var errDone = errors.New("nothing left to do")

// secure opens a connection to a name through the proxy, or straight to the target if it is no proxy, and shakes hands in it.
func (c *client) secure(t target, config *tls.Config) error {
	var err error
	if t.direct {
		c.hangUp()
		err = c.dial(t.proxy)
	} else {
		t.connect = config.ServerName + ":443"
		err = c.connect(t.proxy, t.connectHead())
	}
	if err != nil {
		return err
	}
	secured := tls.Client(c.conn, config)
	if err := secured.HandshakeContext(context.Background()); err != nil { // the connection has a deadline
		return fmt.Errorf("handshake: %w", err)
	}
	if secured.ConnectionState().DidResume {
		c.resumed++
	}
	c.conn = secured
	c.reader.reset(secured)
	return nil
}

// innerTLS is what a client that asks the target shakes hands with. Certificates must be of the target's own authority.
func (t target) innerTLS(name string, resumes bool) *tls.Config {
	config := clientTLS(t.roots)
	config.ServerName, config.VerifyConnection = name, wantP256
	if resumes && !t.fresh {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	return config
}

// innerGet is a request within TLS, after which the origin keeps the connection or, with the path /last, closes it.
func innerGet(path, name string, length int) []byte {
	return fmt.Appendf(nil, "GET /%s/%d HTTP/1.1\r\nHost: %s\r\nUser-Agent: updater/1.0\r\nAccept: */*\r\n\r\n", path, length, name)
}

// keptInside asks for a body over TLS again and again, on one connection.
func keptInside(clients, length int) work {
	return work{clients: clients, unit: "request", per: 1, keeps: true, step: func(t target) func() step {
		request := innerGet("files", warmName, length)
		return func() step {
			config := t.innerTLS(warmName, false)
			return func(c *client) (int64, error) {
				if c.conn == nil {
					if err := c.secure(t, config); err != nil {
						return 0, err
					}
				}
				return 1, c.ask(request, 200, length)
			}
		}
	}}
}

// newInside asks for a body over TLS on a new connection each, to one name. If it resumes, each client has a session of its own,
// unless the target is fresh.
func newInside(clients, length int, resumes bool) work {
	return work{clients: clients, unit: "connection", per: 1, resumes: resumes, step: func(t target) func() step {
		request := innerGet("files", warmName, length)
		return func() step {
			config := t.innerTLS(warmName, resumes)
			return func(c *client) (int64, error) { return c.once(t, config, request, length) }
		}
	}}
}

// eachInside asks for a body over TLS on a new connection to each of the target's names once. Nothing is asked of them again,
// and the origin keeps no connection.
func eachInside(clients, length int) work {
	return work{clients: clients, unit: "connection", per: 1, names: leafNames, step: func(t target) func() step {
		var next atomic.Int64
		next.Store(int64(t.from))
		return func() step {
			return func(c *client) (int64, error) {
				i := int(next.Add(1)) - 1
				if i >= t.till {
					return 0, errDone
				}
				name := leafName(i)
				if t.known {
					name = warmName
				}
				n, err := c.once(t, t.innerTLS(name, false), innerGet("last", name, length), length)
				if err != nil {
					err = fmt.Errorf("%s: %w", name, err)
				}
				return n, err
			}
		}
	}}
}

// once opens a connection, asks one thing, and closes.
func (c *client) once(t target, config *tls.Config, request []byte, length int) (int64, error) {
	if err := c.secure(t, config); err != nil {
		return 0, err
	}
	err := c.ask(request, 200, length)
	c.hangUp()
	return 1, err
}
