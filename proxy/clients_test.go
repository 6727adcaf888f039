package proxy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// linkOf makes an interface that is up; its prefixes are addresses with the length of their network.
func linkOf(name string, prefixes ...string) link {
	l := link{name: name, up: true}
	for _, p := range prefixes {
		l.prefixes = append(l.prefixes, netip.MustParsePrefix(p))
	}
	return l
}

// clientsOn are the clients of a machine with these interfaces.
func clientsOn(t *testing.T, allow []string, links ...link) *Clients {
	t.Helper()
	c, err := NewClients(allow)
	if err != nil {
		t.Fatal(err)
	}
	c.links.read = func() ([]link, error) { return links, nil }
	return c
}

func TestClients(t *testing.T) {
	t.Parallel()
	down := linkOf("eth9", "10.9.0.1/24", "2a00:9::1/64")
	down.up = false
	line := linkOf("ppp0", "10.8.0.1/24", "2a00:8::1/64")
	line.pointToPoint = true
	machine := []link{
		{name: "lo", up: true, loopback: true, prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}},
		linkOf("lan0", "10.1.0.1/24", "2a00:1::1/64", "fe80::1/64", "169.254.3.4/16"),
		linkOf("lan1", "fd00:2::1/64", "2a00:2::1/64"),
		linkOf("wan0", "198.51.100.7/24", "2a00:3::1/64", "fe80::1/64"),
		linkOf("wan1", "100.64.3.4/10", "2a00:4::1/64"),
		linkOf("wan2", "10.5.0.1/24", "198.51.101.7/24", "2a00:5::1/64"),
		linkOf("six0", "2a00:6::1/64"),
		linkOf("wide0", "10.7.0.1/24", "2a00:7::1/32", "fd00:7::1/3"),
		down, line,
	}
	for _, c := range []struct {
		allow string
		yes   string
		no    string
	}{
		{"", "", "127.0.0.1 ::1 10.0.0.1 203.0.113.7"},
		{"loopback", "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1", "128.0.0.0 ::2 10.0.0.1 10.1.0.9"},
		{
			"private",
			"10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 fc00:: fdff::1 ::ffff:10.0.0.1",
			"9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 192.169.0.0 fbff::1 fe00::1 fe80::1 fe80::1%lan0 169.254.0.1 100.64.0.1 127.0.0.1 2a00:1::2",
		},
		{
			"on-link",
			"10.1.0.0 10.1.0.255 ::ffff:10.1.0.9 2a00:1::2 2a00:1::ffff:ffff:ffff:ffff fe80::2%lan0 169.254.9.9 fd00:2::9 2a00:2::9 10.7.0.9",
			"10.1.1.0 2a00:1:0:1:: fe80::2 fe80::2%wan0 fe80::2%lan1 198.51.100.9 2a00:3::2 100.64.3.5 2a00:4::2 10.5.0.2 198.51.101.9 2a00:5::2 " +
				"2a00:6::2 2a00:7::2 3fff::1 10.9.0.2 2a00:9::2 10.8.0.2 2a00:8::2 127.0.0.1 ::1",
		},
		{
			"203.0.113.7 198.51.100.9/24 2001:db8::/48 ::ffff:192.0.2.0/120 fe80::/10",
			"203.0.113.7 198.51.100.0 198.51.100.255 2001:db8:0:ffff::1 192.0.2.200 ::ffff:203.0.113.7 fe80::2%wan0",
			"203.0.113.6 203.0.113.8 198.51.101.0 2001:db8:1:: 192.0.3.0",
		},
		{"loopback private on-link", "127.0.0.1 10.8.0.2 2a00:1::2", "2a00:3::2 203.0.113.7"},
	} {
		clients := clientsOn(t, strings.Fields(c.allow), machine...)
		for addr := range strings.FieldsSeq(c.yes) {
			if !clients.Allowed(netip.MustParseAddr(addr)) {
				t.Errorf("[%s] does not admit %s", c.allow, addr)
			}
		}
		for addr := range strings.FieldsSeq(c.no) {
			if clients.Allowed(netip.MustParseAddr(addr)) {
				t.Errorf("[%s] admits %s", c.allow, addr)
			}
		}
		if clients.Allowed(netip.Addr{}) {
			t.Errorf("[%s] admits an address that is none", c.allow)
		}
	}
}

