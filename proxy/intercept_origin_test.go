package proxy

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/gracegate/gracegate/audit"
)

// testCA signs what no good authority would.
type testCA struct {
	*x509.Certificate
	key crypto.Signer
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	ca := &testCA{}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "an authority"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	ca.Certificate, ca.key = ca.sign(t, template, nil)
	return ca
}

// sign signs by itself, or, where there is no parent yet, has the certificate sign itself.
func (ca *testCA) sign(t *testing.T, template *x509.Certificate, parent *testCA) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	issuer, signer := template, crypto.Signer(key)
	if parent != nil {
		issuer, signer = parent.Certificate, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// TestInterceptedOriginIsVerified wants a page that says what is wrong, and no request sent.
func TestInterceptedOriginIsVerified(t *testing.T) {
	t.Parallel()
	ca, stranger := newTestCA(t), newTestCA(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	hour := time.Hour
	for _, tc := range []struct {
		name       string
		by         *testCA // nil: by itself
		for_       string
		from, to   time.Duration
		usage      x509.ExtKeyUsage
		revoked    bool
		status     int
		reason     string
		says       string
		oldVersion bool
	}{
		{name: "good", by: ca, for_: mixed, from: -hour, to: hour, usage: x509.ExtKeyUsageServerAuth, status: 200},
		{name: "expired", by: ca, for_: mixed, from: -3 * hour, to: -hour, usage: x509.ExtKeyUsageServerAuth, status: 502, reason: "certificate", says: "expired on "},
		{name: "not yet", by: ca, for_: mixed, from: hour, to: 2 * hour, usage: x509.ExtKeyUsageServerAuth, status: 502, reason: "certificate", says: "valid only from "},
		{name: "self-signed", for_: mixed, from: -hour, to: hour, usage: x509.ExtKeyUsageServerAuth, status: 502, reason: "certificate", says: "not issued by an authority"},
		{name: "stranger", by: stranger, for_: mixed, from: -hour, to: hour, usage: x509.ExtKeyUsageServerAuth, status: 502, reason: "certificate", says: "not issued by an authority"},
		{name: "wrong name", by: ca, for_: "other.acme.example", from: -hour, to: hour, usage: x509.ExtKeyUsageServerAuth, status: 502, reason: "certificate", says: "not for " + mixed},
		{name: "for clients", by: ca, for_: mixed, from: -hour, to: hour, usage: x509.ExtKeyUsageClientAuth, status: 502, reason: "certificate", says: "may not be used"},
		{name: "revoked", by: ca, for_: mixed, from: -hour, to: hour, usage: x509.ExtKeyUsageServerAuth, revoked: true, status: 502, reason: "certificate", says: "revoked on "},
		{name: "TLS 1.1", by: ca, for_: mixed, from: -hour, to: hour, usage: x509.ExtKeyUsageServerAuth, oldVersion: true, status: 502, reason: "tls", says: "TLS with the origin failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			template := &x509.Certificate{
				Subject: pkix.Name{CommonName: tc.for_}, DNSNames: []string{tc.for_}, KeyUsage: x509.KeyUsageDigitalSignature,
				NotBefore: time.Now().Add(tc.from), NotAfter: time.Now().Add(tc.to), ExtKeyUsage: []x509.ExtKeyUsage{tc.usage},
			}
			leaf, key := ca.sign(t, template, tc.by)
			served := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
			if tc.revoked {
				word, err := ocsp.CreateResponse(ca.Certificate, ca.Certificate, ocsp.Response{
					Status: ocsp.Revoked, SerialNumber: leaf.SerialNumber, ThisUpdate: time.Now().Add(-hour), NextUpdate: time.Now().Add(hour), RevokedAt: time.Now().Add(-hour),
				}, ca.key)
				if err != nil {
					t.Fatal(err)
				}
				served.OCSPStaple = word
			}
			cfg := &tls.Config{Certificates: []tls.Certificate{served}, MinVersion: tls.VersionTLS12}
			if tc.oldVersion {
				cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			}
			asked := make(chan struct{}, 8)
			o := webServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }), cfg)
			l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
			a := l.look(l.browser(false), "https://"+mixed+"/a", "Accept", "text/html").want(t, tc.status)
			if tc.status == 200 {
				return
			}
			if !strings.Contains(a.body, tc.says) || !strings.Contains(a.body, "was not sent") || !strings.Contains(a.Header.Get("Proxy-Status"), "error=tls_") {
				t.Errorf("the page says %s\n%s", a.Header.Get("Proxy-Status"), a.body)
			}
			if len(asked) > 0 {
				t.Error("the request was sent")
			}
			l.records.wait(t, tc.reason, func(r audit.Record) bool { return r.Ended == tc.reason && r.Status == 502 })
		})
	}
}

