package export_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/export"
	"github.com/gracegate/gracegate/policy/source"
)

// program skips the test where a program is not installed.
func program(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
}

// exported writes a format of the mixed policy into a file.
func exported(t *testing.T, format string) string {
	t.Helper()
	p := compile(t, source.File{Name: "policy.yaml", Data: []byte(mixed)})
	r := export.List(p, at(t, "2024-09-29T04:00:00Z"), p.Askers()[0], "clients of the default site")
	text, _ := written(t, format, &r)
	name := filepath.Join(t.TempDir(), format)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

func TestBINDLoadsTheZone(t *testing.T) {
	t.Parallel()
	program(t, "named-checkzone")
	run(t, "named-checkzone", "rpz.gracegate.example", exported(t, "rpz"))
}

func TestSquidParsesTheRules(t *testing.T) {
	t.Parallel()
	program(t, "squid")
	run(t, "squid", "-k", "parse", "-f", exported(t, "squid"))
}

func TestNftTakesTheRuleset(t *testing.T) {
	t.Parallel()
	program(t, "nft")
	if os.Geteuid() != 0 {
		t.Skip("nft -c needs root")
	}
	run(t, "nft", "-c", "-f", exported(t, "nft"))
}

// A running dnsmasq says that a blocked name does not exist. It has no servers to ask, so it refuses what is not blocked.
func TestDnsmasqAnswers(t *testing.T) {
	t.Parallel()
	program(t, "dnsmasq")
	file := exported(t, "dnsmasq")
	run(t, "dnsmasq", "--test", "-C", file)
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(taken.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = taken.Close()
	daemon := exec.CommandContext(t.Context(), "dnsmasq", "--keep-in-foreground", "--conf-file="+file, "--port="+port,
		"--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts", "--pid-file=")
	if os.Geteuid() == 0 {
		daemon.Args = append(daemon.Args, "--user=root")
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", "127.0.0.1:"+port)
	}}
	for name, blocked := range map[string]bool{
		"s01.upd.kaspersky.com": true, "deep.s01.upd.kaspersky.com": true, "acme.example": true, "w.acme.example": true,
		"b.a.acme.example": false, "w.b.a.acme.example": false, "c.b.a.acme.example": true, "w.c.b.a.acme.example": true,
		"x.y.acme.example": false, "w.x.y.acme.example": true, "y.acme.example": true, "twin.example": false, "w.twin.example": true,
		"only.example": true, "crl.only.example": false, "opentip.kaspersky.com": false, "www.example.org": false, "kupd.kaspersky.com": false,
	} {
		if got := existsNot(t, resolver, name); got != blocked {
			t.Errorf("%s is blocked: %v, want %v", name, got, blocked)
		}
	}
}

// existsNot tells whether the resolver's server says that a name does not exist. It waits for the server to be there.
func existsNot(t *testing.T, resolver *net.Resolver, name string) bool {
	t.Helper()
	for {
		_, err := resolver.LookupNetIP(t.Context(), "ip4", name+".")
		dns, ok := errors.AsType[*net.DNSError](err)
		if ok && !dns.IsNotFound && strings.Contains(dns.Err, "refused") && t.Context().Err() == nil { // nobody listens yet
			continue
		}
		return ok && dns.IsNotFound
	}
}
