package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io/fs"
	"math/big"
	randv2 "math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/gracegate/gracegate/policy/host"
)

func zones(names ...string) []host.Name {
	list := make([]host.Name, len(names))
	for i, n := range names {
		list[i] = host.MustParse(n)
	}
	return list
}

func storeAt(dir string) Store { return Store{Dir: dir} }

// newCA makes a CA for upd.kaspersky.com and kav8.zonealarm.com.
func newCA(tb testing.TB) (ca *CA, dir string) {
	tb.Helper()
	dir = filepath.Join(tb.TempDir(), "ca")
	ca, err := storeAt(dir).Init(zones("upd.kaspersky.com", "kav8.zonealarm.com"), start)
	if err != nil {
		tb.Fatal(err)
	}
	return ca, dir
}

func TestInit(t *testing.T) {
	t.Parallel()
	made, dir := newCA(t)
	ca, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.Root().Equal(made.Root()) || !ca.Intermediate().Equal(made.Intermediate()) {
		t.Error("another CA was read than was written")
	}
	c := ca.Intermediate()
	if !c.PermittedDNSDomainsCritical || fmt.Sprint(c.PermittedDNSDomains) != "[kav8.zonealarm.com upd.kaspersky.com]" || len(c.ExcludedIPRanges) != 2 {
		t.Errorf("constraints %v, critical %v, without %v", c.PermittedDNSDomains, c.PermittedDNSDomainsCritical, c.ExcludedIPRanges)
	}
	if !c.MaxPathLenZero || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
		t.Errorf("path length %d, usage %v", c.MaxPathLen, c.ExtKeyUsage)
	}
	if got := ca.RenewBy(); !got.Equal(start.Add(IntermediateLifetime - RenewBefore)) {
		t.Errorf("renew by %v", got)
	}
	if fmt.Sprint(ca.Zones()) != "[kav8.zonealarm.com upd.kaspersky.com]" {
		t.Errorf("zones %v", ca.Zones())
	}
	for name, mode := range map[string]fs.FileMode{"root.pem": 0o644, "root.key": 0o600, "intermediate.pem": 0o644, "intermediate.key": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || runtime.GOOS != "windows" && info.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 5 { // with the lock
		t.Errorf("%d files: %v", len(list), list)
	}
	other, _ := newCA(t)
	if other.Root().Subject.String() == ca.Root().Subject.String() || other.Root().PublicKey.(*ecdsa.PublicKey).Equal(ca.Root().PublicKey) ||
		other.Intermediate().PublicKey.(*ecdsa.PublicKey).Equal(c.PublicKey) || c.PublicKey.(*ecdsa.PublicKey).Equal(ca.Root().PublicKey) {
		t.Error("two CAs share a name or a key")
	}
}

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	many := make([]host.Name, MaxZones+1)
	for i := range many {
		many[i] = host.MustParse(fmt.Sprintf("z%d.example", i))
	}
	for want, list := range map[string][]host.Name{
		"make a certificate of": longZones(MaxZones), "no zones": nil, "at most 1000": many, `zone "192.0.2.1": want a domain name`: zones("example.org", "192.0.2.1"),
	} {
		dir := filepath.Join(t.TempDir(), "ca")
		if _, err := storeAt(dir).Init(list, start); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was written", want)
		}
	}
	_, dir := newCA(t)
	if _, err := storeAt(dir).Init(zones("example.org"), start); err == nil || !strings.Contains(err.Error(), "there is a CA already") {
		t.Errorf("a second time: %v", err)
	}
}