// TestInterceptedOriginDown wants an answer, over either protocol.
func TestInterceptedOriginDown(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	plain := webOrigin(t, tell)
	silent := rawOrigin(t, func(c *net.TCPConn) { _ = c.SetLinger(0) })
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := down.Addr().String()
	_ = down.Close()
	_ = o
	for name, at := range map[string]string{"refused": addr, "not TLS": plain.addr, "reset": silent.addr} {
		for _, http2 := range []bool{false, true} {
			l := newLooker(t, rigSetup{hosts: map[string]string{mixed: at}}, roots)
			a := l.look(l.browser(http2), "https://"+mixed+"/a").want(t, 502)
			if !strings.Contains(a.Header.Get("Content-Type"), "problem+json") {
				t.Errorf("%s: %v %s", name, a.Header, a.body)
			}
		}
	}
}

// TestInterceptStream wants each part of an answer at once.
func TestInterceptStream(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		goOn := make(chan struct{})
		o, roots := secureOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-ndjson")
			_, _ = io.WriteString(w, "{}\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-goOn:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "{}\n")
		})
		l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
		resp, err := l.browser(http2).Do(newRequest(t, http.MethodGet, "https://"+mixed+"/stream"))
		if err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, line); err != nil {
			t.Fatal(err)
		}
		close(goOn) // only now: the first line was there before
		if a := readAnswer(resp); a.err != nil || a.body != "{}\n" {
			t.Errorf("%q, %v", a.body, a.err)
		}
	}
}

// TestInterceptLeavesAsIs wants encodings, trailers and lengths to come through, and what concerns one hop not to.
func TestInterceptLeavesAsIs(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, strings.Repeat("x", 1000))
	_ = z.Close()
	o, roots := secureOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "br" {
			t.Errorf("Accept-Encoding %q", got)
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("Proxy-Connection", "keep-alive")
		w.Header().Set("Alt-Svc", `h3=":443"`)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(zipped.Bytes())
		w.Header().Set("X-Sum", "7")
	})
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	for _, http2 := range []bool{false, true} {
		a := l.look(l.browser(http2), "https://"+mixed+"/z", "Accept-Encoding", "br").want(t, 200)
		if a.body != zipped.String() || a.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("http2 %v: the body changed: %d bytes, %v", http2, len(a.body), a.Header)
		}
		for _, field := range []string{"Keep-Alive", "Proxy-Connection", "Alt-Svc"} {
			if a.Header.Get(field) != "" {
				t.Errorf("http2 %v: %s came through", http2, field)
			}
		}
		if a.Trailer.Get("X-Sum") != "7" {
			t.Errorf("http2 %v: trailers %v", http2, a.Trailer)
		}
	}
}

