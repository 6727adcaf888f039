package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// redirector is a rig with a transparent listener, and the packet filter before it: it says where connections were to go.
type redirector struct {
	*looker
	listener netip.AddrPort
	to       atomic.Pointer[netip.AddrPort] // where the next clients dial
}

// newRedirector makes one. Nobody's address is this machine's, or every client would be taken for the gateway itself. What tune changes
// holds for all of them.
func newRedirector(t *testing.T, setup rigSetup, roots *x509.CertPool, tune ...func(*transparent)) *redirector {
	t.Helper()
	setup.allow = append(setup.allow, "127.0.0.0/8")
	r := &redirector{looker: newLooker(t, setup, roots)}
	r.transparent.original = func(*net.TCPConn) netip.AddrPort { return *r.to.Load() }
	r.transparent.own = nobody
	for _, change := range tune {
		change(&r.transparent)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.listener = netip.MustParseAddrPort(l.Addr().String())
	done := make(chan error, 1)
	go func() { done <- r.ServeTransparent(l) }()
	t.Cleanup(func() {
		_ = r.stop()
		if err := <-done; err != nil {
			t.Errorf("ServeTransparent: %v", err)
		}
	})
	return r
}

// dial is a client's connection to an address, which the packet filter sends to the gateway.
func (r *redirector) dial(addr string) *wire {
	r.t.Helper()
	to := netip.MustParseAddrPort(addr)
	r.to.Store(&to)
	c, err := net.Dial("tcp", r.listener.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	return &wire{TCPConn: c.(*net.TCPConn), t: r.t, in: bufio.NewReader(c)}
}

// resets dials an address, and tells whether that ends with a reset, at once or when the client has said this.
func (r *redirector) resets(addr, said string) bool {
	r.t.Helper()
	to := netip.MustParseAddrPort(addr)
	r.to.Store(&to)
	c, err := net.Dial("tcp", r.listener.String())
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * patience))
		if _, err = io.WriteString(c, said); err == nil {
			_, err = io.Copy(io.Discard, c)
		}
	}
	return isReset(err)
}

// request is one of a client that knows of no proxy. A POST, which the fast lane leaves to net/http, tells that it has no body.
func request(method, host, path, lines string) string {
	if method == http.MethodPost {
		lines = "Content-Length: 0\r\n" + lines
	}
	return method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + lines + "\r\n"
}

// visitor is a Go client that knows of no proxy, and finds every host at an address.
func (r *redirector) visitor(addr string, http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return r.dial(addr).TCPConn, nil },
		DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: r.trust}, Protocols: protocols,
	}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * patience}
}
