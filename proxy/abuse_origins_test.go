package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Origins do as they like. Each time some clients ask one, others are served, and nothing stays behind.
func TestAbusiveOrigins(t *testing.T) {
	const clients = 10
	type verdict func(t *testing.T, w *wire)
	status := func(codes ...int) verdict {
		return func(t *testing.T, w *wire) {
			t.Helper()
			a := w.answer(http.MethodGet)
			for _, code := range codes {
				if a.StatusCode == code && a.err == nil {
					return
				}
			}
			t.Errorf("status %d, %v, want one of %v", a.StatusCode, a.err, codes)
		}
	}
	broken := func(t *testing.T, w *wire) {
		t.Helper()
		if err := whole(w.in, http.MethodGet); !isReset(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v", err)
		}
	}
	complete := func(t *testing.T, w *wire) {
		t.Helper()
		if err := whole(w.in, http.MethodGet); err != nil {
			t.Error(err)
		}
	}
	const soon = time.Second
	const chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, c := range map[string]struct {
		idle  time.Duration
		serve func(c *net.TCPConn) (wrote int64)
		want  verdict
	}{
		"never answers":                 {soon, func(c *net.TCPConn) int64 { return silent(c) }, status(http.StatusGatewayTimeout)},
		"never ends its head":           {soon, func(c *net.TCPConn) int64 { return dripping(c, "HTTP/1.1 200 OK\r\nX: ", strings.Repeat("y", 10000)) }, status(http.StatusGatewayTimeout)},
		"answers byte by byte":          {patience, func(c *net.TCPConn) int64 { return dripping(c, chunks, chunk(piece)+endChunk) }, complete},
		"stops in its head":             {soon, func(c *net.TCPConn) int64 { return saying(c, "HTTP/1.1 200 OK\r\nX: ") + silent(c) }, status(http.StatusGatewayTimeout)},
		"stops in its body":             {soon, func(c *net.TCPConn) int64 { return saying(c, chunks+chunk(piece)) + silent(c) }, broken},
		"resets at once":                {patience, func(c *net.TCPConn) int64 { reset(c); return 0 }, status(http.StatusBadGateway)},
		"resets in its head":            {patience, func(c *net.TCPConn) int64 { return resetting(c, "HTTP/1.1 200 OK\r\nX: ") }, status(http.StatusBadGateway)},
		"resets in its body":            {patience, func(c *net.TCPConn) int64 { return resetting(c, chunks+chunk(piece)) }, broken},
		"sends a line without an end":   {patience, func(c *net.TCPConn) int64 { return spouting(c, "HTTP/1.1 200 OK\r\nX: ", "y") }, status(http.StatusBadGateway)},
		"sends fields without an end":   {patience, func(c *net.TCPConn) int64 { return spouting(c, "HTTP/1.1 200 OK\r\n", "X: y\r\n") }, status(http.StatusBadGateway)},
		"sends no line at all":          {patience, func(c *net.TCPConn) int64 { return spouting(c, "", "y") }, status(http.StatusBadGateway)},
		"sends hints without an end":    {patience, func(c *net.TCPConn) int64 { return spouting(c, "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") }, status(http.StatusBadGateway)},
		"goes on without an end":        {patience, func(c *net.TCPConn) int64 { return spouting(c, "", "HTTP/1.1 100 Continue\r\n\r\n") }, status(http.StatusBadGateway)},
		"extends a chunk without end":   {patience, func(c *net.TCPConn) int64 { return spouting(c, chunks+"5;", "y") }, broken},
		"sends trailers without an end": {patience, func(c *net.TCPConn) int64 { return spouting(c, chunks+chunk(piece)+"0\r\n", "X: y\r\n") }, broken},
	} {
		t.Run(name, func(t *testing.T) {
			over := make(chan int64, clients)
			o := newTroop(t, func(conn *net.TCPConn) {
				readHead(conn)
				over <- c.serve(conn)
			})
			s := besiege(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}, change: func(cfg *Config) { cfg.Idle = c.idle }})
			crowd := s.crowd(clients)
			crowd.say("GET http://upd.acme.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
			s.servesOthers()
			s.holds(clients, 2<<20) // fields may be 256 KiB, and weigh more in memory than on the wire
			for _, w := range crowd {
				c.want(t, w)
			}
			crowd.leave()
			o.leave()
			for range clients {
				if wrote := within(t, over); wrote > 64<<20 {
					t.Errorf("%d MiB were read of it", wrote>>20)
				}
			}
			s.lifted()
		})
	}
}

func saying(c net.Conn, text string) int64 {
	n, _ := io.WriteString(c, text)
	return int64(n)
}

// silent says nothing until the other side has gone.
func silent(c net.Conn) int64 {
	_, _ = io.Copy(io.Discard, c)
	return 0
}

// dripping says a text, and another one slowly, unless the other side goes.
func dripping(c *net.TCPConn, at, slowly string) int64 {
	wrote := saying(c, at)
	next := time.NewTicker(10 * time.Millisecond)
	defer next.Stop()
	for i := range slowly {
		<-next.C
		n := saying(c, slowly[i:i+1])
		if n == 0 {
			break
		}
		wrote += n
	}
	return wrote
}

func resetting(c *net.TCPConn, after string) int64 {
	n := saying(c, after)
	reset(c)
	return n
}

// spouting says a text, and another one without an end.
func spouting(c net.Conn, first, again string) int64 {
	wrote := saying(c, first)
	n, _ := spout(c, bytes.Repeat([]byte(again), len(filler)/len(again)))
	return wrote + n
}
