package certs

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// serve takes connections until the test ends; each is sent one byte and closed. It returns where.
func serve(tb testing.TB, config *tls.Config) string {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				secured := tls.Server(conn, config)
				if _, err := secured.Write([]byte("x")); err == nil {
					_ = secured.Close()
				}
			})
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

// connect makes one connection, reads all of it, so that a session ticket is taken along, and tells how it went.
func connect(tb testing.TB, address string, config *tls.Config) (tls.ConnectionState, error) {
	tb.Helper()
	dialer := &tls.Dialer{Config: config}
	conn, err := dialer.DialContext(tb.Context(), "tcp", address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	if _, err := io.ReadAll(conn); err != nil {
		tb.Error(err)
	}
	return conn.(*tls.Conn).ConnectionState(), nil
}

// client trusts the authority, and lives at the time of the issuer.
func client(a *Authority, name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	return &tls.Config{
		RootCAs: roots, ServerName: name, Time: newClock().now, MinVersion: tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	address := serve(t, newIssuer(t, a, 8, newClock().now).ServerConfig("h2", "http/1.1"))
	for _, name := range []string{"s01.upd.kaspersky.com", "127.0.0.1"} {
		config := client(a, name)
		config.NextProtos = []string{"http/1.1", "h2"}
		state, err := connect(t, address, config)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != "h2" || len(state.PeerCertificates) != 1 {
			t.Errorf("%s: version %x, protocol %q, %d certificates", name, state.Version, state.NegotiatedProtocol, len(state.PeerCertificates))
		}
	}
}

func TestHandshakeRefused(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	address := serve(t, newIssuer(t, a, 8, newClock().now).ServerConfig())
	stranger := client(newAuthority(t), "example.org")
	if _, err := connect(t, address, stranger); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("a client that does not trust the authority: %v", err)
	}
	old := client(a, "example.org")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := connect(t, address, old); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("a client of TLS 1.1: %v", err)
	}
	odd := client(a, "a..example")
	if _, err := connect(t, address, odd); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("a server name without a canonical form: %v", err)
	}
}

// TestResumption resumes on the second connection, also where every connection has a configuration of its own.
func TestResumption(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, server := range []struct {
		name   string
		config func(*Issuer) *tls.Config
	}{
		{"one configuration", func(i *Issuer) *tls.Config { return i.ServerConfig() }},
		{"one for each connection", func(i *Issuer) *tls.Config {
			outer := i.ServerConfig()
			outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return i.ServerConfig(), nil }
			return outer
		}},
		{"a clone for each connection", func(i *Issuer) *tls.Config {
			outer, inner := new(tls.Config), i.ServerConfig()
			outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return inner.Clone(), nil }
			return outer
		}},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(server.name+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				address := serve(t, server.config(newIssuer(t, a, 8, newClock().now)))
				config := client(a, "example.org")
				config.MaxVersion = version
				for n, want := range []bool{false, true, true} {
					state, err := connect(t, address, config)
					if err != nil {
						t.Fatal(err)
					}
					if state.DidResume != want || state.Version != version {
						t.Errorf("connection %d: resumed %v, version %x; want %v, %x", n+1, state.DidResume, state.Version, want, version)
					}
				}
			})
		}
	}
}

// oneSession gives a client its last session whatever the server's name, as a client must not.
type oneSession struct {
	mu      sync.Mutex
	session *tls.ClientSessionState
}

func (s *oneSession) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session, s.session != nil
}

func (s *oneSession) Put(_ string, session *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = session
}

// TestResumptionElsewhere: a session is not resumed under another name, nor at another issuer.
func TestResumptionElsewhere(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			here := serve(t, newIssuer(t, a, 8, newClock().now).ServerConfig())
			there := serve(t, newIssuer(t, a, 8, newClock().now).ServerConfig())
			sessions := new(oneSession)
			for n, step := range []struct {
				name, address string
				resumed       bool
			}{
				{"a.example", here, false},
				{"a.example", here, true},
				{"b.example", here, false},
				{"a.example", here, false},
				{"a.example", there, false},
			} {
				config := client(a, step.name)
				// The client would itself refuse a session whose certificate has another name.
				config.MaxVersion, config.ClientSessionCache, config.InsecureSkipVerify = version, sessions, true
				state, err := connect(t, step.address, config)
				if err != nil {
					t.Fatal(err)
				}
				if state.DidResume != step.resumed {
					t.Errorf("connection %d to %s: resumed %v, want %v", n+1, step.name, state.DidResume, step.resumed)
				}
				if got := state.PeerCertificates[0].DNSNames[0]; got != step.name {
					t.Errorf("connection %d: the certificate of %s, want %s", n+1, got, step.name)
				}
			}
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	a := newAuthority(b)
	address := serve(b, newIssuer(b, a, 8, newClock().now).ServerConfig())
	for _, bc := range []struct {
		name   string
		resume bool
	}{{"Full", false}, {"Resumed", true}} {
		b.Run(bc.name, func(b *testing.B) {
			config := client(a, "example.org")
			if !bc.resume {
				config.ClientSessionCache = nil
			}
			for b.Loop() {
				if _, err := connect(b, address, config); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
