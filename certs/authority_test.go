package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gracegate/gracegate/policy/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when the authorities of the tests are made.
var start = time.Date(2024, 9, 28, 12, 0, 0, 0, time.UTC)

const year = 365 * 24 * time.Hour

func newAuthority(tb testing.TB) *Authority {
	tb.Helper()
	return newAuthorityFor(tb, year)
}

func newAuthorityFor(tb testing.TB, validity time.Duration) *Authority {
	tb.Helper()
	a, err := NewAuthority("gracegate test", start, validity)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func TestNewAuthority(t *testing.T) {
	t.Parallel()
	root := newAuthority(t).Certificate()
	if !root.IsCA || !root.BasicConstraintsValid || root.MaxPathLen != 0 || !root.MaxPathLenZero {
		t.Errorf("CA %v, constraints %v, path length %d: want a CA for leaves only", root.IsCA, root.BasicConstraintsValid, root.MaxPathLen)
	}
	if root.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || len(root.ExtKeyUsage) != 0 {
		t.Errorf("key usage %b, extended %v", root.KeyUsage, root.ExtKeyUsage)
	}
	if root.Subject.String() != "CN=gracegate test" || root.Issuer.String() != "CN=gracegate test" {
		t.Errorf("subject %s, issuer %s", root.Subject, root.Issuer)
	}
	if !root.NotBefore.Equal(start.Add(-BackDate)) || !root.NotAfter.Equal(start.Add(year)) {
		t.Errorf("valid from %v until %v", root.NotBefore, root.NotAfter)
	}
	if len(root.SubjectKeyId) == 0 {
		t.Error("no subject key identifier")
	}
	if key, ok := root.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("public key %T, want ECDSA P-256", root.PublicKey)
	}
	if err := root.CheckSignatureFrom(root); err != nil {
		t.Error(err)
	}
}

func TestNewAuthorityRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		validity time.Duration
		want     string
	}{
		{"", year, `certs: common name "" of the authority: want 1 to 64 characters of UTF-8`},
		{strings.Repeat("é", 65), year, "want 1 to 64 characters"},
		{"\xff", year, `common name "\xff"`},
		{"gracegate", 0, "certs: validity 0s of the authority: want a positive duration"},
		{"gracegate", -time.Second, "validity -1s"},
	} {
		if _, err := NewAuthority(tc.name, start, tc.validity); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("NewAuthority(%q, %v) gives %v, want %q", tc.name, tc.validity, err, tc.want)
		}
	}
	if _, err := NewAuthority(strings.Repeat("é", 64), start, time.Second); err != nil {
		t.Errorf("64 characters: %v", err)
	}
}

func TestAuthorityPEM(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	block, rest := pem.Decode(a.PEM())
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 || !bytes.Equal(block.Bytes, a.Certificate().Raw) {
		t.Errorf("not exactly the root: %s", a.PEM())
	}
}

// names are hosts of every kind that has a canonical form.
var names = []string{
	"s01.upd.kaspersky.com",
	"localhost",
	"_dmarc.under_score.example",
	"xn--bcher-kva.example",
	strings.Repeat(strings.Repeat("a", 60)+".", 4) + "example",
	"192.0.2.7",
	"2001:db8::7",
}