// http2Origin is a web server that offers HTTP/2.
func http2Origin(t *testing.T, handler http.HandlerFunc, cfg *tls.Config) (addr string) {
	t.Helper()
	cfg.NextProtos = []string{"h2", "http/1.1"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, TLSConfig: cfg, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l.Addr().String()
}

// TestInterceptHTTP2Origin wants HTTP/2 from a client that speaks it to an origin that offers it. The fast lane does without.
func TestInterceptHTTP2Origin(t *testing.T) {
	t.Parallel()
	cfg, roots, _ := secureConfig(t)
	addr := http2Origin(t, tell, cfg)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: addr}}, roots)
	for http2, proto := range map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"} {
		if a := l.look(l.browser(http2), "https://"+mixed+"/a").want(t, 200); a.body != proto+" GET "+mixed+"/a" {
			t.Errorf("the origin saw %q", a.body)
		}
	}
}

// TestInterceptTruncated wants an answer that broke off to look so.
func TestInterceptTruncated(t *testing.T) {
	t.Parallel()
	cfg, roots, _ := secureConfig(t)
	for name, answer := range map[string]string{
		"chunked":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo",
		"content-length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
	} {
		o := rawOrigin(t, func(c *net.TCPConn) {
			s := tls.Server(c, cfg)
			readHead(s)
			_, _ = io.WriteString(s, answer)
			_ = s.Close()
		})
		l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
		for _, http2 := range []bool{false, true} {
			resp, err := l.browser(http2).Do(newRequest(t, http.MethodGet, "https://"+mixed+"/a"))
			if err != nil {
				t.Fatal(err)
			}
			if a := readAnswer(resp); a.err == nil {
				t.Errorf("%s, http2 %v: %q was taken for the whole", name, http2, a.body)
			}
		}
	}
}

// TestInterceptExpect wants a 100 before the body, for clients that wait for it.
func TestInterceptExpect(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n, err)
	})
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	w := l.secureWire(mixed)
	w.send("POST /up HTTP/1.1\r\nHost: " + mixed + "\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if line, err := w.in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v: want a 100", line, err)
	}
	if _, err := w.in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if a := w.send("body").answer("POST").want(t, 200); a.body != "4 <nil>" {
		t.Errorf("the origin got %q", a.body)
	}
}

// TestInterceptWebSocket wants bytes both ways, and the end when the origin ends.
func TestInterceptWebSocket(t *testing.T) {
	t.Parallel()
	cfg, roots, _ := secureConfig(t)
	o := rawOrigin(t, func(c *net.TCPConn) {
		s := tls.Server(c, cfg)
		readHead(s)
		_, _ = io.WriteString(s, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
		b := make([]byte, 4)
		_, _ = io.ReadFull(s, b)
		_, _ = s.Write(b)
		_ = s.Close()
	})
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	w := l.secureWire(mixed)
	w.send("GET /ws HTTP/1.1\r\nHost: " + mixed + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\nping")
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != 101 {
		t.Fatal(resp.Status)
	}
	if got, _ := io.ReadAll(w.in); string(got) != "hiping" {
		t.Errorf("came %q", got)
	}
	l.records.wait(t, "the end", func(r audit.Record) bool {
		return r.Kind == "websocket" && r.Event == audit.End && r.BytesIn == 4 && r.BytesOut == 6
	})
}

// TestInterceptRefusedByClient wants it recorded that a client does not trust the authority.
func TestInterceptRefusedByClient(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	c := tls.Client(l.tunnel(mixed+":443"), &tls.Config{RootCAs: roots, ServerName: mixed})
	if err := c.HandshakeContext(t.Context()); err == nil {
		t.Error("trusted")
	}
	l.records.wait(t, "handshake", func(r audit.Record) bool { return r.Ended == "handshake" })
	if l.logs.FilterMessage("client did not accept our certificate").Len() != 1 {
		t.Error("not logged")
	}
}

// TestInterceptShutdown wants open and silent connections ended by the drain's limit.
func TestInterceptShutdown(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	idle := l.secureWire(mixed)
	silent := l.tunnel(mixed + ":443")
	resp, err := l.browser(true).Do(newRequest(t, http.MethodGet, "https://"+mixed+"/a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if a := readAnswer(resp); a.err == nil {
		t.Error("the answer ended as if it were whole")
	}
	for _, c := range []io.Reader{idle.in, silent} {
		_, _ = io.Copy(io.Discard, c) // until it ends, or the deadline of the wire
	}
	if n := l.flows.open.Load(); n != 0 {
		t.Errorf("%d flows are open", n)
	}
	l.records.wait(t, "drain", func(r audit.Record) bool { return r.Kind == "intercepted" && r.Ended == "drain" })
}

// TestInterceptSilent wants a client that says nothing after its CONNECT, or half a hello, or nothing inside, gone in time.
func TestInterceptSilent(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: func(c *Config) {
		c.Idle, c.Hello = time.Second, 2*time.Second // handshakes take their time on a busy machine
	}}, roots)
	silent := l.tunnel(mixed + ":443")
	half := l.tunnel(mixed + ":443").send("\x16\x03\x01\x02\x00\x01")
	inside := l.secureWire(mixed)
	slow := l.secureWire(mixed).send("GET / HT")
	for name, c := range map[string]io.Reader{"silent": silent, "half a hello": half, "silent inside": inside.in, "half a head inside": slow.in} {
		started := time.Now()
		_, _ = io.Copy(io.Discard, c)
		if time.Since(started) > patience {
			t.Errorf("%s: still there", name)
		}
	}
}

// TestInterceptPanic wants a panic while a request is answered to end that request alone.
func TestInterceptPanic(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, tell)
	l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}}, roots)
	good := l.plain
	l.plain = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("a filter")
		}
		good.ServeHTTP(w, r)
	})
	for _, http2 := range []bool{false, true} {
		b := l.browser(http2)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if resp, err := b.Do(newRequest(t, http.MethodDelete, "https://"+mixed+"/panic").WithContext(ctx)); err == nil {
			t.Errorf("answered %d", resp.StatusCode)
			_ = resp.Body.Close()
		}
		cancel()
		l.look(b, "https://"+mixed+"/a").want(t, 200)
	}
	l.records.wait(t, "panic", func(r audit.Record) bool { return r.Ended == "panic" })
}

