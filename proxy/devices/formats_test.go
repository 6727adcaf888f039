package devices

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// now is when the leases of the tests are read; some end an hour later, some have ended.
var now = time.Unix(1795906000, 0)

// The texts are as dnsmasq 2.90 and Kea 2.2 wrote them, with more of each kind.
const (
	dnsmasqText = `1795909845 00:16:3e:aa:bb:cc 10.77.0.117 laptop-7 01:00:16:3e:aa:bb:cc
0 00:16:3E:AA:BB:01 10.77.0.118 * *
1795905999 00:16:3e:aa:bb:02 10.77.0.119 gone *
43200 00:16:3e:aa:bb:03 10.77.0.120 no-clock *
1795909845 06-00:16:3e:aa:bb:04 10.77.0.121 other-hardware *
1795909845 00:00:00:00:00:00 10.77.0.122 no-mac *
1795909845 00:16:3e:aa:bb:05 10.77.0.123
duid 00:01:00:01:32:9e:17:41:da:dd:3a:9e:1b:52
1795909847 1051376588 fd77::1fb laptop-7 00:01:00:01:32:9e:17:45:00:16:3e:aa:bb:cc
1795909847 T1051376588 fd77::1fc printer 00:03:00:01:00:16:3e:aa:bb:06
1795909847 3 fd77::1fd by-uuid 00:04:2b:3f:4a:b1:7c:e0:4f:0a:91:55:9d:0c:1e:22:33:44
1795909847 4 fd77::1fe * 00:01:00:01:32:9e:17:45
`
	kea4Text = `address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context
10.77.0.160,00:16:3e:aa:bb:cc,01:00:16:3e:aa:bb:cc,3600,1795909866,1,0,0,laptop-7,0,
10.77.0.161,00:16:3e:aa:bb:01,,3600,1795909866,1,0,0,first,0,
10.77.0.161,00:16:3e:aa:bb:02,,3600,1795909867,1,0,0,last,0,{ "a": "b&#x2cc" }
10.77.0.162,00:16:3e:aa:bb:03,,3600,1795909866,1,0,0,deleted,0,
10.77.0.162,00:16:3e:aa:bb:03,,0,1795909866,1,0,0,deleted,0,
10.77.0.163,00:16:3e:aa:bb:04,,3600,1795909866,1,0,0,declined,0,
10.77.0.163,,,3600,1795909866,1,0,0,,1,
10.77.0.164,00:16:3e:aa:bb:05,,3600,1795909866,1,0,0,reclaimed,2,
10.77.0.165,00:16:3e:aa:bb:06,,3600,1795905000,1,0,0,over,0,
10.77.0.166,00:16:3e:aa:bb:07,,4294967295,6090873296,1,0,0,endless,0,
10.77.0.167,80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:01:02:03,,3600,1795909866,1,0,0,a&#x2cb&#xzz.example.,0,
`
	kea6Text = `address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source
fd77::200,00:01:00:01:32:9e:17:92:00:16:3e:aa:bb:cd,3600,1795909923,1,3000,0,1051376588,128,0,0,laptop-7.,00:16:3e:aa:bb:cc,0,,1,2
fd77::201,00:01:00:01:32:9e:17:92:00:16:3e:aa:bb:01,3600,1795909923,1,3000,1,1,128,0,0,temporary,,0,,,
fd78::,00:01:00:01:32:9e:17:92:00:16:3e:aa:bb:02,3600,1795909923,1,3000,2,2,56,0,0,router,00:16:3e:aa:bb:02,0,,1,2
`
)

