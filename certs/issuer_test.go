package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// clock is a time that tests set.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.set(start)
	return c
}

func (c *clock) now() time.Time  { return time.Unix(0, c.nanos.Load()) }
func (c *clock) set(t time.Time) { c.nanos.Store(t.UnixNano()) }

func newIssuer(tb testing.TB, a *Authority, size int, now func() time.Time) *Issuer {
	tb.Helper()
	i, err := NewIssuer(a, size, now)
	if err != nil {
		tb.Fatal(err)
	}
	return i
}

// parsed reads a leaf.
func parsed(tb testing.TB, c *tls.Certificate) *x509.Certificate {
	tb.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		tb.Fatal(err)
	}
	return leaf
}

func leafFor(tb testing.TB, i *Issuer, name string) *tls.Certificate {
	tb.Helper()
	leaf, err := i.Leaf(host.MustParse(name))
	if err != nil {
		tb.Fatal(err)
	}
	return leaf
}

// countingSigner stands for the key of an authority. If gate is set, it waits for it before it signs.
type countingSigner struct {
	crypto.Signer
	count atomic.Int64
	gate  chan struct{}
}

func (s *countingSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.count.Add(1)
	if s.gate != nil {
		<-s.gate
	}
	return s.Signer.Sign(r, digest, opts)
}

// counted makes an authority whose signatures are counted.
func counted(tb testing.TB) (*Authority, *countingSigner) {
	tb.Helper()
	a := newAuthority(tb)
	signer := &countingSigner{Signer: a.key}
	a.key = signer
	return a, signer
}