// TestOfflineRoot wants the gateway to run without the root's key, and a renewal to need it.
func TestOfflineRoot(t *testing.T) {
	t.Parallel()
	dir, offline := filepath.Join(t.TempDir(), "ca"), filepath.Join(t.TempDir(), "stick")
	if _, err := (Store{Dir: dir, RootKeyDir: offline}).Init(zones("example.org"), start); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "root.key")); err == nil {
		t.Error("the root's key is beside the rest")
	}
	before, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	later := start.Add(300 * 24 * time.Hour)
	if _, err := storeAt(dir).Renew(zones("example.org"), later); err == nil || !strings.Contains(hint(err), "--offline-root") {
		t.Errorf("without the key: %v", err)
	}
	if _, err := (Store{Dir: dir, RootKeyDir: offline}).Renew(zones("example.org", "example.net"), later); err != nil {
		t.Fatal(err)
	}
	after, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !after.Root().Equal(before.Root()) || after.Intermediate().Equal(before.Intermediate()) || !after.Permits(host.MustParse("a.example.net")) ||
		!after.RenewBy().After(before.RenewBy()) {
		t.Errorf("renewed to %v until %v", after.Zones(), after.Intermediate().NotAfter)
	}
	_, other := newCA(t)
	if _, err := (Store{Dir: dir, RootKeyDir: other}).Renew(zones("example.org"), later); err == nil || !strings.Contains(err.Error(), "is not the key of root.pem") {
		t.Errorf("with another root's key: %v", err)
	}
}

func hint(err error) string {
	if file, ok := err.(*FileError); ok { //nolint:errorlint // as the functions return it
		return file.Hint
	}
	return ""
}

