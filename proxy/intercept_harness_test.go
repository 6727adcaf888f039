package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/certs"
	"github.com/gracegate/gracegate/policy/host"
)

// rigIssuer is an authority that signs for some zones.
type rigIssuer struct {
	*certs.Issuer
	zones []string
}

func (i rigIssuer) Permits(name host.Name) bool {
	return slices.ContainsFunc(i.zones, func(z string) bool { return name.String() == z || strings.HasSuffix(name.String(), "."+z) })
}

// looker is a rig that can intercept.
type looker struct {
	*rig
	trust *x509.CertPool // has the authority of the rig
}

// newLooker makes a rig that intercepts, whose origins' certificates chain to roots.
func newLooker(t *testing.T, setup rigSetup, roots *x509.CertPool) *looker {
	t.Helper()
	authority, err := certs.NewAuthority("the rig", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := certs.NewIssuer(authority, 64, nil)
	if err != nil {
		t.Fatal(err)
	}
	change := setup.change
	setup.change = func(c *Config) {
		c.Issuer, c.Roots = rigIssuer{issuer, []string{"acme.example", "games.example"}}, roots
		if change != nil {
			change(c)
		}
	}
	l := &looker{rig: newRig(t, setup), trust: x509.NewCertPool()}
	l.trust.AddCert(authority.Certificate())
	return l
}

// browser is a client that trusts the rig's authority, over HTTP/1.1 or HTTP/2.
func (l *looker) browser(http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: l.addr}), DisableCompression: true,
		TLSClientConfig: &tls.Config{RootCAs: l.trust}, Protocols: protocols,
	}
	l.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 2 * patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// look gets a URL by a browser, and tells the protocol.
func (l *looker) look(c *http.Client, target string, header ...string) answer {
	l.t.Helper()
	return l.ask(c, newRequest(l.t, http.MethodGet, target, header...))
}

func (l *looker) ask(c *http.Client, r *http.Request) answer {
	l.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		l.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return readAnswer(resp)
}

func newRequest(t *testing.T, method, target string, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Add(header[i], header[i+1])
		}
	}
	return req
}

// secureTunnel is TLS through a CONNECT to authority, under a server name, offering protocols.
func (l *looker) secureTunnel(authority, name string, protocols ...string) (*tls.Conn, error) {
	l.t.Helper()
	w := l.tunnel(authority)
	c := tls.Client(w, &tls.Config{RootCAs: l.trust, ServerName: name, NextProtos: protocols})
	return c, c.HandshakeContext(l.t.Context())
}

// secureWire is a client inside of an intercepted connection that says what it likes.
func (l *looker) secureWire(name string) *secureWire {
	l.t.Helper()
	c, err := l.secureTunnel(name+":443", name)
	if err != nil {
		l.t.Fatal(err)
	}
	return newSecureWire(l.t, c)
}
