package console

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve starts the admin server on a port of its own, with this limit on the time of an answer, and returns its address.
func serve(t *testing.T, c Config, write time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Server(New(c), log.New(io.Discard, "", 0))
	s.WriteTimeout = write
	// After a refused head the server lingers, so that the answer arrives.
	var conns sync.WaitGroup
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			conns.Add(1)
		case http.StateClosed:
			conns.Done()
		default:
		}
	}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		conns.Wait()
	})
	return l.Addr().String()
}

// What only the server can refuse, seen on the wire.
func TestServer(t *testing.T) {
	t.Parallel()
	addr := serve(t, testConfig(), 30*time.Second)
	tests := []struct{ name, request, answer string }{
		{"a request", "GET /healthz HTTP/1.1\r\nHost: " + addr + "\r\n\r\n", "HTTP/1.1 200 OK"},
		{"HTTP/1.0 without a Host", "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 421 Misdirected Request"},
		{"an absolute target of another host", "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 421 Misdirected Request"},
		{"OPTIONS of the server", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"},
		{"CONNECT", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"},
		{
			"h2c by upgrade", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
			"HTTP/1.1 200 OK",
		},
		{"h2c by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"},
		{"a long head", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 32<<10) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, tt.request); err != nil {
				t.Fatal(err)
			}
			answer, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || strings.TrimSpace(answer) != tt.answer {
				t.Errorf("answer %q, %v, want %q", answer, err, tt.answer)
			}
		})
	}
}

func TestServerHasLimits(t *testing.T) {
	t.Parallel()
	s := Server(http.NotFoundHandler(), nil)
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("a time-out or limit is missing: %+v", s)
	}
}