// taken is what a file says, as one line for each address, and how many of its lines were skipped.
func taken(t *testing.T, text string) (map[string]string, int) {
	t.Helper()
	in := &intake{now: now.Unix(), leases: map[netip.Addr]lease{}}
	if err := in.readLines(strings.NewReader(text), "leases", true); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for addr, l := range in.leases {
		if l.until <= now.Unix() {
			t.Errorf("%v has ended: %+v", addr, l)
		}
		all[addr.String()] = strings.TrimSpace(l.mac + " " + l.name)
	}
	return all, in.skipped
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text    string
		want    map[string]string
		skipped int
	}{
		"dnsmasq": {dnsmasqText, map[string]string{
			"10.77.0.117": "00:16:3e:aa:bb:cc laptop-7", "10.77.0.118": "00:16:3e:aa:bb:01", "10.77.0.120": "00:16:3e:aa:bb:03 no-clock",
			"10.77.0.121": "other-hardware", "10.77.0.122": "no-mac",
			"fd77::1fb": "00:16:3e:aa:bb:cc laptop-7", "fd77::1fc": "00:16:3e:aa:bb:06 printer", "fd77::1fd": "by-uuid", "fd77::1fe": "",
		}, 1},
		"Kea, DHCPv4": {kea4Text, map[string]string{
			"10.77.0.160": "00:16:3e:aa:bb:cc laptop-7", "10.77.0.161": "00:16:3e:aa:bb:02 last", "10.77.0.166": "00:16:3e:aa:bb:07 endless",
			"10.77.0.167": "a,b&#xzz.example",
		}, 0},
		"Kea, DHCPv6": {kea6Text, map[string]string{"fd77::200": "00:16:3e:aa:bb:cc laptop-7", "fd77::201": "00:16:3e:aa:bb:01 temporary"}, 0},
		"Kea, its columns in another order": {
			"state,expire,hostname,hwaddr,address\n0,1795909866,a,00:16:3e:aa:bb:cc,10.0.0.1\n", map[string]string{"10.0.0.1": "00:16:3e:aa:bb:cc a"}, 0,
		},
		"Kea, with lines of an older version": {
			"address,hwaddr,expire,hostname,state,user_context\n10.0.0.1,00:16:3e:aa:bb:cc,1795909866,a\n", map[string]string{"10.0.0.1": "00:16:3e:aa:bb:cc a"}, 0,
		},
		"Kea, malformed": {
			"address,hwaddr,expire\n10.0.0.1,00:16:3e:aa:bb:cc\n10.0.0.1.2,,1795909866\nfe80::1%eth0,,1795909866\n\n10.0.0.1,,soon\n", map[string]string{}, 4,
		},
		"dnsmasq, malformed": {
			"x\n-1 00:16:3e:aa:bb:cc 10.0.0.1 a *\n9999999999999999999999 00:16:3e:aa:bb:cc 10.0.0.1 a *\n1795909866 00:16:3e:aa:bb:cc fe80::1%a a *\nduid\n\n",
			map[string]string{},
			5,
		},
		"CRLF":           {strings.ReplaceAll(kea6Text, "\n", "\r\n"), map[string]string{"fd77::200": "00:16:3e:aa:bb:cc laptop-7", "fd77::201": "00:16:3e:aa:bb:01 temporary"}, 0},
		"empty":          {"", map[string]string{}, 0},
		"a header alone": {kea4Text[:strings.Index(kea4Text, "\n")+1], map[string]string{}, 0},
		"no end of line": {"1795909866 00:16:3e:aa:bb:cc 10.0.0.1 a *", map[string]string{"10.0.0.1": "00:16:3e:aa:bb:cc a"}, 0},
		"half a line":    {"1795909866 00:16:3e:aa:bb:cc 10.0.0.1 a *\n1795909866 00:16:3e:aa", map[string]string{"10.0.0.1": "00:16:3e:aa:bb:cc a"}, 0},
		"a long line":    {strings.Repeat("x", 3*maxLine) + "\n1795909866 00:16:3e:aa:bb:cc 10.0.0.1 a *\n", map[string]string{"10.0.0.1": "00:16:3e:aa:bb:cc a"}, 1},
		"a long end":     {"1795909866 00:16:3e:aa:bb:cc 10.0.0.1 a *\n" + strings.Repeat("x", 3*maxLine), map[string]string{"10.0.0.1": "00:16:3e:aa:bb:cc a"}, 0},
		"a long name":    {"1795909866 00:16:3e:aa:bb:cc 10.0.0.1 " + strings.Repeat("x", 300) + " *\n", map[string]string{"10.0.0.1": "00:16:3e:aa:bb:cc"}, 0},
		"another format": {"lease 10.0.0.1 {\n  hardware ethernet 00:16:3e:aa:bb:cc;\n}\n", map[string]string{}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, skipped := taken(t, tt.text)
			if diff := cmp.Diff(tt.want, got); diff != "" || skipped != tt.skipped {
				t.Errorf("%d lines skipped, want %d (-want +got)\n%s", skipped, tt.skipped, diff)
			}
		})
	}
}

// Whatever a file holds: what comes out is in its one form and bounded, and a file that is read after another changes no more
// than its own addresses.
func FuzzLeases(f *testing.F) {
	for _, text := range []string{dnsmasqText, kea4Text, kea6Text, "", "\n", ",", "address,hwaddr,expire\n", "address,duid,expire\n::ffff:10.0.0.1,00:03:00:01:00:16:3e:aa:bb:cc,1795909866"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := &intake{now: now.Unix(), leases: map[netip.Addr]lease{}}
		if err := in.readLines(strings.NewReader(text), "leases", true); err != nil {
			t.Fatal(err)
		}
		b := newBook(in.leases)
		lines := strings.Count(text, "\n") + 1
		if len(b.leases)+in.skipped > lines || len(b.names) > len(b.leases) {
			t.Fatalf("%d leases, %d lines skipped, %d names of %d lines", len(b.leases), in.skipped, len(b.names), lines)
		}
		for addr, l := range b.leases {
			if addr.Is4In6() || addr.Zone() != "" || l.mac != macOf(l.mac) || len(l.name) > maxName || strings.ContainsRune(l.name, '\n') {
				t.Errorf("%v: %+v", addr, l)
			}
			mac, name := b.device(addr, "", now)
			if mac != l.mac || l.name != "" && name != l.name {
				t.Errorf("%v is %q %q, of %+v", addr, mac, name, l)
			}
		}
	})
}
