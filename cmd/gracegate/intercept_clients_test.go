package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// oemHost is the host of the catalogue of which one path is an integration and the rest is not.
const oemHost = "kav8.zonealarm.com"

// inspection is a gateway that intercepts, with an origin behind it, and beside it a bank that somebody plays who has stolen the
// gateway's intermediate.
type inspection struct {
	t       *testing.T
	gateway *process
	root    string // file
	roots   *x509.CertPool
	bank    string // address
}

func newInspection(t *testing.T) *inspection {
	t.Helper()
	binary, dir := buildGateway(t), t.TempDir()
	n := &inspection{t: t, root: filepath.Join(dir, "ca", "root.pem")}
	n.program(binary, "ca", "init", "--data-dir", dir)

	authority, key := newTestAuthority(t)
	trusted := filepath.Join(dir, "origins.pem")
	n.write(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}))
	origin := n.serve(newTestLeaf(t, oemHost, authority, key), func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "<h1>the origin's %s</h1>", r.URL.Path)
	})

	intermediate, stolen := n.certificate(filepath.Join(dir, "ca", "intermediate.pem")), n.key(filepath.Join(dir, "ca", "intermediate.key"))
	forged := newTestLeaf(t, "bank.example", intermediate, stolen)
	forged.Certificate = append(forged.Certificate, intermediate.Raw)
	n.bank = n.serve(forged, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<h1>your money</h1>") })

	n.roots = x509.NewCertPool()
	n.roots.AddCert(n.certificate(n.root))
	n.gateway = launch(t, binary, nil, "--data-dir", dir, "--upstream-ca-file", trusted, "--clock-at", "2024-10-01T00:00:00Z",
		"--upstream-hosts", fmt.Sprintf(`[{"name": %q, "address": %q}, {"name": "bank.example", "address": %q}]`, oemHost, origin, n.bank))
	return n
}

func newTestAuthority(t *testing.T) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "origins of the test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return signTest(t, template, template, key.Public(), key), key
}

func newTestLeaf(t *testing.T, name string, by *x509.Certificate, signer crypto.Signer) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(12 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return tls.Certificate{Certificate: [][]byte{signTest(t, template, by, key.Public(), signer).Raw}, PrivateKey: key}
}

func signTest(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (n *inspection) serve(leaf tls.Certificate, handler http.HandlerFunc) (addr string) {
	n.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	server := &http.Server{
		Handler: handler, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(l, "", "")
	}()
	n.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l.Addr().String()
}

func (n *inspection) write(name string, data []byte) {
	n.t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *inspection) block(name string) []byte {
	n.t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		n.t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		n.t.Fatalf("%s: no PEM", name)
	}
	return block.Bytes
}