// TestRenewInterrupted wants one of the two pairs at every step of a renewal.
func TestRenewInterrupted(t *testing.T) {
	t.Parallel()
	_, dir := newCA(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(in(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	oldCertificate, oldKey := read("intermediate.pem"), read("intermediate.key")
	if _, err := storeAt(dir).Renew(zones("example.org"), start); err != nil {
		t.Fatal(err)
	}
	newCertificate, newKey := read("intermediate.pem"), read("intermediate.key")
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(in(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("intermediate.pem", oldCertificate)
	write("intermediate.key", oldKey)
	write("intermediate.key.new", newKey)
	if ca, err := Load(dir); err != nil || ca.Permits(host.MustParse("example.org")) {
		t.Errorf("with the new key staged: %v", err)
	}
	write("intermediate.pem", newCertificate)
	if ca, err := Load(dir); err != nil || !ca.Permits(host.MustParse("example.org")) {
		t.Errorf("with the new certificate in place: %v", err)
	}
	if err := os.Remove(in("intermediate.key.new")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "not that of the certificate") {
		t.Errorf("with keys mixed up: %v", err)
	}
}

// TestRenewInterruptedTwice ends a renewal after each of its steps, and the next one too: there is a pair all the time.
func TestRenewInterruptedTwice(t *testing.T) {
	t.Parallel()
	const steps = 4
	for first := range steps + 1 {
		for second := range steps + 1 {
			_, dir := newCA(t)
			root, err := readCertificate(RootFile(dir))
			if err != nil {
				t.Fatal(err)
			}
			rootKey, err := readKey(filepath.Join(dir, rootPrivateKey))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{first, second} {
				c, key, err := newIntermediate(root, rootKey, zones("example.org"), start)
				if err != nil {
					t.Fatal(err)
				}
				all := intermediateSteps(dir, c, key)
				if len(all) != steps {
					t.Fatalf("%d steps, want %d", len(all), steps)
				}
				for _, step := range all[:n] {
					if err := step(); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := Load(dir); err != nil {
					t.Errorf("ended after %d and %d steps: %v", first, second, err)
				}
			}
			if ca, err := storeAt(dir).Renew(zones("example.net"), start); err != nil || !ca.Permits(host.MustParse("example.net")) {
				t.Errorf("renewed after %d and %d steps: %v", first, second, err)
			}
			if ca, err := Load(dir); err != nil || !ca.Permits(host.MustParse("example.net")) {
				t.Errorf("read after %d and %d steps: %v", first, second, err)
			}
		}
	}
}

// TestInitInterrupted wants what an ended init left behind called by its name: ca renew could do nothing with it.
func TestInitInterrupted(t *testing.T) {
	t.Parallel()
	for _, left := range []string{rootPrivateKey, intermediatePrivateKey, intermediateCertificate} {
		_, from := newCA(t)
		dir := filepath.Join(t.TempDir(), "ca")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		(&files{t, dir}).copyFrom(from, left)
		if _, err := Load(dir); err == nil {
			t.Errorf("%s: taken for a CA", left)
		}
		_, err := storeAt(dir).Init(zones("example.org"), start)
		if err == nil || !strings.Contains(err.Error(), left+": is left of another CA or of an init that was interrupted") || !strings.HasPrefix(hint(err), "move it away") {
			t.Errorf("%s: %v (hint %q)", left, err, hint(err))
		}
		if err := os.Remove(filepath.Join(dir, left)); err != nil {
			t.Fatal(err)
		}
		if _, err := storeAt(dir).Init(zones("example.org"), start); err != nil {
			t.Errorf("%s: moved away, and then %v", left, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(t *files)
		want   string
	}{
		{"nothing there", func(t *files) { t.remove("root.pem") }, "root.pem: no such file or directory"},
		{"no intermediate", func(t *files) { t.remove("intermediate.pem") }, "intermediate.pem: no such file or directory"},
		{"no key", func(t *files) { t.remove("intermediate.key") }, "intermediate.key: no such file or directory"},
		{"wide key", func(t *files) { t.chmod("intermediate.key", 0o640) }, "has the mode 0640: others could read the key"},
		{"garbage", func(t *files) { t.replace("root.pem", []byte("garbage")) }, "root.pem: holds no CERTIFICATE in PEM"},
		{"bad certificate", func(t *files) {
			t.replace("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
		}, "root.pem: is no certificate"},
		{"key of another CA", func(t *files) {
			_, other := newCA(t.T)
			t.copyFrom(other, "intermediate.key")
		}, "intermediate.key: the key is not that of the certificate"},
		{"root of another CA", func(t *files) {
			_, other := newCA(t.T)
			t.copyFrom(other, "root.pem")
		}, "was not signed by"},
		{"outlives its root", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.NotAfter = start.Add(RootLifetime + time.Second) })
		}, "and its root from"},
		{"older than its root", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.NotBefore = start.Add(-BackDate - time.Second) })
		}, "and its root from"},
		{"RSA", func(t *files) {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				t.Fatal(err)
			}
			der, _ := x509.MarshalPKCS8PrivateKey(key)
			t.replace("intermediate.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		}, "another kind than ECDSA P-256"},
		{"no constraints", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.PermittedDNSDomains = nil })
		}, "has no critical name constraints"},
		{"constraints not critical", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = false })
		}, "has no critical name constraints"},
		{"addresses", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.ExcludedIPRanges = c.ExcludedIPRanges[:1] })
		}, "could sign for addresses"},
		{"names excluded", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"s01.upd.kaspersky.com"} })
		}, `excludes "s01.upd.kaspersky.com"`},
		{"any use", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.ExtKeyUsage = nil })
		}, "could sign for more than servers"},
		{"another use", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		}, "or not for them"},
		{"no signing", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
		}, "may not sign certificates"},
		{"further CAs", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.MaxPathLenZero, c.MaxPathLen = false, -1 })
		}, "could make further CAs"},
		{"too large", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.PermittedDNSDomains = texts(longZones(MaxZones)) })
		}, "clients take at most 65536"},
		{"root without CAs below", func(t *files) {
			t.reroot(func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
		}, "lets no CA be below it"},
		{"root for clients", func(t *files) {
			t.reroot(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		}, "no client would accept"},
		{"constrained root", func(t *files) {
			t.reroot(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.org"} })
		}, "clients do not agree on those of a root"},
		{"no CA", func(t *files) {
			t.resign(func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false })
		}, "is no certificate of a CA"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && tc.name == "wide key" {
				t.Skip("modes say nothing here")
			}
			_, dir := newCA(t)
			tc.change(&files{t, dir})
			_, err := Load(dir)
			if err == nil || !strings.Contains(err.Error(), tc.want) || hint(err) == "" {
				t.Errorf("%v (hint %q), want %q", err, hint(err), tc.want)
			}
		})
	}
}

// files are those of a CA.
type files struct {
	*testing.T
	dir string
}

