package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// stage is one flow of a test: a client, an origin of its own, and the way in which they use the proxy between them.
type stage struct {
	*way
	host   string
	begun  chan struct{} // closed when the flow has come to where the way wants it
	finish chan struct{} // closed when the flow may come to its end
	origin chan ending   // how it ended for the origin, if that was before finish
	client chan ending   // how it ended for the client
	secure *tls.Config   // for origins that speak TLS
	roots  *x509.CertPool
}

// ending is when and how a flow ended for one side. The error is nil if that side has all there was, and believes it.
type ending struct {
	at  time.Time
	err error
}

// way is a way to use the proxy.
type way struct {
	name, kind string
	serve      func(s *stage, c *net.TCPConn)            // the origin, with one connection
	open       func(s *stage, r *rig) (end func() error) // the client; end reads to the end, and is nil if all came

	framed bool // the client knows by the framing what a whole answer is: an end may do in place of a reset
	deaf   bool // the client takes nothing until the flow is over
	frozen bool // the origin takes nothing until then
	heavy  bool // many bytes pass
}

const (
	piece = "a part of the whole. "
	last  = "the end"

	// stuckAfter is how long a write must have waited to count as one that nobody takes.
	stuckAfter = 200 * time.Millisecond
)

// newStage sets a flow up, as far as the origin goes.
func newStage(t *testing.T, w *way, host string, secure *tls.Config) (s *stage, addr string) {
	t.Helper()
	s = &stage{
		way: w, host: host, secure: secure, begun: make(chan struct{}), finish: make(chan struct{}),
		origin: make(chan ending, 2), client: make(chan ending, 2),
	}
	return s, rawOrigin(t, func(c *net.TCPConn) { w.serve(s, c) }).addr
}

// play opens the flow, and has the client read it.
func (s *stage) play(r *rig) {
	r.t.Helper()
	r.t.Cleanup(s.end)
	read := s.open(s, r)
	listen := func() { s.client <- ending{err: read(), at: time.Now()} }
	s.begins(r)
	go func() {
		if s.deaf {
			select {
			case <-s.finish:
			case e := <-s.origin:
				s.origin <- e
			}
		}
		listen()
	}()
}

// begins waits until the flow has.
func (s *stage) begins(r *rig) {
	r.t.Helper()
	select {
	case <-s.begun:
	case <-time.After(2 * patience):
		r.t.Fatalf("%s: it does not begin", s.name)
	}
}

// end lets the flow come to its end.
func (s *stage) end() {
	select {
	case <-s.finish:
	default:
		close(s.finish)
	}
}

// hold waits until the flow may end, and then says the rest. If the client's side goes first, that is how it ended.
func (s *stage) hold(c halfConn, rest string) {
	over := make(chan ending, 1)
	go func() {
		_, err := io.Copy(io.Discard, c)
		over <- ending{time.Now(), err}
	}()
	select {
	case <-s.finish:
		_, _ = io.WriteString(c, rest)
		_ = c.CloseWrite()
		<-over
	case e := <-over:
		s.origin <- e
	}
}

// halfConn is a connection of which one direction can end.
type halfConn interface {
	net.Conn
	CloseWrite() error
}

// pour says a lot, and then the same again every now and then until the flow may end.
func (s *stage) pour(c halfConn, piece, rest string) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for said := 0; ; said += len(piece) {
		if _, err := io.WriteString(c, piece); err != nil {
			s.origin <- ending{time.Now(), err}
			return
		}
		if said < 4<<20 {
			continue
		}
		select {
		case <-s.finish:
			s.hold(c, rest)
			return
		case <-again.C:
		}
	}
}

// stuff says the same until nobody takes it any more, and returns what is left to say of the last one.
func stuff(c net.Conn, piece string) (rest string, err error) {
	for {
		_ = c.SetWriteDeadline(time.Now().Add(stuckAfter))
		n, err := io.WriteString(c, piece)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return piece[n:], c.SetWriteDeadline(time.Now().Add(10 * patience))
		}
		if err != nil {
			return "", err
		}
	}
}

// request sends the head of a request.
func (s *stage) request(r *rig, method, version, fields string) *wire {
	return r.lasting().send(method + " http://" + s.host + "/file " + version + "\r\nHost: x\r\n" + fields + "\r\n")
}

// tunnel opens a tunnel, and says hello, or something else, in it.
func (s *stage) tunnel(r *rig, hello string) *wire {
	w := r.tunnel(s.host + ":443")
	w.lasts()
	return w.send(hello)
}

// lasting connects for as long as it takes to open all flows of a test.
func (r *rig) lasting() *wire {
	w := r.wire()
	w.lasts()
	return w
}

func (w *wire) lasts() { _ = w.SetDeadline(time.Now().Add(10 * patience)) }

// lasting has no flow end by a limit before its time.
func lasting(c *Config) { c.Idle, c.Hello = 10*patience, 10*patience }

// whole reads the answer to a request. It is nil if one came, to its last word.
func whole(in *bufio.Reader, method string) error {
	resp, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the status is %d", resp.StatusCode)
	}
	return toLast(resp.Body)
}

// toLast reads to the end, which must come after the last word.
func toLast(r io.Reader) error {
	var tail []byte
	for buf := make([]byte, 64<<10); ; {
		n, err := r.Read(buf)
		tail = append(tail, buf[:n]...)
		tail = tail[max(0, len(tail)-len(last)):]
		switch {
		case errors.Is(err, io.EOF) && string(tail) != last:
			return fmt.Errorf("a clean end after %q", tail)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// reads returns how to read an answer.
func (w *wire) reads(method string) func() error {
	return func() error { return whole(w.in, method) }
}

// readsOn returns how to read what comes through a tunnel.
func (w *wire) readsOn() func() error {
	return func() error {
		err := toLast(w.in)
		if err == nil {
			_ = w.CloseWrite()
		}
		return err
	}
}

func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// endChunk is the last word in a chunk, and the end of all chunks.
var endChunk = chunk(last) + "0\r\n\r\n"

// bulk is long enough that a tunnel which moves some of these stops taking them for small ones.
var bulk = strings.Repeat(piece, 3000)
