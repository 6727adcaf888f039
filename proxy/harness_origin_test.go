package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracegate/gracegate/certs"
)

// origin is a server on a loopback port that counts who comes.
type origin struct {
	addr string
	came atomic.Int64
}

// rawOrigin hands every connection to serve, which need not close it. Those that are still open are closed when the test is
// over.
func rawOrigin(t *testing.T, serve func(c *net.TCPConn)) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{addr: l.Addr().String()}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		open    []net.Conn
		over    bool
	)
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.came.Add(1)
			mu.Lock()
			open = append(open, c)
			if over {
				_ = c.Close()
			}
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		over = true
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return o
}

// webOrigin is a web server.
func webOrigin(t *testing.T, handler http.HandlerFunc) *origin {
	t.Helper()
	return webServer(t, handler, nil)
}

// secureOrigin is a web server behind TLS, under any name, and the roots that its certificates chain to.
func secureOrigin(t *testing.T, handler http.HandlerFunc) (*origin, *x509.CertPool) {
	t.Helper()
	cfg, roots, _ := secureConfig(t)
	return webServer(t, handler, cfg), roots
}

// secureConfig is what a server needs to speak TLS under any name, the roots that a client of it trusts, and those as PEM.
func secureConfig(t *testing.T) (*tls.Config, *x509.CertPool, []byte) {
	t.Helper()
	authority, err := certs.NewAuthority("origins of the tests", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := certs.NewIssuer(authority, 16, nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	return issuer.ServerConfig("http/1.1"), roots, authority.PEM()
}

func webServer(t *testing.T, handler http.Handler, secure *tls.Config) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{addr: l.Addr().String()}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	var open sync.WaitGroup
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			o.came.Add(1)
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Done()
		case http.StateActive, http.StateIdle:
		}
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
		open.Wait() // Close does not wait for handlers
	})
	return o
}

// scriptedOrigin reads one request head from each connection, answers with these bytes, and closes.
func scriptedOrigin(t *testing.T, answer string) *origin {
	t.Helper()
	return rawOrigin(t, func(c *net.TCPConn) {
		readHead(c)
		_, _ = io.WriteString(c, answer)
	})
}

// readHead reads up to the first empty line.
func readHead(c net.Conn) string {
	var head []byte
	for b := make([]byte, 1); ; {
		if _, err := c.Read(b); err != nil {
			return string(head)
		}
		if head = append(head, b[0]); len(head) >= 4 && string(head[len(head)-4:]) == "\r\n\r\n" {
			return string(head)
		}
	}
}

// hello answers with a greeting.
func greet(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello from the origin") }