func (t *files) remove(name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(t.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (t *files) chmod(name string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(filepath.Join(t.dir, name), mode); err != nil {
		t.Fatal(err)
	}
}

func (t *files) replace(name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(t.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (t *files) copyFrom(from, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(from, name))
	if err != nil {
		t.Fatal(err)
	}
	t.replace(name, data)
}

// resign has the root sign a changed intermediate of the same key.
func (t *files) resign(change func(*x509.Certificate)) {
	t.Helper()
	root, err := readCertificate(filepath.Join(t.dir, rootCertificate))
	if err != nil {
		t.Fatal(err)
	}
	rootKey, err := readKey(filepath.Join(t.dir, rootPrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	c, err := readCertificate(filepath.Join(t.dir, intermediateCertificate))
	if err != nil {
		t.Fatal(err)
	}
	template := *c
	template.Extensions = nil
	change(&template)
	signed, err := sign(&template, root, c.PublicKey, rootKey)
	if err != nil {
		t.Fatal(err)
	}
	t.replace(intermediateCertificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed.Raw}))
}

// reroot has the root sign itself changed, with its key and name.
func (t *files) reroot(change func(*x509.Certificate)) {
	t.Helper()
	rootKey, err := readKey(filepath.Join(t.dir, rootPrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	c, err := readCertificate(filepath.Join(t.dir, rootCertificate))
	if err != nil {
		t.Fatal(err)
	}
	template := *c
	template.Extensions = nil
	change(&template)
	signed, err := sign(&template, &template, rootKey.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	t.replace(rootCertificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed.Raw}))
}

// longZones are n names of about 240 letters.
func longZones(n int) []host.Name {
	list := make([]host.Name, n)
	for i := range list {
		list[i] = host.MustParse(fmt.Sprintf("z%d", i) + strings.Repeat("."+strings.Repeat("a", 57), 4))
	}
	return list
}

func texts(names []host.Name) []string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = n.String()
	}
	return list
}

// TestConstraintsOfOtherNames: the intermediate can sign for no mail address and no URI, not even nowhere's.
func TestConstraintsOfOtherNames(t *testing.T) {
	t.Parallel()
	ca, _ := newCA(t)
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca.Root())
	intermediates.AddCert(ca.Intermediate())
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"bank.example", "upd.kaspersky.com", nowhere} {
		for kind, change := range map[string]func(*x509.Certificate){
			"mail": func(c *x509.Certificate) { c.EmailAddresses = []string{"someone@" + at} },
			"URI":  func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "https", Host: at, Path: "/"}} },
		} {
			template := &x509.Certificate{
				SerialNumber: big.NewInt(1), NotBefore: start, NotAfter: start.Add(time.Hour), DNSNames: []string{"upd.kaspersky.com"},
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			}
			for _, want := range []bool{true, false} { // without it, and with it
				leaf, err := sign(template, ca.Intermediate(), key.Public(), ca.under.key)
				if err != nil {
					t.Fatal(err)
				}
				_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: start})
				if (err == nil) != want {
					t.Errorf("%s at %s: %v", kind, at, err)
				}
				change(template)
			}
		}
	}
}

// TestPublicCA wants the digest to be that of the CA in the library's own source.
func TestPublicCA(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/elazarl/goproxy").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "certs.go"))
	if err != nil {
		t.Fatal(err)
	}
	from := bytes.Index(text, []byte("-----BEGIN CERTIFICATE"))
	if from < 0 {
		t.Fatal("no certificate in goproxy's certs.go")
	}
	block, _ := pem.Decode(text[from : from+bytes.IndexByte(text[from:], '`')])
	if block == nil {
		t.Fatal("no certificate in goproxy's certs.go")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if digest := sha256.Sum256(c.RawSubjectPublicKeyInfo); hex.EncodeToString(digest[:]) != publicCA {
		t.Errorf("it is %x", digest)
	}
	if err := checkPair(c, c); err == nil || !strings.Contains(err.Error(), "private key is public") {
		t.Errorf("taken for a CA of ours: %v", err)
	}
}

// TestPermits wants Permits to agree with what crypto/x509 makes of the constraints.
func TestPermits(t *testing.T) {
	t.Parallel()
	ca, _ := newCA(t)
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca.Root())
	intermediates.AddCert(ca.Intermediate())
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	random := randv2.New(randv2.NewPCG(1, 2))
	names := []string{"upd.kaspersky.com", "kaspersky.com", "s01.upd.kaspersky.com", "xupd.kaspersky.com", "upd.kaspersky.com.example", "com", "bank.example", "192.0.2.1", "2001:db8::1"}
	labels := []string{"upd", "kaspersky", "com", "kav8", "zonealarm", "x", "upd-kaspersky"}
	for range 300 {
		var name []string
		for range 1 + random.IntN(5) {
			name = append(name, labels[random.IntN(len(labels))])
		}
		names = append(names, strings.Join(name, "."))
	}
	allowed := 0
	for _, text := range names {
		name := host.MustParse(text)
		leaf, err := ca.under.leaf(name, key.Public(), start)
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: text, CurrentTime: start})
		if ca.Permits(name) != (err == nil) {
			t.Errorf("%s: permitted %v, and a client says %v", text, ca.Permits(name), err)
		}
		if err == nil {
			allowed++
		}
	}
	if allowed == 0 || ca.Permits(host.Name{}) {
		t.Errorf("%d of %d names permitted", allowed, len(names))
	}
}

