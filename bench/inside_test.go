package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// insideOrigin is an origin over TLS whose certificate is for the names of the rows, what that is verified against, and whom it was
// asked as.
func insideOrigin(t *testing.T, tickets bool) (address string, roots *x509.CertPool, asked func() []string) {
	t.Helper()
	vendors := testAuthority(t)
	text, err := vendors.leaf("*." + benchZone)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var names []string
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: !tickets}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, state.ServerName)
		return nil
	}
	o := origin{tls: config}
	return serving(t, o.serveTLS), vendors.pool(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(names)
	}
}

func testAuthority(t *testing.T) *authority {
	t.Helper()
	a, err := newAuthority("bench test")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// bumped is a goproxy before an origin, and what its certificates are verified against.
func bumped(t *testing.T, origin string, roots *x509.CertPool) target {
	t.Helper()
	signer := testAuthority(t)
	text, err := signer.withKey()
	if err != nil {
		t.Fatal(err)
	}
	ca, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: bumping(ca, roots, origin), ReadHeaderTimeout: time.Minute}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	return target{proxy: l.Addr().String(), roots: signer.pool()}
}

func TestRequestsWithinTLS(t *testing.T) {
	t.Parallel()
	origin, roots, asked := insideOrigin(t, true)
	to := map[string]target{
		"direct": {proxy: origin, direct: true, roots: roots},
		"fresh":  {proxy: origin, direct: true, roots: roots, fresh: true},
		"bumped": bumped(t, origin, roots),
	}
	for _, c := range []struct {
		target         string
		work           work
		dials, resumed int
	}{
		{"direct", keptInside(1, 10), 1, 0},
		{"bumped", keptInside(1, 10), 1, 0},
		{"direct", newInside(1, 10, false), 5, 0},
		{"direct", newInside(1, 10, true), 5, 4},
		{"fresh", newInside(1, 10, true), 5, 0},
		{"bumped", newInside(1, 10, true), 5, 0}, // goproxy makes the keys of tickets anew for each connection
	} {
		before := len(asked())
		done, client, err := some(t, c.work, to[c.target])
		if done != 5 || client.dials != c.dials || client.resumed != c.resumed || err != nil {
			t.Errorf("%s: %d done on %d connections, want %d, %d resumed, want %d, %v", c.target, done, client.dials, c.dials, client.resumed, c.resumed, err)
		}
		if c.target == "bumped" && len(asked()) > before+1 {
			t.Errorf("%d connections to the origin, which keeps them", len(asked())-before)
		}
	}
}

func TestWrongCertificatesFail(t *testing.T) {
	t.Parallel()
	origin, _, _ := insideOrigin(t, false)
	spliced := target{proxy: origin, direct: true, roots: testAuthority(t).pool()} // as if a proxy had not signed
	if _, _, err := some(t, newInside(1, 10, false), spliced); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("the origin's own certificate: %v", err)
	}
	unverified := bumped(t, origin, testAuthority(t).pool())
	if _, _, err := some(t, newInside(1, 10, false), unverified); err == nil {
		t.Error("an origin that cannot be verified was asked")
	}

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{warmName}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	o := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}
	at := serving(t, func(c net.Conn) error { return tls.Server(c, o).Handshake() })
	_, _, err = some(t, newInside(1, 10, false), target{proxy: at, direct: true, roots: pool})
	if err == nil || !strings.Contains(err.Error(), "not ECDSA P-256") {
		t.Errorf("an RSA key: %v", err)
	}
}

func TestEachNameIsAskedOnce(t *testing.T) {
	t.Parallel()
	origin, roots, asked := insideOrigin(t, false)
	w := eachInside(3, 10)
	w.names = 10
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r := row{work: w}
	res, err := r.measure(t.Context(), &stage{dir: t.TempDir()}, plan{rounds: 4}, []entrant{
		{label: "direct", server: &server{cmd: &exec.Cmd{Process: self}}, target: target{proxy: origin, direct: true, roots: roots}},
		{label: "absent", failure: errors.New("does\nnot start")},
	})
	if err != nil || len(res.lines[0].samples) != 4 || res.lines[0].failure != nil {
		t.Fatalf("%d samples, %v, %v", len(res.lines[0].samples), res.lines[0].failure, err)
	}
	for _, s := range res.lines[0].samples {
		if s.dials != 1 || s.cpu < 0 || s.rate <= 0 {
			t.Errorf("a share: %+v", s)
		}
	}
	names := make(map[string]int)
	for _, name := range asked() {
		names[name]++
	}
	if want := maps.Collect(func(yield func(string, int) bool) {
		for i := range 10 {
			yield(leafName(i), 1)
		}
	}); !maps.Equal(names, want) {
		t.Errorf("asked for %v", names)
	}
	e := entrant{label: "known", server: &server{cmd: &exec.Cmd{Process: self}}, target: target{proxy: origin, direct: true, roots: roots, known: true}}
	if _, err := r.measure(t.Context(), &stage{dir: t.TempDir()}, plan{rounds: 2}, []entrant{e}); err != nil {
		t.Error(err)
	}
	if got := asked()[10:]; len(got) != 10 || slices.ContainsFunc(got, func(name string) bool { return name != warmName }) {
		t.Errorf("asked for %v, want %s alone", got, warmName)
	}
	if text := res.text(); !strings.Contains(text, "failed: does not start") || strings.Contains(text, "NaN") {
		t.Error(text)
	}
}

func TestLeavesAreJudged(t *testing.T) {
	t.Parallel()
	of := func(more float64) leavesResult {
		return leavesResult{label: "gracegate", fresh: 10 << 20, warm: 20 << 20, all: (20 + more) * (1 << 20)}
	}
	for _, c := range []struct {
		results []leavesResult
		want    string
	}{
		{nil, "60 MiB: not measured"},
		{[]leavesResult{{failure: errors.New("no")}, of(1)}, "60 MiB: not measured"},
		{[]leavesResult{of(59.9)}, "60 MiB: 59.9 MiB, reached"},
		{[]leavesResult{of(60.1)}, "60 MiB: 60.1 MiB, not reached"},
	} {
		if got := judgeLeaves(c.results); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if text := leavesTable([]leavesResult{of(40)}).text(); !strings.Contains(text, "40.0 MiB") || !strings.Contains(text, "4.1 KiB") {
		t.Error(text)
	}
}
