package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/elazarl/goproxy"
)

// runRelay is the least that a CONNECT proxy in Go can do: read the head, dial, answer, copy both ways. The copying is
// io.Copy between TCP connections, which splices.
func runRelay(args []string) error {
	address, err := listenFlag("raw", args)
	if err != nil {
		return err
	}
	return listen(address, relay)
}

func relay(client net.Conn) error {
	r := newHeadReader(client)
	head, err := r.head()
	if err != nil {
		return err
	}
	method, rest, _ := bytes.Cut(head, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	if string(method) != "CONNECT" {
		return errors.New("not CONNECT")
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	server, err := dialer.Dial("tcp", string(target))
	if err != nil {
		_, _ = io.WriteString(client, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return err
	}
	defer server.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return err
	}
	if _, err := server.Write(r.buf[r.at:r.till]); err != nil {
		return err
	}
	r.buf = nil // nobody needs it while the tunnel is open
	back := make(chan error, 1)
	go func() { back <- copyHalf(client, server) }()
	return errors.Join(copyHalf(server, client), <-back)
}

// copyHalf copies one direction and passes on its end.
func copyHalf(to, from net.Conn) error {
	_, err := io.Copy(to, from)
	return errors.Join(err, to.(*net.TCPConn).CloseWrite())
}

// runGoproxy is goproxy as it comes, over a transport that takes no proxy from the environment.
func runGoproxy(args []string) error {
	address, err := listenFlag("goproxy", args)
	if err != nil {
		return err
	}
	p := goproxy.NewProxyHttpServer()
	p.Tr = &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true}
	p.ConnectDial, p.ConnectDialWithReq = nil, nil
	p.Logger = log.New(io.Discard, "", 0)
	server := &http.Server{Addr: address, Handler: p, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// runBump is goproxy as it comes, except that it takes all TLS apart.
func runBump(args []string) error {
	flags := flag.NewFlagSet("bump", flag.ContinueOnError)
	address := flags.String("listen", "", "HOST:PORT")
	signer := flags.String("signer", "", "the file with certificate and key of the authority")
	roots := flags.String("roots", "", "the file of what the origin's certificate is verified against")
	origin := flags.String("origin", "", "HOST:PORT")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ca, err := tls.LoadX509KeyPair(*signer, *signer)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(*roots)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	server := &http.Server{Addr: *address, Handler: bumping(ca, pool, *origin), ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// bumping is a goproxy with an authority of ours, over a transport that keeps connections and takes every name to one origin.
func bumping(ca tls.Certificate, roots *x509.CertPool, origin string) http.Handler {
	p := goproxy.NewProxyHttpServer()
	p.Tr = &http.Transport{
		MaxIdleConnsPerHost: 128, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, origin)
		},
	}
	p.ConnectDial, p.ConnectDialWithReq = nil, nil
	p.Logger = log.New(io.Discard, "", 0)
	p.CertStore = new(leafStore)
	bump := &goproxy.ConnectAction{Action: goproxy.ConnectMitm, TLSConfig: goproxy.TLSConfigFromCA(&ca)}
	p.OnRequest().HandleConnectFunc(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) { return bump, host })
	return p
}

// leafStore keeps every leaf.
type leafStore struct{ leaves sync.Map }

func (s *leafStore) Fetch(host string, sign func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	if leaf, ok := s.leaves.Load(host); ok {
		return leaf.(*tls.Certificate), nil
	}
	leaf, err := sign()
	if err == nil {
		s.leaves.Store(host, leaf)
	}
	return leaf, err
}

// listenFlag reads the one flag of a role.
func listenFlag(role string, args []string) (address string, err error) {
	flags := flag.NewFlagSet(role, flag.ContinueOnError)
	flags.StringVar(&address, "listen", "", "HOST:PORT")
	return address, flags.Parse(args)
}