// TestWidestZones makes CAs for random zones, of which some are below others: the same names are permitted as if all of them were
// constraints, as crypto/x509 has it, and none of those that are is below another.
func TestWidestZones(t *testing.T) {
	t.Parallel()
	random := randv2.New(randv2.NewPCG(3, 4))
	name := func() host.Name {
		labels := make([]string, 1+random.IntN(4))
		for i := range labels {
			labels[i] = []string{"a", "b", "ab", "a-b"}[random.IntN(4)]
		}
		return host.MustParse(strings.Join(append(labels, "example"), "."))
	}
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	permitted, refused, dropped := 0, 0, 0
	for range 20 {
		var all []host.Name
		for range 1 + random.IntN(12) {
			all = append(all, name())
		}
		dir := filepath.Join(t.TempDir(), "ca")
		ca, err := storeAt(dir).Init(all, start)
		if err != nil {
			t.Fatal(err)
		}
		(&files{t, dir}).resign(func(c *x509.Certificate) { c.PermittedDNSDomains = texts(all) })
		twin, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		dropped += len(all) - len(ca.Zones())
		for _, z := range ca.Zones() {
			for _, other := range ca.Zones() {
				if strings.HasSuffix(z.String(), "."+other.String()) {
					t.Errorf("%s is below %s", z, other)
				}
			}
		}
		for _, n := range append(slices.Clone(all), name(), name(), name(), name()) {
			good := verifies(t, ca, n, key)
			if want := verifies(t, twin, n, key); good != want || ca.Permits(n) != want || twin.Permits(n) != want || slices.Contains(all, n) && !want {
				t.Errorf("%s in %v, of %v: %v and permitted %v, want %v", n, ca.Zones(), all, good, ca.Permits(n), want)
			}
			if good {
				permitted++
			} else {
				refused++
			}
		}
	}
	if permitted == 0 || refused == 0 || dropped == 0 {
		t.Errorf("%d names permitted, %d refused, %d zones dropped", permitted, refused, dropped)
	}
}

// verifies tells whether a client that trusts the root takes a leaf for a name.
func verifies(t *testing.T, ca *CA, name host.Name, key *ecdsa.PrivateKey) bool {
	t.Helper()
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca.Root())
	intermediates.AddCert(ca.Intermediate())
	leaf, err := ca.under.leaf(name, key.Public(), start)
	if err != nil {
		t.Fatal(err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: name.String(), CurrentTime: start})
	return err == nil
}

