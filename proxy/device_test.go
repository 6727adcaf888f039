package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// deviceYAML has a waiver for a device, past the deadline.
const deviceYAML = operatorYAML + `
waivers:
  - {id: CHG-7, clients: ["mac:00:16:3e:aa:bb:cc"], vendor: acme, until: 2025-01-01T00:00:00Z, owner: ops@test.example, reason: "to be replaced"}
`

// oneDevice is behind every address, and counts the questions.
type oneDevice struct {
	mac, hostname string
	asked         atomic.Int64
}

func (d *oneDevice) Lookup(client netip.Addr) (mac, hostname string) {
	d.asked.Add(1)
	if client != netip.MustParseAddr("127.0.0.1") {
		return "", ""
	}
	return d.mac, d.hostname
}

// devicesRig is a rig past the deadline, with a waiver for one device.
func devicesRig(t *testing.T, setup rigSetup, mac string) (*rig, *oneDevice) {
	t.Helper()
	d := &oneDevice{mac: mac, hostname: "laptop-7"}
	setup.change = func(c *Config) { c.Devices = d }
	r := newRig(t, setup)
	r.enforceText(deviceYAML, 0)
	r.clock.set(deadline)
	return r, d
}

func (d *oneDevice) checkAsked(t *testing.T, want int64) {
	t.Helper()
	if got := d.asked.Swap(0); got != want {
		t.Errorf("asked %d times for the device, want %d", got, want)
	}
}

func checkDevice(t *testing.T, rec *audit.Record, state policy.State) {
	t.Helper()
	if rec.MAC != "00:16:3e:aa:bb:cc" || rec.Hostname != "laptop-7" || rec.State != state {
		t.Errorf("%s: device %q %q, state %v, want %v", rec.Kind, rec.MAC, rec.Hostname, rec.State, state)
	}
}

// A device with a waiver passes on every road, and is told in the record; it is asked for once on a connection of the fast lane.
func TestWaiverOfADevice(t *testing.T) {
	t.Parallel()
	web := webOrigin(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "update") })
	r, d := devicesRig(t, rigSetup{hosts: map[string]string{"s01.upd.acme.example": web.addr}}, "00:16:3e:aa:bb:cc")
	const get = "GET http://s01.upd.acme.example/u.xml HTTP/1.1\r\nHost: s01.upd.acme.example\r\n\r\n"
	w := r.wire()
	for range 3 {
		w.send(get).answer(http.MethodGet).want(t, http.StatusOK)
	}
	d.checkAsked(t, 1)
	rec := r.recorded(audit.End)
	checkDevice(t, &rec, policy.Waived)

	r.do(http.MethodPost, "http://s01.upd.acme.example/", strings.NewReader("x")).want(t, http.StatusOK) // by net/http
	d.checkAsked(t, 1)
	rec = r.records.wait(t, "record of a POST", func(rec audit.Record) bool { return rec.Method == http.MethodPost })
	checkDevice(t, &rec, policy.Waived)

	tunnel := r.tunnel("s01.upd.acme.example:443")
	open, _ := r.OpenFlows(10)
	if len(open) != 1 || open[0].MAC != "00:16:3e:aa:bb:cc" || open[0].Hostname != "laptop-7" {
		t.Errorf("open: %+v", open)
	}
	_ = tunnel.Close()
	rec = r.records.wait(t, "record of a tunnel", func(rec audit.Record) bool { return rec.Kind == "tunnel" && rec.Event == audit.End })
	checkDevice(t, &rec, policy.Waived)
	d.checkAsked(t, 1)
}

// A device without a waiver is refused, as is one that nobody knows.
func TestNoWaiverOfADevice(t *testing.T) {
	t.Parallel()
	for _, mac := range []string{"00:16:3e:aa:bb:cd", ""} {
		r, _ := devicesRig(t, rigSetup{}, mac)
		r.get("http://s01.upd.acme.example/u.xml").want(t, http.StatusUnavailableForLegalReasons)
		if rec := r.recorded(audit.Refused); rec.MAC != mac || rec.State != policy.Blocked {
			t.Errorf("recorded %q, %v", rec.MAC, rec.State)
		}
	}
}