func (n *inspection) certificate(name string) *x509.Certificate {
	n.t.Helper()
	c, err := x509.ParseCertificate(n.block(name))
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

func (n *inspection) key(name string) crypto.Signer {
	n.t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(n.block(name))
	if err != nil {
		n.t.Fatal(err)
	}
	return key.(crypto.Signer)
}

// program runs one that must succeed.
func (n *inspection) program(name string, args ...string) string {
	n.t.Helper()
	out, err := n.try(nil, name, args...)
	if err != nil {
		n.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (n *inspection) try(env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// needs skips a test of a client that is not there.
func needs(t *testing.T, name string) string {
	t.Helper()
	found, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: it does not judge our certificates", name)
	}
	return found
}

// TestInterceptedClients wants every client that trusts the root to accept the gateway's certificate for a name of the
// catalogue, and none to accept one for a bank, signed by the same intermediate.
func TestInterceptedClients(t *testing.T) {
	t.Parallel()
	n := newInspection(t)
	for name, test := range map[string]func(*testing.T){
		"go": n.goClient, "curl": n.curl, "openssl": n.openssl, "python": n.python, "chromium": n.chromium,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func (n *inspection) goClient(t *testing.T) {
	t.Helper()
	transport := &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: n.gateway.proxy}), ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: n.roots, MinVersion: tls.VersionTLS12},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	for path, want := range map[string]int{"/other": 200, "/v6/x": 451} {
		resp, err := client.Get("https://" + oemHost + path)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != want || resp.ProtoMajor != 2 {
			t.Errorf("%s: %s over %s, want %d", path, resp.Status, resp.Proto, want)
		}
	}
	resp, err := client.Get("https://bank.example/")
	if err == nil {
		_ = resp.Body.Close()
	}
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.CANotAuthorizedForThisName {
		t.Errorf("the bank: %v, want a name that the CA may not sign for", err)
	}
}

func (n *inspection) curl(t *testing.T) {
	t.Helper()
	curl := needs(t, "curl")
	args := []string{"--silent", "--show-error", "--proxy", "http://" + n.gateway.proxy, "--cacert", n.root, "--http2", "--write-out", " %{http_code} %{http_version} %{num_connects}\n"}
	out, err := n.try(nil, curl, append(args, "https://"+oemHost+"/a", "https://"+oemHost+"/v6/a")...)
	if err != nil || !strings.Contains(out, "the origin's /a</h1> 200 2 1\n") || !strings.Contains(out, " 451 2 0\n") {
		t.Errorf("%v: want 200 and 451 on one HTTP/2 connection\n%s", err, out)
	}
	if out, err := n.try(nil, curl, append(args, "https://bank.example/")...); err == nil || strings.Contains(out, "money") {
		t.Errorf("the bank is trusted\n%s", out)
	}
}

func (n *inspection) openssl(t *testing.T) {
	t.Helper()
	openssl := needs(t, "openssl")
	args := func(name string) []string {
		return []string{"s_client", "-proxy", n.gateway.proxy, "-connect", name + ":443", "-servername", name, "-verify_hostname", name, "-CAfile", n.root, "-verify_return_error", "-x509_strict", "-brief"}
	}
	if out, err := n.try(nil, openssl, args(oemHost)...); err != nil || !strings.Contains(out, "Verification: OK") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := n.try(nil, openssl, args("bank.example")...); err == nil || !strings.Contains(out, "permitted subtree violation") {
		t.Errorf("the bank: %v\n%s", err, out)
	}
}

const pythonClient = `
import http.client, ssl, sys
proxy, root, name = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
c = http.client.HTTPSConnection(*proxy.rsplit(":", 1), context=context, timeout=30)
c.set_tunnel(name, 443)
c.request("GET", "/a")
print(c.getresponse().status)
`

func (n *inspection) python(t *testing.T) {
	t.Helper()
	python := needs(t, "python3")
	if out, err := n.try(nil, python, "-c", pythonClient, n.gateway.proxy, n.root, oemHost); err != nil || strings.TrimSpace(out) != "200" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := n.try(nil, python, "-c", pythonClient, n.gateway.proxy, n.root, "bank.example"); err == nil || !strings.Contains(out, "CERTIFICATE_VERIFY_FAILED") {
		t.Errorf("the bank: %v\n%s", err, out)
	}
}

// chromium drives a headless browser that trusts the root by its own database.
func (n *inspection) chromium(t *testing.T) {
	t.Helper()
	chromium, certutil := needs(t, "chromium"), needs(t, "certutil")
	home := t.TempDir()
	db := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "gracegate", "-t", "C,,", "-i", n.root}} {
		if out, err := n.try(nil, certutil, append(args, "-d", "sql:"+db)...); err != nil {
			t.Fatalf("certutil: %v\n%s", err, out)
		}
	}
	dump := func(target string) string {
		out, err := n.try([]string{"HOME=" + home}, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
			"--user-data-dir="+filepath.Join(home, "profile"), "--proxy-server=http://"+n.gateway.proxy, "--dump-dom", target)
		if err != nil {
			t.Logf("chromium %s: %v", target, err)
		}
		return out
	}
	if out := dump("https://" + oemHost + "/a"); !strings.Contains(out, "the origin's /a") {
		t.Errorf("not accepted:\n%s", out)
	}
	if out := dump("https://" + oemHost + "/v6/a"); !strings.Contains(out, "modelled on") {
		t.Errorf("no page:\n%s", out)
	}
	if out := dump("https://bank.example/"); strings.Contains(out, "your money") || !strings.Contains(out, "ERR_CERT") {
		t.Errorf("the bank:\n%s", out)
	}
}