// TestIssuerOfCA wants a chain that leads to the root, nothing outside the zones, and leaves of the new CA after a renewal.
func TestIssuerOfCA(t *testing.T) {
	t.Parallel()
	ca, dir := newCA(t)
	now := start
	i, err := NewIssuer(ca, 4, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	var failed []host.Name
	i.Failed = func(name host.Name, _ error) { failed = append(failed, name) }
	name := host.MustParse("s01.upd.kaspersky.com")
	first, err := i.Leaf(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Certificate) != 2 || !bytes.Equal(first.Certificate[1], ca.Intermediate().Raw) {
		t.Errorf("a chain of %d", len(first.Certificate))
	}
	if _, err := i.Leaf(host.MustParse("bank.example")); err == nil || !strings.Contains(err.Error(), "outside the zones") || i.Permits(host.MustParse("bank.example")) {
		t.Errorf("the bank: %v", err)
	}
	if i.leaves.Len() != 1 || fmt.Sprint(failed) != "[bank.example]" {
		t.Errorf("%d leaves, failed %v", i.leaves.Len(), failed)
	}
	other, err := i.Leaf(host.MustParse("s02.upd.kaspersky.com"))
	if err != nil || other.PrivateKey != first.PrivateKey {
		t.Errorf("two names of a day have two keys: %v", err)
	}
	now = now.Add(keyLifetime)
	next, err := i.Leaf(host.MustParse("s03.upd.kaspersky.com"))
	if err != nil || next.PrivateKey == first.PrivateKey {
		t.Errorf("the key did not change within a day: %v", err)
	}
	renewed, err := storeAt(dir).Renew(zones("example.org"), now)
	if err != nil {
		t.Fatal(err)
	}
	i.Replace(renewed)
	if _, err := i.Leaf(name); err == nil {
		t.Error("a leaf for a name that the new CA may not sign for")
	}
	leaf, err := i.Leaf(host.MustParse("example.org"))
	if err != nil || !bytes.Equal(leaf.Certificate[1], renewed.Intermediate().Raw) {
		t.Errorf("the old chain: %v", err)
	}
}

// TestPermitsEnds: what cannot be signed for any more is not permitted, so that nobody begins a handshake that must fail.
func TestPermitsEnds(t *testing.T) {
	t.Parallel()
	ca, _ := newCA(t)
	clock := newClock()
	i, err := NewIssuer(ca, 4, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	name := host.MustParse("upd.kaspersky.com")
	for after, want := range map[time.Duration]bool{
		-BackDate - time.Second: false, -BackDate: true, 0: true, IntermediateLifetime: true, IntermediateLifetime + time.Second: false,
	} {
		clock.set(start.Add(after))
		leaf, err := i.Leaf(name)
		if got := i.Permits(name); got != want || got != (err == nil) || got != ca.ValidAt(start.Add(after)) {
			t.Errorf("%v after its making: permitted %v, want %v; the leaf: %v", after, got, want, err)
		}
		if err == nil && parsed(t, leaf).NotAfter.After(ca.Intermediate().NotAfter) {
			t.Errorf("%v after its making: a leaf until %v", after, parsed(t, leaf).NotAfter)
		}
	}
}

// TestReplaceAndSessions: a session lives on under the next CA, unless that one may not sign for its name.
func TestReplaceAndSessions(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ca, dir := newCA(t)
		i, err := NewIssuer(ca, 4, newClock().now)
		if err != nil {
			t.Fatal(err)
		}
		address := serve(t, i.ServerConfig())
		config := client(ca.under, "upd.kaspersky.com")
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AddCert(ca.Root())
		config.MaxVersion = version
		for n, step := range []struct {
			zone             string
			resumed, refused bool
		}{{"upd.kaspersky.com", false, false}, {"kaspersky.com", true, false}, {"example.org", false, true}} {
			renewed, err := storeAt(dir).Renew(zones(step.zone), start)
			if err != nil {
				t.Fatal(err)
			}
			i.Replace(renewed)
			state, err := connect(t, address, config)
			if state.DidResume != step.resumed || (err != nil) != step.refused {
				t.Errorf("%s, connection %d: resumed %v, %v", tls.VersionName(version), n+1, state.DidResume, err)
			}
		}
	}
}

// TestManyLeaves bounds what 10,000 leaves take: 60 MiB is what a gateway may take for them.
func TestManyLeaves(t *testing.T) {
	ca, _ := newCA(t)
	i, err := NewIssuer(ca, 10_000, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for n := range 10_000 {
		if _, err := i.Leaf(host.MustParse(fmt.Sprintf("host-%d.upd.kaspersky.com", n))); err != nil {
			t.Fatal(err)
		}
	}
	used := heap() - before
	t.Logf("10,000 leaves take %d KiB", used>>10)
	if used > 60<<20 || i.leaves.Len() != 10_000 {
		t.Errorf("%d leaves take %d MiB", i.leaves.Len(), used>>20)
	}
}

// TestManyNames asks for far more names than there is room for: no more leaves are kept than that, and the others leave memory.
func TestManyNames(t *testing.T) {
	t.Parallel()
	const names, room = 5000, 100
	ca, _ := newCA(t)
	i, err := NewIssuer(ca, room, func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	leaves := make([]weak.Pointer[tls.Certificate], names)
	for n := range leaves {
		leaf, err := i.Leaf(host.MustParse(fmt.Sprintf("host-%d.upd.kaspersky.com", n)))
		if err != nil {
			t.Fatal(err)
		}
		leaves[n] = weak.Make(leaf)
		if kept := i.leaves.Len(); kept != min(n+1, room) {
			t.Fatalf("%d leaves are kept after %d names, with room for %d", kept, n+1, room)
		}
	}
	runtime.GC()
	var alive []int
	for n, leaf := range leaves {
		if leaf.Value() != nil {
			alive = append(alive, n)
		}
	}
	if len(alive) != room || alive[0] != names-room {
		t.Errorf("%d leaves are in memory, from number %v on; want the last %d", len(alive), alive[:min(1, len(alive))], room)
	}
	runtime.KeepAlive(i)
}

func TestExport(t *testing.T) {
	t.Parallel()
	ca, _ := newCA(t)
	der, err := Export(ca.Root(), DER)
	if err != nil || !bytes.Equal(der, ca.Root().Raw) {
		t.Errorf("DER: %v", err)
	}
	text, err := Export(ca.Root(), PEM)
	if block, rest := pem.Decode(text); err != nil || block == nil || len(rest) > 0 || !bytes.Equal(block.Bytes, der) {
		t.Errorf("PEM: %v", err)
	}
	profile, err := Export(ca.Root(), MobileConfig)
	if err != nil {
		t.Fatal(err)
	}
	var plist struct {
		Data   string   `xml:"dict>array>dict>data"`
		Texts  []string `xml:"dict>array>dict>string"`
		Outer  []string `xml:"dict>string"`
		Number int      `xml:"dict>integer"`
	}
	if err := xml.Unmarshal(profile, &plist); err != nil {
		t.Fatalf("%v\n%s", err, profile)
	}
	if got, err := base64.StdEncoding.DecodeString(plist.Data); err != nil || !bytes.Equal(got, der) {
		t.Errorf("the profile holds another certificate: %v", err)
	}
	if all := strings.Join(append(plist.Texts, plist.Outer...), " "); !strings.Contains(all, "com.apple.security.root") || !strings.Contains(all, ca.Root().Subject.CommonName) || plist.Number != 1 {
		t.Errorf("the profile says %s", all)
	}
	if again, _ := Export(ca.Root(), MobileConfig); !bytes.Equal(again, profile) {
		t.Error("the same root gives another profile")
	}
	if _, err := Export(ca.Root(), "p12"); err == nil || !strings.Contains(err.Error(), "want pem, der or mobileconfig") {
		t.Errorf("p12: %v", err)
	}
}

// TestOpenSSLConstraints asks another implementation about the bank.
func TestOpenSSLConstraints(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed: it does not judge the constraints")
	}
	dir := filepath.Join(t.TempDir(), "ca")
	ca, err := storeAt(dir).Init(zones("upd.kaspersky.com"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, good := range map[string]bool{"s01.upd.kaspersky.com": true, "bank.example": false, "192.0.2.1": false} {
		leaf, err := ca.under.leaf(host.MustParse(name), key.Public(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		(&files{t, dir}).replace("leaf.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
		in := func(name string) string { return filepath.Join(dir, name) }
		out, err := exec.CommandContext(t.Context(), program, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", in("root.pem"), "-untrusted", in("intermediate.pem"), in("leaf.pem")).CombinedOutput()
		if (err == nil) != good {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func BenchmarkMint(b *testing.B) {
	ca, _ := newCA(b)
	key, err := newKey()
	if err != nil {
		b.Fatal(err)
	}
	name := host.MustParse("s01.upd.kaspersky.com")
	for b.Loop() {
		if _, err := ca.under.leaf(name, key.Public(), start); err != nil {
			b.Fatal(err)
		}
	}
}
