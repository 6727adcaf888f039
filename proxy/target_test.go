package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// send sends one plain request with this target and Host, and returns the answer.
func (r *rig) send(target, hostField string) answer {
	r.t.Helper()
	return r.wire().send("GET " + target + " HTTP/1.1\r\nHost: " + hostField + "\r\nConnection: close\r\n\r\n").answer(http.MethodGet)
}

func TestTheTargetWinsOverHost(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+" "+r.RequestURI) })
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	for target, want := range map[string]string{
		"http://free.example/a?b=c":      "free.example /a?b=c",
		"HTTP://FREE.example./%7Ea/b/..": "free.example /%7Ea/b/..",
		"http://free.example:080080/":    "",
		"http://free.example:80/":        "free.example /",
		"http://free.example:443/x":      "free.example:443 /x",
		"http://free.example?q":          "free.example /?q",
		"http://free.example":            "free.example /",
		"http://free.example//evil/":     "free.example //evil/",
	} {
		a := r.send(target, "cloud.acme.example")
		if want == "" {
			a.want(t, http.StatusBadRequest)
		} else if a.want(t, http.StatusOK); a.body != want {
			t.Errorf("%s: the origin got %q, want %q", target, a.body, want)
		}
	}
	r.send("http://cloud.acme.example/", "free.example").want(t, http.StatusUnavailableForLegalReasons)
}

func TestTargetsThatAreNoPlainRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	for target, status := range map[string]int{
		"https://free.example/": http.StatusBadRequest,
		"ftp://free.example/":   http.StatusBadRequest,
		"ws://free.example/":    http.StatusBadRequest,
		"http:///path":          http.StatusBadRequest,
		"http:free.example":     http.StatusBadRequest,
		"free.example/path":     http.StatusBadRequest,
		"/path":                 http.StatusNotFound,
		// What a path rule could not be held against is not asked about.
		"http://free.example/v6/%0d/../index": http.StatusBadRequest,
		"http://free.example/v6/%00":          http.StatusBadRequest,
		"http://free.example/v6/%7f":          http.StatusBadRequest,
		"http://free.example/v6//../index":    http.StatusBadRequest,
		"http://free.example/v6/%2f../index":  http.StatusBadRequest,
		"//free.example/":                     http.StatusNotFound,
	} {
		r.send(target, "free.example").want(t, status)
	}
	r.wire().send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").answer(http.MethodOptions).want(t, http.StatusNotFound)
}

func TestOriginFormIsLocal(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{change: func(c *Config) {
		c.Local = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "local "+r.URL.Path) })
	}})
	w := r.wire()
	for range 2 {
		a := w.send("GET /proxy.pac HTTP/1.1\r\nHost: free.example\r\n\r\n").answer(http.MethodGet).want(t, http.StatusOK)
		if a.body != "local /proxy.pac" {
			t.Error(a.body)
		}
	}
}

// oddHosts are authorities that are refused rather than repaired. policy/host has the full table.
var oddHosts = []string{
	"", ":80", "user@free.example", "user:pass@free.example", "free.example@cloud.acme.example", "cloud.acme.example@", "free.example:", "free.example:+80",
	"free.example:-1", "free.example:0", "free.example:65536", "free.example:65616", "free.example:4294967376", "free.example:http",
	"free..example", ".free.example", "free.example..", "-free.example", "free-.example", "free%2eexample", "%66ree.example",
	"free.example%00", "[free.example]", "[::1", "::1", "[::1]x", "[fe80::1%25lo]", "[::1%lo]", "2130706433", "0x7f000001", "127.1", "0177.0.0.1", "127.0.0.01",
	"127.0.0.1.", "1.2.3.4.5", "256.256.256.256", "a.b.99", "free_.example:80:80", "xn--.example", "xn--a.example", "free\\.example",
	"free.example;x", "free.example,x", "free.example\\@cloud.acme.example", "free^example", "free|example", "free`example", "{free}.example",
	strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example",
}

func TestOddHostsAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{settings: "unseen: {address: allow}"})
	for _, host := range oddHosts {
		r.send("http://"+host+"/", "free.example").want(t, http.StatusBadRequest)
		a := r.refused(host+":443", "", http.StatusBadRequest)
		if a.Header.Get("Connection") != "close" && !a.Close {
			t.Errorf("CONNECT %s: the connection is not announced to end", host)
		}
	}
	if n := len(r.seen.all()); n != 0 {
		t.Errorf("the observer was told of %v", r.seen.all())
	}
	for _, line := range r.logs.All() {
		for _, field := range line.Context {
			if strings.Contains(field.String, "pass") {
				t.Errorf("logged: %v", line)
			}
		}
	}
	r.quiet.close()
	if heardIn(r.logs.FilterMessage("request not understood")) < int64(len(oddHosts)) {
		t.Errorf("%d lines in the log", r.logs.Len())
	}
}

func TestSpellingsOfABlockedHost(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	for _, host := range []string{"CLOUD.acme.EXAMPLE", "cloud.acme.example.", "cloud.acme.example:80", "Cloud.Acme.Example.:443"} {
		r.send("http://"+host+"/", host).want(t, http.StatusUnavailableForLegalReasons)
	}
	for _, host := range []string{"CLOUD.acme.EXAMPLE:443", "cloud.acme.example.:443"} {
		r.refused(host, "", http.StatusUnavailableForLegalReasons)
	}
}

