package proxy

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func nobody(netip.Addr) bool { return false }

// guarded holds an address at each edge of each range, and the neighbours outside; the class "" means that it passes.
var guarded = []struct{ addr, class string }{
	{"0.0.0.0", "unspecified"},
	{"0.0.0.1", "this-network"},
	{"0.255.255.255", "this-network"},
	{"1.0.0.0", ""},
	{"9.255.255.255", ""},
	{"10.0.0.0", "private"},
	{"10.255.255.255", "private"},
	{"11.0.0.0", ""},
	{"100.63.255.255", ""},
	{"100.64.0.0", "shared"},
	{"100.100.100.199", "shared"},
	{"100.100.100.200", "metadata"},
	{"100.127.255.255", "shared"},
	{"100.128.0.0", ""},
	{"126.255.255.255", ""},
	{"127.0.0.0", "loopback"},
	{"127.0.0.1", "loopback"},
	{"127.255.255.255", "loopback"},
	{"128.0.0.0", ""},
	{"168.63.129.15", ""},
	{"168.63.129.16", "metadata"},
	{"168.63.129.17", ""},
	{"169.253.255.255", ""},
	{"169.254.0.0", "link-local"},
	{"169.254.169.253", "link-local"},
	{"169.254.169.254", "metadata"},
	{"169.254.169.255", "link-local"},
	{"169.254.170.2", "metadata"},
	{"169.254.255.255", "link-local"},
	{"169.255.0.0", ""},
	{"172.15.255.255", ""},
	{"172.16.0.0", "private"},
	{"172.31.255.255", "private"},
	{"172.32.0.0", ""},
	{"191.255.255.255", ""},
	{"192.0.0.0", "protocol"},
	{"192.0.0.192", "metadata"},
	{"192.0.0.255", "protocol"},
	{"192.0.1.0", ""},
	{"192.0.1.255", ""},
	{"192.0.2.0", "documentation"},
	{"192.0.2.255", "documentation"},
	{"192.0.3.0", ""},
	{"192.88.98.255", ""},
	{"192.88.99.0", "relay"},
	{"192.88.99.255", "relay"},
	{"192.88.100.0", ""},
	{"192.167.255.255", ""},
	{"192.168.0.0", "private"},
	{"192.168.255.255", "private"},
	{"192.169.0.0", ""},
	{"198.17.255.255", ""},
	{"198.18.0.0", "benchmark"},
	{"198.19.255.255", "benchmark"},
	{"198.20.0.0", ""},
	{"198.51.99.255", ""},
	{"198.51.100.0", "documentation"},
	{"198.51.100.255", "documentation"},
	{"198.51.101.0", ""},
	{"203.0.112.255", ""},
	{"203.0.113.0", "documentation"},
	{"203.0.113.255", "documentation"},
	{"203.0.114.0", ""},
	{"223.255.255.255", ""},
	{"224.0.0.0", "multicast"},
	{"239.255.255.255", "multicast"},
	{"240.0.0.0", "reserved"},
	{"255.255.255.254", "reserved"},
	{"255.255.255.255", "broadcast"},

	{"::", "unspecified"},
	{"::1", "loopback"},
	{"::2", "compatible"},
	{"::8.8.8.8", "compatible"},
	{"::ffff:ffff", "compatible"},
	{"::1:0:0", "reserved"},
	{"::ffff:8.8.8.8", ""},
	{"::ffff:10.0.0.1", "private"},
	{"::ffff:169.254.169.254", "metadata"},
	{"::ffff:0:8.8.8.8", "translation"},
	{"64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"},
	{"64:ff9b::8.8.8.8", ""},
	{"64:ff9b::0.0.0.0", "unspecified"},
	{"64:ff9b::127.0.0.1", "loopback"},
	{"64:ff9b::10.0.0.1", "private"},
	{"64:ff9b::255.255.255.255", "broadcast"},
	{"64:ff9b::1:0:0", "reserved"},
	{"64:ff9b:1::", "translation"},
	{"64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "translation"},
	{"64:ff9b:2::", "reserved"},
	{"100::", "discard"},
	{"100::ffff:ffff:ffff:ffff", "discard"},
	{"100:0:0:1::", "reserved"},
	{"1fff:ffff::", "reserved"},
	{"2000::", ""},
	{"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
	{"2001:0:808:808::f7f7:f7f7", ""},           // server 8.8.8.8, client 8.8.8.8
	{"2001:0:a00:1::f7f7:f7f7", "private"},      // server 10.0.0.1
	{"2001:0:808:808::f5ff:fffe", "private"},    // client 10.0.0.1
	{"2001:0:808:808::5601:5601", "metadata"},   // client 169.254.169.254
	{"2001::", "unspecified"},                   // server 0.0.0.0
	{"2001:0:808:808:ffff:ffff::", "broadcast"}, // client 255.255.255.255
	{"2001:1::", "protocol"},
	{"2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "protocol"},
	{"2001:200::", ""},
	{"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", ""},
	{"2001:db8::", "documentation"},
	{"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"},
	{"2001:db9::", ""},
	{"2002:808:808::1", ""},
	{"2002:a00:1::1", "private"},
	{"2002:7f00:1::", "loopback"},
	{"2002::", "unspecified"},
	{"2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "broadcast"},
	{"2003::", ""},
	{"3ffe:ffff::", ""},
	{"3fff::", "documentation"},
	{"3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"},
	{"3fff:1000::", ""},
	{"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
	{"4000::", "reserved"},
	{"5f00::1", "reserved"},
	{"fbff:ffff::", "reserved"},
	{"fc00::", "unique-local"},
	{"fd00:ec2::253", "unique-local"},
	{"fd00:ec2::254", "metadata"},
	{"fd20:ce::254", "metadata"},
	{"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "unique-local"},
	{"fe00::", "reserved"},
	{"fe80::", "link-local"},
	{"fe80::1%eth0", "link-local"},
	{"febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "link-local"},
	{"fec0::", "site-local"},
	{"feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "site-local"},
	{"ff00::", "multicast"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"},
}

func TestGuard(t *testing.T) {
	t.Parallel()
	g := NewGuard(nil, nobody)
	for _, c := range guarded {
		if got := classOf(t, g, c.addr); got != c.class {
			t.Errorf("%s: class %q, want %q", c.addr, got, c.class)
		}
	}
	if err := g.Check(netip.Addr{}); err == nil {
		t.Error("an address that is none passes")
	}
}

// classOf returns the class for which an address is refused, or "".
func classOf(t *testing.T, g *Guard, addr string) string {
	t.Helper()
	err := g.Check(netip.MustParseAddr(addr))
	if err == nil {
		return ""
	}
	var refused *GuardError
	if !errors.As(err, &refused) {
		t.Fatalf("%s: %v is no GuardError", addr, err)
	}
	return refused.Class
}

func TestGuardAllow(t *testing.T) {
	t.Parallel()
	own := func(a netip.Addr) bool {
		return slices.Contains([]string{"10.1.0.1", "198.20.0.1", "127.0.0.1"}, a.String())
	}
	g := NewGuard([]netip.Prefix{
		netip.MustParsePrefix("10.1.2.3/16"),
		netip.MustParsePrefix("::ffff:127.0.0.0/104"),
		netip.MustParsePrefix("64:ff9b:1:2::/96"),
		netip.MustParsePrefix("2002:a02::/32"),
	}, own)
	for _, c := range []struct{ addr, class string }{
		{"10.1.255.255", ""},
		{"::ffff:10.1.0.2", ""},
		{"10.2.0.0", "private"},
		{"10.1.0.1", "own"}, // opening the network does not open the gateway in it
		{"::ffff:10.1.0.1", "own"},
		{"64:ff9b::10.1.0.1", "own"},
		{"64:ff9b::10.1.0.2", ""},
		{"2002:a01:1::", "own"},
		{"2002:a02:1::", ""}, // 10.2.0.1, opened in this form only
		{"64:ff9b::10.2.0.1", "private"},
		{"198.20.0.1", "own"},
		{"127.0.0.1", ""},
		{"127.255.255.255", ""},
		{"64:ff9b:1:2::10.0.0.1", ""},
		{"64:ff9b:1:3::10.0.0.1", "translation"},
		{"8.8.8.8", ""},
	} {
		if got := classOf(t, g, c.addr); got != c.class {
			t.Errorf("%s: class %q, want %q", c.addr, got, c.class)
		}
	}
	g = NewGuard([]netip.Prefix{netip.MustParsePrefix("10.1.0.1/32")}, own)
	if got := classOf(t, g, "10.1.0.1"); got != "" {
		t.Errorf("an own address that the operator named is refused as %q", got)
	}
	if got := classOf(t, NewGuard(nil, own), "127.0.0.1"); got != "loopback" {
		t.Errorf("an own loopback address is refused as %q", got)
	}
}

func TestGuardReadsOwnAddresses(t *testing.T) {
	t.Parallel()
	links, err := readLinks()
	if err != nil {
		t.Fatal(err)
	}
	g := NewGuard([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, nil)
	seen := 0
	for _, l := range links {
		for _, p := range l.prefixes {
			want := "own"
			if p.Addr().IsLoopback() {
				want = ""
			}
			if got := classOf(t, g, p.Addr().String()); got != want {
				t.Errorf("%s of %s: class %q, want %q", p.Addr(), l.name, got, want)
			}
			seen++
		}
	}
	if seen == 0 {
		t.Fatal("this machine has no address, not even a loopback one")
	}
}

func TestGuardErrorText(t *testing.T) {
	t.Parallel()
	own := func(a netip.Addr) bool { return a == netip.MustParseAddr("2003::7") }
	for _, c := range []struct{ addr, text, detail string }{
		{
			"10.1.2.3", "the destination is a private address",
			"10.1.2.3: the destination is a private address; upstream.allow: [10.1.2.3/32] would open it",
		},
		{
			"2003::7", "the destination is an address of this gateway",
			`2003::7: the destination is an address of this gateway; upstream.allow: ["2003::7/128"] would open it`,
		},
		{
			"64:ff9b::a00:1", "the destination leads to a private address",
			`64:ff9b::a00:1: the destination leads to a private address, 10.0.0.1; upstream.allow: ["64:ff9b::a00:1/128"] would open it`,
		},
	} {
		err := NewGuard(nil, own).Check(netip.MustParseAddr(c.addr))
		var refused *GuardError
		if !errors.As(err, &refused) {
			t.Fatalf("%s: %v", c.addr, err)
		}
		if refused.Error() != c.text || refused.Detail() != c.detail || refused.Guard != "destination" {
			t.Errorf("%s: guard %q, text %q, detail %q", c.addr, refused.Guard, refused.Error(), refused.Detail())
		}
		hint := strings.Trim(strings.TrimPrefix(refused.Hint(), "upstream.allow: "), `[]"`)
		if g := NewGuard([]netip.Prefix{netip.MustParsePrefix(hint)}, own); g.Check(refused.Addr) != nil {
			t.Errorf("%s: what the hint says does not open it: %v", c.addr, g.Check(refused.Addr))
		}
	}
	if hint := (&GuardError{Class: "invalid"}).Hint(); hint != "" {
		t.Errorf("what is no address can be opened by %q", hint)
	}
}

// dullRefused is the twin of Guard: prefixes only, with each IPv4 one written out in every IPv6 form that can carry it, and
// nothing decoded. IPv6 is the other way round: a list of what passes, without what is cut out of it.
func dullRefused(addr netip.Addr) bool {
	v4 := strings.Fields(`0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
		192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3`)
	var refused []netip.Prefix
	for _, s := range v4 {
		p := netip.MustParsePrefix(s)
		b := p.Addr().As4()
		carried := func(at int, invert byte, head ...byte) {
			var a [16]byte
			copy(a[:], head)
			for i := range b {
				a[at+i] = b[i] ^ invert
			}
			refused = append(refused, netip.PrefixFrom(netip.AddrFrom16(a), at*8+p.Bits()))
		}
		refused = append(refused, p)
		carried(12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)
		carried(12, 0, 0, 0x64, 0xff, 0x9b)
		carried(2, 0, 0x20, 0x02)
		carried(4, 0, 0x20, 0x01, 0, 0)
		// Teredo's client is behind 64 bits that can be anything, which a prefix cannot say: those bits are cleared first.
		carried(12, 0xff, 0xfe, 0xed)
	}
	for s := range strings.FieldsSeq("2001:1::/32 2001:2::/31 2001:4::/30 2001:8::/29 2001:10::/28 2001:20::/27 2001:40::/26 2001:80::/25 2001:100::/24 2001:db8::/32 3fff::/20") {
		refused = append(refused, netip.MustParsePrefix(s))
	}
	in := func(a netip.Addr) bool {
		return slices.ContainsFunc(refused, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if addr.Is4() {
		return in(addr)
	}
	if netip.MustParsePrefix("2001::/32").Contains(addr) {
		b := addr.As16()
		clear(b[2:12])
		b[0], b[1] = 0xfe, 0xed
		return in(addr) || in(netip.AddrFrom16(b))
	}
	passes := slices.ContainsFunc(strings.Fields("2000::/3 64:ff9b::/96 ::ffff:0:0/96"), func(s string) bool {
		p := netip.MustParsePrefix(s)
		b, a := p.Addr().As16(), addr.As16()
		for i := range p.Bits() {
			if (a[i/8]^b[i/8])>>(7-i%8)&1 != 0 {
				return false
			}
		}
		return true
	})
	if addr.Is4In6() {
		return in(addr.Unmap())
	}
	return !passes || in(addr)
}

func TestGuardTwin(t *testing.T) {
	t.Parallel()
	g := NewGuard(nil, nobody)
	r := rand.New(rand.NewPCG(1, 2))
	var bases []netip.Addr
	for _, c := range guarded {
		bases = append(bases, netip.MustParseAddr(c.addr).WithZone(""))
	}
	refusedCount := 0
	for range 20_000 {
		addr := scramble(r, bases[r.IntN(len(bases))])
		refused := dullRefused(addr)
		if err := g.Check(addr); (err != nil) != refused {
			t.Fatalf("%s: %v, the twin says refused: %v", addr, err, refused)
		}
		if refused {
			refusedCount++
		}
	}
	if refusedCount < 1000 || refusedCount > 19_000 {
		t.Errorf("%d of 20000 were refused: the sample says nothing", refusedCount)
	}
}

// scramble keeps a random number of the first bits of an address, and half of the time makes it one that carries IPv4.
func scramble(r *rand.Rand, a netip.Addr) netip.Addr {
	b := a.AsSlice()
	for i := r.IntN(len(b)*8 + 1); i < len(b)*8; i++ {
		b[i/8] ^= byte(r.IntN(2)) << (7 - i%8)
	}
	if len(b) == 4 && r.IntN(2) == 0 {
		var carrier [16]byte
		switch r.IntN(4) {
		case 0:
			copy(carrier[:], "\x00\x64\xff\x9b")
			copy(carrier[12:], b)
		case 1:
			copy(carrier[:], "\x20\x02")
			copy(carrier[2:], b)
		case 2:
			copy(carrier[:], "\x20\x01\x00\x00\x08\x08\x08\x08")
			for i := range b {
				carrier[12+i] = ^b[i]
			}
		case 3:
			copy(carrier[:], "\x20\x01\x00\x00")
			copy(carrier[4:], b)
			copy(carrier[12:], "\xf7\xf7\xf7\xf7")
		}
		return netip.AddrFrom16(carrier)
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}

func BenchmarkGuard(b *testing.B) {
	g := NewGuard(nil, nobody)
	addr := netip.MustParseAddr("8.8.8.8")
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Check(addr); err != nil {
			b.Fatal(err)
		}
	}
}