// The requests inside of an intercepted connection are of its device.
func TestDeviceInside(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		d := &oneDevice{mac: "00:16:3e:aa:bb:cc", hostname: "laptop-7"}
		o, roots := secureOrigin(t, func(http.ResponseWriter, *http.Request) {})
		l := newLooker(t, rigSetup{hosts: map[string]string{mixed: o.addr}, change: func(c *Config) { c.Devices = d }}, roots)
		browser := l.browser(http2)
		for range 2 {
			l.look(browser, "https://"+mixed+"/v5/u.xml").want(t, http.StatusOK)
		}
		rec := l.records.wait(t, "record of a request inside", func(rec audit.Record) bool { return rec.Kind == "intercepted" })
		checkDevice(t, &rec, rec.State)
		d.checkAsked(t, 1)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	down := linkOf("eth9", "10.9.0.1/24", "2a00:9::1/64")
	down.up = false
	line := linkOf("ppp0", "10.8.0.1/24", "fe80::1/64")
	line.pointToPoint = true
	loop := linkOf("lo", "127.0.0.1/8", "::1/128")
	loop.loopback = true
	machine := []link{
		1: linkOf("lan0", "10.1.0.1/24", "2a00:1::1/64", "fe80::1/64"),
		2: linkOf("lan1", "fd00:2::1/64", "2a00:2::1/64", "fe80::1/64"),
		3: linkOf("wan0", "198.51.100.7/24", "2a00:3::1/64", "fe80::1/64"),
		4: linkOf("wan1", "10.5.0.1/24", "198.51.101.7/25", "2a00:5::1/64"),
		5: linkOf("lan2", "10.1.0.2/16"),
		6: down, 7: line, 8: loop,
	}
	for i := range machine {
		machine[i].index = i
	}
	for _, tt := range []struct{ allow, addr, want string }{
		{"on-link", "10.1.0.9", "[1 5]"},
		{"on-link", "10.1.1.9", "[5]"},
		{"on-link", "2a00:1::2", "[1]"},
		{"on-link", "2a00:2::ffff:ffff:ffff:ffff", "[2]"},
		{"on-link", "fe80::2", "[1 2]"}, // on either of the inner ones
		{"on-link", "10.2.0.1", "[]"},   // behind a router
		{"on-link", "2a00:1:0:1::2", "[]"},
		{"on-link", "198.51.100.9", "[]"}, // a neighbour at the outer side
		{"on-link", "2a00:3::2", "[]"},
		{"on-link", "10.5.0.9", "[]"},
		{"on-link", "10.9.0.2", "[]"},
		{"on-link", "10.8.0.2", "[]"},
		{"on-link", "127.0.0.1", "[]"},
		{"", "10.1.0.9", "[1 5]"}, // whether it is admitted is told elsewhere
		{"198.51.100.0/24", "198.51.100.9", "[3]"},
		{"198.51.0.0/16 2a00:3::/48", "198.51.101.9", "[4]"},
		{"198.51.0.0/16 2a00:3::/48", "2a00:3::2", "[3]"},
		{"198.51.101.9", "198.51.101.9", "[]"}, // one admitted address makes no inner network
		{"198.51.101.0/26", "198.51.101.9", "[]"},
		{"0.0.0.0/0 2000::/3", "198.51.100.9", "[]"}, // nor does all the world
		{"0.0.0.0/0 2000::/3", "2a00:3::2", "[]"},
	} {
		clients := clientsOn(t, strings.Fields(tt.allow), machine...)
		if got := fmt.Sprint(clients.Links(netip.MustParseAddr(tt.addr))); got != tt.want {
			t.Errorf("[%s]: %s is a neighbour on %s, want %s", tt.allow, tt.addr, got, tt.want)
		}
	}
}

// A link that was made anew has another index, although its networks are the same.
func TestLinksAreReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lan := linkOf("lan0", "10.1.0.1/24")
		lan.index = 3
		clients := clientsOn(t, nil, lan)
		expect := func(want string) {
			t.Helper()
			if got := fmt.Sprint(clients.Links(netip.MustParseAddr("10.1.0.9"))); got != want {
				t.Errorf("a neighbour on %s, want %s", got, want)
			}
		}
		expect("[3]")
		lan.index = 7
		clients.links.read = func() ([]link, error) { return []link{lan}, nil }
		time.Sleep(interfacesMaxAge - 1)
		expect("[3]")
		time.Sleep(time.Nanosecond)
		expect("[7]")
	})
}