func TestNewIssuerRefuses(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, -1} {
		want := fmt.Sprintf("certs: room for %d leaves: want at least 1", size)
		if _, err := NewIssuer(newAuthority(t), size, nil); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestIssuerSystemClock(t *testing.T) {
	t.Parallel()
	a, err := NewAuthority("gracegate test", time.Now(), year)
	if err != nil {
		t.Fatal(err)
	}
	leaf := parsed(t, leafFor(t, newIssuer(t, a, 1, nil), "example.org"))
	verify(t, a, leaf, "example.org", time.Now())
}

// TestLeavesDiffer: nothing about a leaf may follow from its name alone.
func TestLeavesDiffer(t *testing.T) {
	t.Parallel()
	a, now := newAuthority(t), newClock().now
	one, two := newIssuer(t, a, 1, now), newIssuer(t, a, 1, now)
	first, other := leafFor(t, one, "example.org"), leafFor(t, two, "example.org")
	if one.key.Equal(two.key) {
		t.Error("two issuers have the same key")
	}
	if parsed(t, first).SerialNumber.Cmp(parsed(t, other).SerialNumber) == 0 {
		t.Error("two issuers gave the same serial number")
	}
	leafFor(t, one, "example.com") // the first leaf leaves the cache
	if again := leafFor(t, one, "example.org"); parsed(t, again).SerialNumber.Cmp(parsed(t, first).SerialNumber) == 0 {
		t.Error("two mints for one name have the same serial number")
	}
	if len(first.Certificate) != 1 {
		t.Errorf("%d certificates in the chain, want the leaf alone", len(first.Certificate))
	}
}

// TestLeafRenewal walks through the life of a leaf: it is used until its last seventh begins, and not before its first
// instant.
func TestLeafRenewal(t *testing.T) {
	t.Parallel()
	a, signer := counted(t)
	clock := newClock()
	i := newIssuer(t, a, 8, clock.now)
	lifetime := BackDate + LeafLifetime
	renew := start.Add(LeafLifetime - lifetime/renewalShare)
	for _, step := range []struct {
		name  string
		at    time.Time
		mints int64
	}{
		{"first", start, 1},
		{"again", start, 1},
		{"before the last seventh", renew.Add(-time.Second), 1},
		{"in the last seventh", renew, 2},
		{"with the new leaf", start.Add(LeafLifetime), 2},
		{"long after", start.Add(100 * 24 * time.Hour), 3},
		{"clock set back to the first instant", start.Add(100*24*time.Hour - BackDate), 3},
		{"clock set back further", start.Add(100*24*time.Hour - BackDate - time.Second), 4},
	} {
		clock.set(step.at)
		leaf := parsed(t, leafFor(t, i, "example.org"))
		verify(t, a, leaf, "example.org", step.at)
		if got := signer.count.Load(); got != step.mints {
			t.Errorf("%s: %d signatures, want %d", step.name, got, step.mints)
		}
		if rest := leaf.NotAfter.Sub(step.at); rest < 24*time.Hour {
			t.Errorf("%s: the leaf ends in %v", step.name, rest)
		}
	}
}

// TestLeafOfShortAuthority: a leaf is as short as its authority, and is still kept for most of that.
func TestLeafOfShortAuthority(t *testing.T) {
	t.Parallel()
	a, signer := counted(t)
	a.root.NotAfter = start.Add(2 * time.Hour)
	clock := newClock()
	i := newIssuer(t, a, 8, clock.now)
	for _, after := range []time.Duration{0, time.Hour, 90 * time.Minute} {
		clock.set(start.Add(after))
		leafFor(t, i, "example.org")
	}
	if got := signer.count.Load(); got != 1 {
		t.Errorf("%d signatures within 90 of 120 minutes, want 1", got)
	}
	clock.set(start.Add(3 * time.Hour))
	if _, err := i.Leaf(host.MustParse("example.org")); err == nil || !strings.Contains(err.Error(), "make a new authority") {
		t.Errorf("after the authority has ended: %v", err)
	}
}

func TestLeafMintsOnce(t *testing.T) {
	t.Parallel()
	a, signer := counted(t)
	synctest.Test(t, func(t *testing.T) {
		signer.gate = make(chan struct{})
		i := newIssuer(t, a, 8, newClock().now)
		leaves := make([]*tls.Certificate, 50)
		var all sync.WaitGroup
		for n := range leaves {
			all.Go(func() { leaves[n] = leafFor(t, i, "example.org") })
		}
		synctest.Wait() // all of them ask before there is a leaf
		close(signer.gate)
		all.Wait()
		for _, leaf := range leaves {
			if leaf != leaves[0] {
				t.Fatal("not all got the same leaf")
			}
		}
	})
	if got := signer.count.Load(); got != 1 {
		t.Errorf("%d signatures, want 1", got)
	}
}

// TestLeafConcurrently is for the race detector: many names in a small cache, with the clock moving on.
func TestLeafConcurrently(t *testing.T) {
	t.Parallel()
	clock := newClock()
	i := newIssuer(t, newAuthority(t), 3, clock.now)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for m := range 20 {
				name := fmt.Sprintf("h%d.example", (n+m)%6)
				if leaf := leafFor(t, i, name); parsed(t, leaf).DNSNames[0] != name {
					t.Errorf("%s got the leaf for %s", name, parsed(t, leaf).DNSNames[0])
				}
				clock.set(start.Add(time.Duration(m) * 24 * time.Hour))
			}
		})
	}
	all.Wait()
	if n := i.leaves.Len(); n > 3 {
		t.Errorf("%d leaves are kept, want at most 3", n)
	}
}

func TestLeafKeepsTheMostRecentlyUsed(t *testing.T) {
	t.Parallel()
	a, signer := counted(t)
	i := newIssuer(t, a, 2, newClock().now)
	for _, step := range []struct {
		name  string
		mints int64
	}{
		{"a.example", 1},
		{"b.example", 2},
		{"a.example", 2},
		{"c.example", 3}, // b goes
		{"a.example", 3},
		{"b.example", 4}, // c goes
		{"a.example", 4},
	} {
		leafFor(t, i, step.name)
		if got := signer.count.Load(); got != step.mints || i.leaves.Len() > 2 {
			t.Fatalf("%s: %d signatures, %d leaves; want %d and at most 2", step.name, got, i.leaves.Len(), step.mints)
		}
	}
}

func TestLeafSignFails(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.key = brokenSigner{a.key}
	i := newIssuer(t, a, 1, newClock().now)
	var told []string
	i.Failed = func(name host.Name, err error) { told = append(told, fmt.Sprint(name, ": ", err)) }
	_, err := i.Leaf(host.MustParse("example.org"))
	if len(told) != 1 || told[0] != fmt.Sprint("example.org: ", err) {
		t.Errorf("told of %q", told)
	}
	if !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "certs: leaf for example.org: sign: ") {
		t.Errorf("%v, want %v", err, errBroken)
	}
	if i.leaves.Len() != 0 {
		t.Error("a leaf that was not signed is kept")
	}
}

