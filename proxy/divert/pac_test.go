package divert_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/proxy/divert"
)

var update = flag.Bool("update", false, "write the golden files anew")

var directNames = []string{"Intranet.example.net"}

// only is a small listing: zones with hosts in them, zones in zones, hosts beside them, addresses, and names that an object of
// JavaScript has by itself.
var only = struct{ zones, hosts []string }{
	zones: []string{"upd.kaspersky.com", "deep.upd.kaspersky.com", "below.intranet.example.net", "constructor", "xn--bcher-kva.example"},
	hosts: []string{
		"dnl-01.geo.kaspersky.com", "s01.upd.kaspersky.com", "upd.kaspersky.com", "www.geo.example", "printer", "nas.local",
		"198.51.100.7", "10.0.0.7", "2001:db8::7", "__proto__.example",
	},
}

func onlyNames(tb testing.TB) *divert.Names {
	tb.Helper()
	names, err := divert.NewNames(slices.Values(only.zones), slices.Values(only.hosts))
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for file, opts := range map[string]divert.Options{
		"testdata/proxy.pac": {Direct: directNames},
		"testdata/only.pac":  {Direct: directNames, Only: onlyNames(t)},
	} {
		got, err := divert.PAC("gw.example.net:3128", opts)
		if err != nil {
			t.Fatal(err)
		}
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
}

// way is what a PAC file says of a host.
type way int

const (
	local   way = iota // never through the proxy
	unknown            // through it only if everything is
	known
)

var hosts = []struct {
	host string
	want way
}{
	{"s01.upd.kaspersky.com", known},
	{"S01.UPD.Kaspersky.COM", known},
	{"s01.upd.kaspersky.com.", known},
	{"upd.kaspersky.com", known},
	{"a.b.c.upd.kaspersky.com", known},
	{"dnl-01.geo.kaspersky.com", known},
	{"www.geo.example", known},
	{"xn--bcher-kva.example", known},
	{"a.xn--bcher-kva.example", known},
	{"a.constructor", known},
	{"__proto__.example", known},

	{"example.org", unknown},
	{"kaspersky.com", unknown},
	{"notupd.kaspersky.com", unknown},
	{"upd.kaspersky.com.example.org", unknown},
	{"a.dnl-01.geo.kaspersky.com", unknown},
	{"geo.example", unknown},
	{"a.www.geo.example", unknown},
	{"a.toString", unknown},
	{"a.__proto__", unknown},
	{"a.hasOwnProperty.example", unknown},

	{"printer", local},
	{"PRINTER", local},
	{"printer.", local},
	{"constructor", local},
	{"localhost", local},
	{"app.localhost", local},
	{"nas.local", local},
	{"NAS.LOCAL.", local},
	{"router.home.arpa", local},
	{"home.arpa", local},
	{"vault.internal", local},
	{"intranet.example.net", local},
	{"wiki.intranet.example.net", local},
	{"a.below.intranet.example.net", local},
	{"notlocal", local}, // no dot
	{"a.notlocal", unknown},
	{"local.example.org", unknown},
	{"localhost.example.org", unknown},
	{"nothome.arpa", unknown},
	{"notintranet.example.net", unknown},
	{"example.net", unknown},

	{"127.0.0.1", local},
	{"127.255.255.255", local},
	{"10.0.0.1", local},
	{"10.0.0.7", local},
	{"169.254.169.254", local},
	{"172.16.0.1", local},
	{"172.31.255.255", local},
	{"192.168.1.1", local},
	{"198.51.100.7", known},
	{"198.51.100.70", unknown},
	{"9.255.255.255", unknown},
	{"11.0.0.1", unknown},
	{"100.64.0.1", unknown},
	{"126.0.0.1", unknown},
	{"169.253.0.1", unknown},
	{"172.15.255.255", unknown},
	{"172.32.0.1", unknown},
	{"192.167.0.1", unknown},
	{"192.0.2.1", unknown},
	{"10.0.0.1.example.org", unknown},
	{"10.example.org", unknown},
	{"192.168.example.org", unknown},

	{"::1", local},
	{"[::1]", local},
	{"fe80::1", local},
	{"[FEBF::1]", local},
	{"fc00::1", local},
	{"fd12:3456::1", local},
	{"2001:db8::7", known},
	{"[2001:DB8::7]", known},
	{"fec0::1", unknown},
	{"fe8::1", unknown}, // 0fe8::1
	{"fd::1", unknown},  // 00fd::1
	{"::11", unknown},
	{"::", unknown},
	{"2001:db8::1", unknown},
	{"[2001:db8::1]", unknown},
}

func TestFindProxyForURL(t *testing.T) {
	t.Parallel()
	list := make([]string, len(hosts))
	for i, h := range hosts {
		list[i] = h.host
	}
	for engine, ask := range map[string]func(*testing.T, string, []string) []string{
		"goja": ask, "pacparser": askOld,
	} {
		for mode, names := range map[string]*divert.Names{"everything": nil, "only": onlyNames(t)} {
			t.Run(engine+"/"+mode, func(t *testing.T) {
				t.Parallel()
				text, err := divert.PAC("gw.example.net:3128", divert.Options{Direct: directNames, Only: names})
				if err != nil {
					t.Fatal(err)
				}
				got := ask(t, text, list)
				for i, h := range hosts {
					want := "DIRECT"
					if h.want == known || h.want == unknown && names == nil {
						want = "PROXY gw.example.net:3128"
					}
					if got[i] != want {
						t.Errorf("%s: %s, want %s", h.host, got[i], want)
					}
				}
			})
		}
	}
}

var good = []string{
	"gw.example.net:3128", "gw:80", "192.0.2.1:3128", "[2001:db8::1]:65535", "xn--bcher-kva.example:1", "my_gw.example:3128",
}

var bad = []string{
	"", "gw.example.net", "gw.example.net:", ":3128", "gw.example.net:0", "gw.example.net:03128", "gw.example.net:+3128",
	"gw.example.net:65536", "gw.example.net:http", "http://gw.example.net:3128", "gw.example.net:3128/", "2001:db8::1:3128",
	"0.0.0.0:3128", "[::]:3128", "[::ffff:0.0.0.0]:3128", "[fe80::1%eth0]:3128", "[gw.example.net:3128", "user@gw:3128",
	`gw";alert(1);":3128`, "gw; DIRECT:3128", "gw\n:3128", "gw\u2028:3128", "bücher.example:3128", "-gw.example:3128",
	"gw-.example:3128", "gw..example:3128", "gw.example.:3128", "1.2.3:3128", "010.0.0.1:3128", "0x7f.0x1:3128", "1.2.3.08:3128", "gw.0X:3128",
	strings.Repeat("a", 64) + ".example:3128", strings.Repeat("a.", 126) + "aa:3128",
}

func TestProxies(t *testing.T) {
	t.Parallel()
	for _, proxy := range good {
		text, err := divert.PAC(proxy, divert.Options{})
		if err != nil || !strings.Contains(text, `var proxy = "PROXY `+proxy+`";`) {
			t.Errorf("PAC(%q): %v", proxy, err)
		}
	}
	for _, proxy := range bad {
		if text, err := divert.PAC(proxy, divert.Options{}); err == nil || text != "" {
			t.Errorf("PAC(%q) is not refused", proxy)
		}
	}
}

func TestDirectNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "*.example.net", "example.net.", "http://example.net", "a b", `"]`, "10.0.0.0", "bücher.example"} {
		if _, err := divert.PAC("gw:3128", divert.Options{Direct: []string{name}}); err == nil {
			t.Errorf("direct name %q is not refused", name)
		} else if !strings.Contains(err.Error(), "direct name") {
			t.Errorf("direct name %q: %v", name, err)
		}
	}
}

// Whatever is put in, only the two lines that hold it change, and they stay ASCII without a quote of their own.
func FuzzPAC(f *testing.F) {
	for _, proxy := range append(good, bad...) {
		f.Add(proxy, "intranet.example.net")
		f.Add("gw:3128", proxy)
	}
	plain, err := divert.PAC("gw:3128", divert.Options{Direct: []string{"x.example"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, proxy, direct string) {
		text, err := divert.PAC(proxy, divert.Options{Direct: []string{direct}})
		if err != nil {
			return
		}
		want := strings.Replace(plain, "PROXY gw:3128", "PROXY "+proxy, 1)
		want = strings.Replace(want, "x.example", strings.ToLower(direct), 1)
		if text != want {
			t.Errorf("PAC(%q, %q) is\n%s", proxy, direct, text)
		}
		if strings.ContainsAny(proxy+direct, "\"'\\;<> \r\n\t") {
			t.Errorf("PAC(%q, %q) is not refused", proxy, direct)
		}
		for _, c := range []byte(text) {
			if c > '~' || c < ' ' && c != '\n' {
				t.Fatalf("PAC(%q, %q) holds byte %#x", proxy, direct, c)
			}
		}
	})
}
