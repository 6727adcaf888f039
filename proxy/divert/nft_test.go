package divert_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/proxy/divert"
)

func at(addr string) netip.AddrPort {
	if addr == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(addr)
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestGoldenNFT(t *testing.T) {
	t.Parallel()
	for file, rules := range map[string]divert.Rules{
		"testdata/redirect.nft": {Interfaces: []string{"eth1"}, IPv4: at("0.0.0.0:3129"), IPv6: at("[::]:3129")},
		"testdata/all.nft": {
			Interfaces: []string{"wg0", "br-lan", "wg0"}, IPv4: at("192.168.1.1:3129"), IPv6: at("[fd00::1]:3130"), BlockQUIC: true, ForceDNS: true,
		},
		"testdata/tproxy.nft": {
			Interfaces: []string{"br-lan"}, IPv4: at("127.0.0.1:3129"), IPv6: at("[::]:3129"), TPROXY: true, BlockQUIC: true, ForceDNS: true,
		},
		"testdata/exempt.nft": {
			Interfaces: []string{"br-lan"}, IPv4: at("0.0.0.0:3129"), IPv6: at("[::]:3129"), BlockQUIC: true, ForceDNS: true,
			Clients:      prefixes("192.168.1.20/32", "192.168.7.0/24", "192.168.7.9/32", "192.168.1.20/32", "192.168.6.0/24"),
			Destinations: prefixes("2001:db8:7::/48", "2001:db8:7:1::/64", "198.51.100.7/32"),
		},
		"testdata/ipv4.nft": {Interfaces: []string{"eth0.10"}, IPv4: at("192.168.1.1:3129"), BlockQUIC: true},
	} {
		got, err := divert.NFT(rules)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, file, got)
	}
	golden(t, "testdata/remove.nft", divert.RemoveNFT())
}