var errBroken = errors.New("the key is broken")

type brokenSigner struct{ crypto.Signer }

func (brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errBroken }

// connectionAt is a connection of which only the local address is asked.
type connectionAt struct {
	net.Conn
	address net.Addr
}

func (c connectionAt) LocalAddr() net.Addr { return c.address }

func TestGetCertificate(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, newAuthority(t), 8, newClock().now)
	at := func(address net.Addr) net.Conn { return connectionAt{address: address} }
	for _, tc := range []struct {
		name string
		conn net.Conn
		want string
	}{
		{"S01.UPD.Kaspersky.COM", nil, "s01.upd.kaspersky.com"},
		{"example.org.", nil, "example.org"},
		{"bücher.example", nil, "xn--bcher-kva.example"},
		{"192.0.2.7", nil, "192.0.2.7"},
		{"", at(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}), "127.0.0.1"},
		{"", at(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 443}), "fe80::1"},
		{"example.org", at(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}), "example.org"},
	} {
		leaf, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: tc.name, Conn: tc.conn})
		if err != nil {
			t.Errorf("%q: %v", tc.name, err)
			continue
		}
		if err := parsed(t, leaf).VerifyHostname(tc.want); err != nil {
			t.Errorf("%q: %v", tc.name, err)
		}
	}
}

func TestGetCertificateRefuses(t *testing.T) {
	t.Parallel()
	a, signer := counted(t)
	i := newIssuer(t, a, 8, newClock().now)
	for _, name := range []string{
		"*.example.org", "a..example", ".", "a b.example", "user@example.org", "example.org:443", "example.org/x",
		"example.org\x00.evil.example", "%65xample.org", "127.1", "0x7f000001", "fe80::1%eth0", "-a.example",
		strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example",
	} {
		if leaf, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); err == nil {
			t.Errorf("%q: got a leaf for %v", name, parsed(t, leaf).DNSNames)
		} else if !strings.HasPrefix(err.Error(), "certs: server name of the client: ") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for want, hello := range map[string]*tls.ClientHelloInfo{
		"certs: the client names no server and has no connection":                                    {},
		`certs: the client names no server and is connected to "pipe", which is no address and port`: {Conn: connectionAt{address: pipeAddr{}}},
	} {
		if _, err := i.GetCertificate(hello); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := i.Leaf(host.Name{}); err == nil || err.Error() != "certs: leaf for no name: a host is needed" {
		t.Errorf("the zero name: %v", err)
	}
	if n := signer.count.Load(); n != 0 {
		t.Errorf("%d signatures for what was refused", n)
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// FuzzGetCertificate: whatever a client sends as a server name is refused or gets a leaf for its one canonical form.
func FuzzGetCertificate(f *testing.F) {
	a := newAuthority(f)
	clock := newClock()
	i := newIssuer(f, a, 8, clock.now)
	for _, name := range append(names, "*.example.org", "bücher.example", "EXAMPLE.org.", "a..b", "127.1", "\x00", "[::1]") {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return // there is no connection to ask
		}
		certificate, err := i.GetCertificate(&tls.ClientHelloInfo{ServerName: text})
		name, refused := host.Parse(text)
		if (err != nil) != (refused != nil) {
			t.Fatalf("certificate: %v, host: %v", err, refused)
		}
		if err == nil {
			verify(t, a, parsed(t, certificate), name.String(), clock.now())
		}
	})
}

func BenchmarkLeaf(b *testing.B) {
	a := newAuthority(b)
	b.Run("Cached", func(b *testing.B) {
		i := newIssuer(b, a, 8, newClock().now)
		name := host.MustParse("example.org")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := i.Leaf(name); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Minted", func(b *testing.B) {
		i := newIssuer(b, a, 1, newClock().now)
		pair := [2]host.Name{host.MustParse("a.example"), host.MustParse("b.example")}
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			if _, err := i.Leaf(pair[n%2]); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
}
