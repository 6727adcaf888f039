package host

import (
	"net/netip"
	"testing"
	"unsafe"
)

func TestNameIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Name{}); size != unsafe.Sizeof("") {
		t.Errorf("a Name has %d bytes, more than a string", size)
	}
}

func TestZeroName(t *testing.T) {
	t.Parallel()
	var zero Name
	if !zero.IsZero() || zero.String() != "" || zero.IsAddr() || zero.Within(zero) || zero.Within(MustParse("com")) || MustParse("com").Within(zero) {
		t.Error("the zero Name is not absent")
	}
	if _, ok := zero.Addr(); ok {
		t.Error("the zero Name has an address")
	}
	if _, ok := zero.Parent(); ok {
		t.Error("the zero Name has a parent")
	}
	if MustParse("com").IsZero() {
		t.Error("a name is absent")
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, zone string
		want       bool
	}{
		{"upd.kaspersky.com", "upd.kaspersky.com", true},
		{"s01.upd.kaspersky.com", "upd.kaspersky.com", true},
		{"a.b.kaspersky.com", "com", true},
		{"notkaspersky.com", "kaspersky.com", false},
		{"s01.upd.kaspersky.com.evil.example", "upd.kaspersky.com", false},
		{"kaspersky.com", "upd.kaspersky.com", false},
		{"com", "kaspersky.com", false},
		{"192.0.2.1", "192.0.2.1", false},
		{"::1", "::1", false},
		{"192.0.2.1", "example.com", false},
		{"example.com", "192.0.2.1", false},
	} {
		if got := MustParse(c.name).Within(MustParse(c.zone)); got != c.want {
			t.Errorf("%q within %q: %v", c.name, c.zone, got)
		}
	}
}

func TestParent(t *testing.T) {
	t.Parallel()
	var zones []string
	for n, ok := MustParse("a.b.example.com"), true; ok; n, ok = n.Parent() {
		zones = append(zones, n.String())
	}
	want := []string{"a.b.example.com", "b.example.com", "example.com", "com"}
	if len(zones) != len(want) {
		t.Fatalf("zones %q, want %q", zones, want)
	}
	for i := range want {
		if zones[i] != want[i] {
			t.Errorf("zone %d is %q, want %q", i, zones[i], want[i])
		}
	}
	for _, addr := range []string{"192.0.2.1", "2001:db8::1", "64:ff9b::192.0.2.1"} {
		if outer, ok := MustParse(addr).Parent(); ok {
			t.Errorf("the address %s has the parent %q", addr, outer)
		}
	}
}

func TestAddr(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"192.0.2.1", "0.0.0.0", "::", "::1", "abcd::1", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"} {
		n := MustParse(s)
		a, ok := n.Addr()
		if !n.IsAddr() || !ok || a != netip.MustParseAddr(s) {
			t.Errorf("%s: IsAddr %v, Addr %v, %v", s, n.IsAddr(), a, ok)
		}
	}
	for _, s := range []string{"example.com", "a1", "192.0.2.1.example", "1.2.3.x4", "abcd", "xn--bcher-kva"} {
		if a, ok := MustParse(s).Addr(); ok || MustParse(s).IsAddr() {
			t.Errorf("%s is the address %v", s, a)
		}
	}
}

func TestMethodsDoNotAllocate(t *testing.T) {
	name, zone, addr := MustParse("s01.upd.kaspersky.com"), MustParse("kaspersky.com"), MustParse("2001:db8::1")
	for what, f := range map[string]func(){
		"IsAddr": func() { kept = name.IsAddr() && addr.IsAddr() },
		"Within": func() { kept = name.Within(zone) },
		"Parent": func() { sink, kept = name.Parent() },
		"Addr":   func() { _, kept = addr.Addr() },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations", what, got)
		}
	}
}

var kept bool

func TestFromAddr(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"192.0.2.1":        "192.0.2.1",
		"::ffff:192.0.2.1": "192.0.2.1",
		"fe80::1%eth0":     "fe80::1",
		"2001:db8::1":      "2001:db8::1",
	} {
		a := netip.MustParseAddr(in)
		if got := FromAddr(a); got.String() != want || got != MustParse(want) {
			t.Errorf("FromAddr(%s) = %q, want %q", in, got, want)
		}
		if got := ClientAddr(a); got != netip.MustParseAddr(want) {
			t.Errorf("ClientAddr(%s) = %v, want %s", in, got, want)
		}
	}
	if got := ClientAddr(netip.MustParseAddr("::ffff:192.0.2.1%eth0")); got != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("ClientAddr of a mapped address with a zone = %v", got)
	}
	if FromAddr(netip.Addr{}) != (Name{}) || ClientAddr(netip.Addr{}).IsValid() {
		t.Error("an address that is not valid has become one")
	}
}