// What the caller gave stays as it was.
func TestNFTKeepsTheInterfaces(t *testing.T) {
	t.Parallel()
	names := []string{"eth2", "eth1"}
	if _, err := divert.NFT(divert.Rules{Interfaces: names, IPv4: at("0.0.0.0:3129")}); err != nil || !slices.Equal(names, []string{"eth2", "eth1"}) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestRulesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                    `interface "" has no name`,
		"sixteen-letters-":    `interface "sixteen-letters-" is longer than the 15 bytes of a name`,
		".":                   `interface "." is no name`,
		"..":                  `interface ".." is no name`,
		"lo":                  `interface "lo" is the machine itself, not the inner side`,
		"eth0 eth1":           `interface "eth0 eth1" holds ' '`,
		"eth0/1":              `interface "eth0/1" holds '/'`,
		"eth*":                `interface "eth*" holds '*'`,
		`x" } drop #`:         `interface "x\" } drop #" holds '"'`,
		"a\n":                 `interface "a\n" holds '\n'`,
		"a\\":                 `interface "a\\" holds '\\'`,
		"ü":                   `interface "ü" holds 'ü'`,
		"a\xff":               `interface "a\xff" holds '` + "\uFFFD" + `'`,
		"{{.Table}}":          `interface "{{.Table}}" holds '{'`,
		"eth0\x00":            `interface "eth0\x00" holds '\x00'`,
		"$(reboot)":           `interface "$(reboot)" holds '$'`,
		"-j":                  "", // nft reads it between quotes
		"sixteen-letters":     "",
		"eth0.10_a-B":         "",
		"veth0123456789a":     "",
		"veth0123456789ab":    `interface "veth0123456789ab" is longer`,
		"\u202eeth0":          `interface "\u202eeth0" holds '\u202e'`,
		"eth0,eth1":           `interface "eth0,eth1" holds ','`,
		"wlp2s0f0u3u4u1u2i10": `interface "wlp2s0f0u3u4u1u2i10" is longer`,
	} {
		_, err := divert.NFT(divert.Rules{Interfaces: []string{"eth9", name}, IPv4: at("0.0.0.0:3129")})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
	inner := []string{"eth1"}
	for want, rules := range map[string]divert.Rules{
		"no interface of the inner side is named":                                                             {IPv4: at("0.0.0.0:3129")},
		"there is no listener to send connections to":                                                         {Interfaces: inner},
		"listener 0.0.0.0:0 has no port that stays the same":                                                  {Interfaces: inner, IPv4: at("0.0.0.0:0")},
		"listener [::]:3129 is of the other family":                                                           {Interfaces: inner, IPv4: at("[::]:3129")},
		"listener 10.0.0.1:3129 is of the other family":                                                       {Interfaces: inner, IPv6: at("10.0.0.1:3129")},
		"listener [::ffff:10.0.0.1]:3129 is of the other family":                                              {Interfaces: inner, IPv6: at("[::ffff:10.0.0.1]:3129")},
		"listener [fe80::1%eth1]:3129 is on one link alone":                                                   {Interfaces: inner, IPv6: at("[fe80::1%eth1]:3129")},
		"listener 127.0.0.1:3129 is on loopback, where nothing that comes in from outside arrives":            {Interfaces: inner, IPv4: at("127.0.0.1:3129")},
		"listener [::1]:3129 is on loopback, where nothing that comes in from outside arrives":                {Interfaces: inner, IPv4: at("0.0.0.0:1"), IPv6: at("[::1]:3129")},
		"exempt 10.1.2.3/16 has bits behind its length: write 10.1.0.0/16":                                    {Interfaces: inner, IPv4: at("0.0.0.0:1"), Clients: prefixes("10.1.2.3/16")},
		"exempt 0.0.0.0/0 is every address\nexempt ::/0 is every address":                                     {Interfaces: inner, IPv4: at("0.0.0.0:1"), Clients: prefixes("0.0.0.0/0"), Destinations: prefixes("::/0")},
		"exempt ::ffff:10.0.0.0/104 is an IPv4 address in the form of IPv6":                                   {Interfaces: inner, IPv4: at("0.0.0.0:1"), Destinations: prefixes("::ffff:10.0.0.0/104")},
		"exempt invalid Prefix is no prefix":                                                                  {Interfaces: inner, IPv4: at("0.0.0.0:1"), Clients: make([]netip.Prefix, 1)},
		"listener 0.0.0.0:0 has no port that stays the same\nlistener [::]:0 has no port that stays the same": {Interfaces: inner, IPv4: at("0.0.0.0:0"), IPv6: at("[::]:0"), TPROXY: true},
	} {
		if text, err := divert.NFT(rules); err == nil || err.Error() != want || text != "" {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Whatever an interface is called, it stays one string of the set.
func FuzzInterface(f *testing.F) {
	for _, name := range []string{"eth0", `"`, "a\nb", "br-lan", `x" } drop #`, "*", "$x", "\\"} {
		f.Add(name)
	}
	clean, err := divert.NFT(divert.Rules{Interfaces: []string{"eth0"}, IPv4: at("0.0.0.0:3129")})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		text, err := divert.NFT(divert.Rules{Interfaces: []string{name}, IPv4: at("0.0.0.0:3129")})
		if err == nil && text != strings.ReplaceAll(clean, `"eth0"`, `"`+name+`"`) || strings.ContainsAny(name, "\"\\\n*") && err == nil {
			t.Errorf("%q: %v\n%s", name, err, text)
		}
	})
}

// Design: the resolvers that Kaspersky's products ask by themselves, in the order of its documentation.
func TestPublicResolver(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"8.8.8.8": "Google Public DNS", "1.1.1.1": "Cloudflare", "223.6.6.6": "Alibaba Public DNS", "9.9.9.9": "Quad9",
		"185.228.168.168": "CleanBrowsing", "::ffff:8.8.8.8": "Google Public DNS", "2620:fe::fe%eth0": "Quad9",
		"8.8.8.9": "", "192.168.1.1": "", "::1": "",
	} {
		if got := divert.PublicResolver(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	if divert.PublicResolver(netip.Addr{}) != "" {
		t.Error("no address is a resolver")
	}
}
