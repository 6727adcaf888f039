package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/proxy/divert"
)

// TestGateway does what docs/gateway.md says: rules by gracegate nft, a gateway, and gracegate doctor, which finds what is missing
// until nothing is.
func TestGateway(t *testing.T) {
	t.Parallel()
	const name = "redirected.upd.kaspersky.com"
	n := newNetwork(t, map[string][]string{name: {redirectedIPv4, redirectedIPv6}}, "curl", "setpriv")
	for _, addr := range []string{redirectedIPv4 + ":80", "[" + redirectedIPv6 + "]:80"} {
		n.origin(n.listen(addr), http.NotFoundHandler())
	}
	n.gateway.resolver(resolverIPv4)
	binary := buildGateway(t)
	n.gateway.wrapper = []string{"setpriv", "--bounding-set", "-net_admin,-net_raw"}
	p := n.serve(binary, nil, "--listen-transparent", ":3129", "--upstream-allow", outerAllowed, "--clock-at", "2024-10-01T00:00:00Z", "--data-dir", "data")
	doctor := func(want int) map[string]string {
		t.Helper()
		out, code := n.gateway.run(binary, "doctor", "--json", "--listen-transparent", ":3129", "--listen-proxy", p.proxy, "--listen-admin", p.admin,
			"--data-dir", p.cmd.Dir+"/data", "--clock-at", "2024-10-01T00:00:00Z")
		var found []finding
		if err := json.Unmarshal([]byte(out), &found); err != nil || code != want {
			t.Fatalf("it ended with %d, want %d: %v\n%s", code, want, err, out)
		}
		all := map[string]string{}
		for _, f := range found {
			all[f.Check] = string(f.Status) + ": " + f.Message
		}
		return all
	}
	load := func(flags ...string) {
		t.Helper()
		rules, code := n.gateway.run(binary, append([]string{"nft", "--listen-transparent", ":3129"}, flags...)...)
		if code != 0 {
			t.Fatal(rules)
		}
		n.filter(rules)
	}
	expect := func(got map[string]string, want map[string]string) {
		t.Helper()
		for check, start := range want {
			if !strings.HasPrefix(got[check], start) {
				t.Errorf("%s: %q, want %q", check, got[check], start)
			}
		}
	}
	refused := func(want string) {
		t.Helper()
		for _, w := range []way{{name, name, redirectedIPv4, "-4"}, {name, name, redirectedIPv6, "-6"}} {
			if got := w.curl(n, "http", "/"); got != want {
				t.Errorf("%s: %s, want %s", w.family, got, want)
			}
		}
	}

	expect(doctor(exitMatched), map[string]string{
		"policy": "ok: the built-in one", "data directory": "ok: ", "resolver": "ok: " + resolverIPv4 + ", by /etc/resolv.conf",
		"port " + p.proxy: "ok: the gateway (process ", "port :3129": "ok: the gateway (process ", "port " + p.admin: "ok: the gateway (process ",
		"nftables": "fail: there is no table inet gracegate", "forwarding IPv4": "ok: ", "forwarding IPv6": "ok: ", "QUIC": "skip: ",
	})
	refused("404 0") // by the origin: nothing is sent to the gateway yet

	load("--interface", "inner", "--interface", "wg0", "--block-quic")
	expect(doctor(exitDone), map[string]string{
		"nftables":   "ok: what comes in on inner, wg0 is redirected: IPv4 to port 3129, IPv6 to port 3129",
		"interfaces": "warn: the rules are for wg0, ", "conntrack": "ok: ", "IPv6": "ok: ", "QUIC": "ok: ", "DNS": "warn: ", "TPROXY": "skip: ",
	})
	refused("451 0")

	load("--interface", "inner", "--force-dns", "--tproxy")
	expect(doctor(exitMatched), map[string]string{"TPROXY": "fail: packets with the mark are not routed", "DNS": "ok: ", "QUIC": "warn: "})
	for _, command := range divert.TPROXYRoutes() {
		if out, code := n.gateway.run("ip", strings.Fields(command)[1:]...); code != 0 {
			t.Fatal(out)
		}
	}
	expect(doctor(exitMatched), map[string]string{"TPROXY": "fail: the gateway (process "})

	load("--remove")
	if got := doctor(exitMatched)["nftables"]; !strings.HasPrefix(got, "fail: there is no table") {
		t.Error(got)
	}
	if err := p.stop(); err != nil {
		t.Errorf("the gateway ended with %v:\n%s", err, p.log())
	}
}