// TestTrailersAreAskedFor wants an origin told that the client understands trailers, if it does, in each version of HTTP.
func TestTrailersAreAskedFor(t *testing.T) {
	t.Parallel()
	told := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%d %q %q", r.ProtoMajor, r.Header["Te"], r.Header["Connection"])
	}
	one, roots := secureOrigin(t, told)
	plain := webOrigin(t, told)
	cfg, more, _ := secureConfig(t)
	two := http2Origin(t, told, cfg)
	for _, c := range []struct {
		method, te string
		http2      bool
		origin     string
		roots      *x509.CertPool
		want       string
	}{
		{"GET", "trailers", false, one.addr, roots, `1 ["trailers"] ["TE"]`},
		{"PUT", "trailers", false, one.addr, roots, `1 ["trailers"] ["TE"]`},
		{"GET", "trailers", true, one.addr, roots, `1 ["trailers"] ["TE"]`},
		{"GET", "trailers", true, two, more, `2 ["trailers"] []`},
		{"GET", "trailers", false, two, more, `1 ["trailers"] ["TE"]`},
		{"GET", "gzip, trailers", false, one.addr, roots, `1 ["trailers"] ["TE"]`},
		{"GET", "gzip", false, one.addr, roots, `1 [] []`},
		{"PUT", "gzip", false, one.addr, roots, `1 [] []`},
	} {
		l := newLooker(t, rigSetup{hosts: map[string]string{mixed: c.origin, "free.example": plain.addr}}, c.roots)
		if a := l.ask(l.browser(c.http2), newRequest(t, c.method, "https://"+mixed+"/a", "Te", c.te)).want(t, 200); a.body != c.want {
			t.Errorf("%+v: the origin saw %s", c, a.body)
		}
		if !c.http2 && c.origin == one.addr {
			if a := l.do(c.method, "http://free.example/a", nil, "Te", c.te); a.body != c.want {
				t.Errorf("%+v, plain: the origin saw %s", c, a.body)
			}
		}
	}
}