// guardedAddresses has one address of each range that design and security list.
var guardedAddresses = []string{
	"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.0.1", "169.254.169.254",
	"100.64.0.1", "100.127.255.255", "100.100.100.200", "192.0.0.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::7f00:1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
	"64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::",
}

func TestGuardedAddressesByLiteral(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	for _, addr := range guardedAddresses {
		authority := net.JoinHostPort(addr, "80")
		a := r.send("http://"+authority+"/", "x").want(t, http.StatusForbidden)
		checkGuarded(t, authority, a)
		checkGuarded(t, authority, r.refused(authority, "", http.StatusForbidden))
	}
	if got := r.seen.count("guarded destination"); got != 2*len(guardedAddresses) {
		t.Errorf("%d guarded, want %d", got, 2*len(guardedAddresses))
	}
	for _, rec := range r.records.all() {
		if rec.Event != audit.Refused || rec.Guard != "destination" || rec.Status != http.StatusForbidden {
			t.Errorf("record: %+v", rec)
		}
	}
}

func TestGuardedAddressesByName(t *testing.T) {
	t.Parallel()
	dns := make(map[string][]string)
	for i, addr := range guardedAddresses {
		dns[fmt.Sprintf("n%d.example", i)] = []string{addr}
	}
	r := newRig(t, rigSetup{dns: dns})
	for i, addr := range guardedAddresses {
		name := fmt.Sprintf("n%d.example", i)
		for _, a := range []answer{
			r.send("http://"+name+"/", "x").want(t, http.StatusForbidden),
			r.refused(name+":443", "", http.StatusForbidden),
		} {
			checkGuarded(t, name, a)
			if all := fmt.Sprint(a.Header, a.body); strings.Contains(all, addr) {
				t.Errorf("%s: the answer tells the address: %s", name, all)
			}
		}
	}
}

func checkGuarded(t *testing.T, what string, a answer) {
	t.Helper()
	if got := a.Header.Get("Proxy-Status"); !strings.HasPrefix(got, `gracegate; error=destination_ip_prohibited; details="destination: `) {
		t.Errorf("%s: Proxy-Status %q", what, got)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, "guard.destination") {
		t.Errorf("%s: %v %s", what, a.Header, a.body)
	}
}

func TestANameThatResolvesDifferentlyTheSecondTime(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	other := webOrigin(t, greet)
	port, otherPort := portOf(t, o.addr), portOf(t, other.addr)
	r := newRig(t, rigSetup{
		dns:    map[string][]string{"rebinds.example": {"127.0.0.1", "127.0.0.2"}, "moves.example": {"127.0.0.1", "10.0.0.1"}},
		allow:  []string{"127.0.0.1/32"},
		change: func(c *Config) { c.Ports = func(uint16) bool { return true } },
	})
	r.send("http://rebinds.example:"+port+"/", "x").want(t, http.StatusOK)
	r.send("http://rebinds.example:"+otherPort+"/", "x").want(t, http.StatusForbidden)
	if other.came.Load() != 0 {
		t.Error("an address that was not judged was dialled")
	}
	r.tunnel("moves.example:" + port)
	r.refused("moves.example:"+port, "", http.StatusForbidden)
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestOwnListenersAreNoDestination(t *testing.T) {
	t.Parallel()
	admin := webOrigin(t, greet)
	r := newRig(t, rigSetup{
		dns: map[string][]string{"me.example": {"127.0.0.1"}}, allow: []string{"0.0.0.0/0", "::/0"}, refused: []string{admin.addr},
		hosts:  map[string]string{"named.example": admin.addr},
		change: func(c *Config) { c.Ports = func(uint16) bool { return true } },
	})
	for _, port := range []string{portOf(t, r.addr), portOf(t, admin.addr)} {
		for _, name := range []string{"127.0.0.1", "me.example", "[::ffff:127.0.0.1]", "0.0.0.0"} {
			r.send("http://"+name+":"+port+"/", "x").want(t, http.StatusForbidden)
			r.refused(name+":"+port, "", http.StatusForbidden)
		}
	}
	r.send("http://named.example/", "x").want(t, http.StatusForbidden)
	r.refused("named.example:443", "", http.StatusForbidden)
	if admin.came.Load() != 0 {
		t.Error("the admin listener was dialled")
	}
}

func TestAddressLiterals(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	port := portOf(t, o.addr)
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	open := func(c *Config) { c.Ports = func(p uint16) bool { return int(p) == n } }
	allowed := newRig(t, rigSetup{allow: []string{"127.0.0.1/32"}, change: open})
	allowed.send("http://127.0.0.1:"+port+"/", "x").want(t, http.StatusOK)
	allowed.tunnel("127.0.0.1:" + port)

	blocked := newRig(t, rigSetup{allow: []string{"127.0.0.1/32"}, change: open, settings: "unseen: {address: block}"})
	before := o.came.Load()
	blocked.send("http://127.0.0.1:"+port+"/", "x").want(t, http.StatusForbidden)
	blocked.refused("127.0.0.1:"+port, "", http.StatusForbidden)
	if o.came.Load() != before {
		t.Error("a refused address was dialled")
	}
	if rec := blocked.recorded(audit.Refused); rec.State != policy.Unseen || rec.Cause.ID != "address" {
		t.Errorf("record: %+v", rec)
	}
}