func TestLeafShape(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	now := start.Add(30 * 24 * time.Hour)
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range names {
		name := host.MustParse(text)
		leaf, err := a.leaf(name, key.Public(), now)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(leaf.DNSNames) + len(leaf.IPAddresses) + len(leaf.URIs) + len(leaf.EmailAddresses); n != 1 {
			t.Errorf("%s: %d alternative names, want 1", text, n)
		}
		if name.IsAddr() && (len(leaf.IPAddresses) != 1 || leaf.IPAddresses[0].String() != text) {
			t.Errorf("%s: addresses %v", text, leaf.IPAddresses)
		}
		if !name.IsAddr() && (len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != text) {
			t.Errorf("%s: names %v", text, leaf.DNSNames)
		}
		common := text
		if len(text) > 64 {
			common = ""
		}
		if got := leaf.Subject.CommonName; got != common {
			t.Errorf("%s: common name %q, want %q", text, got, common)
		}
		if leaf.KeyUsage != x509.KeyUsageDigitalSignature || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
			t.Errorf("%s: key usage %b, extended %v", text, leaf.KeyUsage, leaf.ExtKeyUsage)
		}
		if leaf.IsCA || !leaf.BasicConstraintsValid {
			t.Errorf("%s: CA %v, constraints %v", text, leaf.IsCA, leaf.BasicConstraintsValid)
		}
		if !leaf.NotBefore.Equal(now.Add(-BackDate)) || !leaf.NotAfter.Equal(now.Add(LeafLifetime)) {
			t.Errorf("%s: valid from %v until %v", text, leaf.NotBefore, leaf.NotAfter)
		}
		if !bytes.Equal(leaf.AuthorityKeyId, a.Certificate().SubjectKeyId) {
			t.Errorf("%s: authority key identifier %x, want %x", text, leaf.AuthorityKeyId, a.Certificate().SubjectKeyId)
		}
		verify(t, a, leaf, text, now)
	}
}

// verify lets crypto/x509 judge the leaf as a client would, and wants it to refuse another name.
func verify(tb testing.TB, a *Authority, leaf *x509.Certificate, name string, now time.Time) {
	tb.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	options := x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}
	if _, err := leaf.Verify(options); err != nil {
		tb.Errorf("%s: %v", name, err)
	}
	options.DNSName = "other.example"
	if _, err := leaf.Verify(options); err == nil {
		tb.Errorf("the leaf for %s is good for other.example", name)
	}
}

// TestLeafWithinAuthority wants no leaf that outlives its root, and none from a root that is not valid.
func TestLeafWithinAuthority(t *testing.T) {
	t.Parallel()
	a := newAuthorityFor(t, 48*time.Hour)
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	name := host.MustParse("example.org")
	for _, now := range []time.Time{start.Add(-BackDate), start, start.Add(47 * time.Hour), start.Add(48 * time.Hour)} {
		leaf, err := a.leaf(name, key.Public(), now)
		if err != nil {
			t.Fatalf("at %v: %v", now, err)
		}
		if leaf.NotBefore.Before(a.root.NotBefore) || leaf.NotAfter.After(a.root.NotAfter) {
			t.Errorf("at %v: the leaf is valid from %v until %v", now, leaf.NotBefore, leaf.NotAfter)
		}
		verify(t, a, leaf, name.String(), now)
	}
	for _, now := range []time.Time{start.Add(-BackDate - time.Second), start.Add(48*time.Hour + time.Second)} {
		_, err := a.leaf(name, key.Public(), now)
		want := `certs: leaf for example.org: the authority "gracegate test" is valid from 2024-09-28T11:00:00Z until 2024-09-30T12:00:00Z and now is ` + stamp(now) + ": make a new authority or set the clock"
		if err == nil || err.Error() != want {
			t.Errorf("at %v: %v, want %s", now, err, want)
		}
	}
}

func TestSerialsAreRandom(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	longest := 0
	for range 64 {
		serial, err := newSerial()
		if err != nil {
			t.Fatal(err)
		}
		seen[serial.String()] = true
		longest = max(longest, serial.BitLen())
	}
	if len(seen) != 64 || longest < 112 || longest > 128 {
		t.Errorf("%d different serials of 64, the longest has %d bits", len(seen), longest)
	}
}

// TestOpenSSLVerifies asks another implementation, which is stricter about the form of certificates.
func TestOpenSSLVerifies(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: it does not verify a leaf")
	}
	a, err := NewAuthority("gracegate test", time.Now(), year)
	if err != nil {
		t.Fatal(err)
	}
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	root := filepath.Join(directory, "root.pem")
	if err := os.WriteFile(root, a.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, text := range names {
		name := host.MustParse(text)
		leaf, err := a.leaf(name, key.Public(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(directory, string(rune('a'+i))+".pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		match := "-verify_hostname"
		if name.IsAddr() {
			match = "-verify_ip"
		}
		out, err := exec.CommandContext(t.Context(), program, "verify", "-x509_strict", "-purpose", "sslserver", match, text, "-CAfile", root, file).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", text, err, out)
		}
	}
}
