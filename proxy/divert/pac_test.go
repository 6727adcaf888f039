package divert_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/proxy/divert"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestGolden(t *testing.T) {
	t.Parallel()
	const file = "testdata/proxy.pac"
	got, err := divert.PAC("gw.example.net:3128", divert.Options{Direct: []string{"Intranet.example.net"}})
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

// The standard helper functions, as far as the text uses them. The ones that ask the DNS are traps.
const helpers = `
function isPlainHostName(host) { return host.indexOf(".") < 0; }
function dnsDomainIs(host, domain) {
  return host.length >= domain.length && host.substring(host.length - domain.length) === domain;
}
function dnsResolve(host) { throw new Error("looks up " + host); }
var isInNet = dnsResolve, isResolvable = dnsResolve, dnsResolveEx = dnsResolve, isInNetEx = dnsResolve;
`

func TestFindProxyForURL(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no JavaScript engine here to run the text: node is not installed")
	}
	const direct, proxied = "DIRECT", "PROXY gw.example.net:3128"
	tests := []struct{ host, want string }{
		{"s01.upd.kaspersky.com", proxied},
		{"S01.UPD.Kaspersky.COM", proxied},
		{"s01.upd.kaspersky.com.", proxied},
		{"example.org", proxied},

		{"printer", direct},
		{"PRINTER", direct},
		{"printer.", direct},
		{"localhost", direct},
		{"app.localhost", direct},
		{"nas.local", direct},
		{"NAS.LOCAL.", direct},
		{"router.home.arpa", direct},
		{"home.arpa", direct},
		{"vault.internal", direct},
		{"intranet.example.net", direct},
		{"wiki.intranet.example.net", direct},
		{"notlocal", direct}, // no dot
		{"a.notlocal", proxied},
		{"local.example.org", proxied},
		{"localhost.example.org", proxied},
		{"nothome.arpa", proxied},
		{"notintranet.example.net", proxied},
		{"example.net", proxied},

		{"127.0.0.1", direct},
		{"127.255.255.255", direct},
		{"10.0.0.1", direct},
		{"169.254.169.254", direct},
		{"172.16.0.1", direct},
		{"172.31.255.255", direct},
		{"192.168.1.1", direct},
		{"9.255.255.255", proxied},
		{"11.0.0.1", proxied},
		{"100.64.0.1", proxied},
		{"126.0.0.1", proxied},
		{"169.253.0.1", proxied},
		{"172.15.255.255", proxied},
		{"172.32.0.1", proxied},
		{"192.167.0.1", proxied},
		{"192.0.2.1", proxied},
		{"10.0.0.1.example.org", proxied},
		{"10.example.org", proxied},
		{"192.168.example.org", proxied},

		{"::1", direct},
		{"[::1]", direct},
		{"fe80::1", direct},
		{"[FEBF::1]", direct},
		{"fc00::1", direct},
		{"fd12:3456::1", direct},
		{"fec0::1", proxied},
		{"fe8::1", proxied}, // 0fe8::1
		{"fd::1", proxied},  // 00fd::1
		{"::11", proxied},
		{"::", proxied},
		{"2001:db8::1", proxied},
		{"[2001:db8::1]", proxied},
	}
	text, err := divert.PAC("gw.example.net:3128", divert.Options{Direct: []string{"Intranet.example.net"}})
	if err != nil {
		t.Fatal(err)
	}
	hosts := make([]string, len(tests))
	for i, tt := range tests {
		hosts[i] = tt.host
	}
	list, err := json.Marshal(hosts)
	if err != nil {
		t.Fatal(err)
	}
	ask := `console.log(JSON.stringify(` + string(list) + `.map(h => FindProxyForURL("https://" + h + "/", h))));`
	cmd := exec.Command(node, "-")
	cmd.Stdin = strings.NewReader(helpers + text + ask)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	var got []string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for i, tt := range tests {
		if got[i] != tt.want {
			t.Errorf("%s: %s, want %s", tt.host, got[i], tt.want)
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