func TestClientsErrors(t *testing.T) {
	t.Parallel()
	_, err := NewClients([]string{"lan", "10.0.0.0/33", "loopback", "fe80::1%eth0", "", "Private"})
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, entry := range []string{`"lan"`, `"10.0.0.0/33"`, `"fe80::1%eth0"`, `""`, `"Private"`} {
		want := "clients.allow: " + entry + " is neither loopback, private, on-link nor an address or a prefix such as 192.0.2.0/24"
		if i >= len(lines) || lines[i] != want {
			t.Errorf("line %d of %q is not %q", i, err, want)
		}
	}
	if len(lines) != 5 {
		t.Errorf("%d lines: %q", len(lines), err)
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ allow, client, want string }{
		{"loopback private on-link", "203.0.113.7", "clients.allow: [loopback, private, on-link, 203.0.113.7/32]"},
		{"10.0.0.0/8", "::ffff:203.0.113.7", "clients.allow: [10.0.0.0/8, 203.0.113.7/32]"},
		{"", "2001:db8::7", `clients.allow: ["2001:db8::7/128"]`},
		{"loopback", "fe80::7%eth0", `clients.allow: [loopback, "fe80::7/128"]`},
	} {
		clients := clientsOn(t, strings.Fields(c.allow))
		client := netip.MustParseAddr(c.client)
		line := clients.Admit(client)
		if line != c.want {
			t.Errorf("%q, want %q", line, c.want)
		}
		if clients.Allowed(client) {
			t.Errorf("[%s] admits %s already", c.allow, client)
		}
		list := strings.NewReplacer("clients.allow: [", "", "]", "", ",", "", `"`, "").Replace(line)
		if !clientsOn(t, strings.Fields(list)).Allowed(client) {
			t.Errorf("%q does not admit %s", line, client)
		}
	}
}

func TestInterfacesAreReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		now := []link{linkOf("lan0", "10.1.0.1/24", "2a00:1::1/64")}
		var failure error
		changed := false
		i := &interfaces{read: func() ([]link, error) { reads++; return now, failure }, changed: func() bool {
			defer func() { changed = false }()
			return changed
		}}
		in, gone, fresh := netip.MustParseAddr("2a00:1::2"), netip.MustParseAddr("2a00:2::2"), netip.MustParseAddr("2a00:3::2")
		expect := func(what string, addr netip.Addr, want bool, wantReads int) {
			t.Helper()
			if got := i.onLink(addr); got != want || reads != wantReads {
				t.Errorf("%s: %s on link %v after %d readings, want %v after %d", what, addr, got, reads, want, wantReads)
			}
		}
		expect("the first question", in, true, 1)
		expect("a stranger", gone, false, 1)
		now = []link{linkOf("lan0", "10.1.0.1/24", "2a00:3::1/64")}
		time.Sleep(interfacesMaxAge - 1)
		expect("too early", fresh, false, 1)
		expect("what is known is not asked again", in, true, 1)
		time.Sleep(time.Nanosecond)
		expect("in time", fresh, true, 2)
		expect("the old prefix is gone", in, false, 2)
		if !i.own(netip.MustParseAddr("10.1.0.1")) || i.own(netip.MustParseAddr("10.1.0.2")) {
			t.Error("own addresses are not those of the interfaces")
		}
		time.Sleep(interfacesMaxAge)
		now, failure = nil, errors.New("no interfaces to be had")
		expect("a failed reading", gone, false, 3)
		expect("what was known stays", fresh, true, 3)
		now, failure, changed = []link{linkOf("lan0", "10.1.0.1/24", "2a00:1::1/64")}, nil, true
		expect("what has changed is read at once", fresh, false, 4)
		expect("and once", in, true, 4)
	})
}
