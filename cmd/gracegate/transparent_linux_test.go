package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What the network has for the client. The filter redirects what goes to one address, and hands over what goes to the other as it
// came, so that both ways lead to the same listeners at once.
const (
	redirectedName = "redirected.upd.kaspersky.com"
	handedName     = "handed.upd.kaspersky.com"

	redirectedIPv4, redirectedIPv6 = "203.0.113.10", "2001:db8:2::10"
	handedIPv4, handedIPv6         = "203.0.113.20", "2001:db8:2::20"
	loopingIPv4                    = "203.0.113.30" // the filter redirects also what the gateway sends there

	dualPort, oldPort = 3129, 3130 // of a listener for both families, and of one for IPv4 alone
)

// transparentRuleset is what an operator writes for nftables, and the mark that it gives to what is handed over by TPROXY.
func transparentRuleset() (ruleset, mark string) {
	return fmt.Sprintf(`
table inet gracegate {
	chain redirected {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "inner" ip daddr { %[1]s, %[5]s } tcp dport 22 redirect to :%[7]d
		iifname "inner" ip daddr { %[1]s, %[5]s } meta l4proto tcp redirect to :%[6]d
		iifname "inner" ip6 daddr %[2]s meta l4proto tcp redirect to :%[6]d
	}
	chain sent {
		type nat hook output priority -100; policy accept;
		ip daddr %[5]s meta l4proto tcp redirect to :%[6]d
	}
	chain handed {
		type filter hook prerouting priority mangle; policy accept;
		iifname "inner" ip daddr %[3]s tcp dport 22 tproxy ip to :%[7]d meta mark set 0x1 accept
		iifname "inner" ip daddr %[3]s meta l4proto tcp tproxy ip to :%[6]d meta mark set 0x1 accept
		iifname "inner" ip6 daddr %[4]s meta l4proto tcp tproxy ip6 to :%[6]d meta mark set 0x1 accept
	}
}
`, redirectedIPv4, redirectedIPv6, handedIPv4, handedIPv6, loopingIPv4, dualPort, oldPort), "0x1"
}

// way is how a connection of the client comes to the gateway.
type way struct{ name, host, addr, family string }

var transparentWays = []way{
	{"REDIRECT, IPv4", redirectedName, redirectedIPv4, "-4"},
	{"REDIRECT, IPv6", redirectedName, redirectedIPv6, "-6"},
	{"TPROXY, IPv4", handedName, handedIPv4, "-4"},
	{"TPROXY, IPv6", handedName, handedIPv6, "-6"},
}

// TestTransparent runs a gateway before clients that know of no proxy: curl without any setting, and other protocols, by REDIRECT and
// TPROXY, IPv4 and IPv6, on both sides of the deadline.
func TestTransparent(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, map[string][]string{
		redirectedName: {redirectedIPv4, redirectedIPv6}, handedName: {handedIPv4, handedIPv6}, "looping.example": {loopingIPv4},
	}, "curl")
	ruleset, mark := transparentRuleset()
	n.filter(ruleset)
	n.takeForeign(mark)
	peers := newTransparentOrigins(t, n)

	const lead = 8 * time.Second
	gateway := n.serve(buildGateway(t), []string{`"gracegate.ended":"cut"`, `"message":"loop refused"`},
		"--listen-transparent", fmt.Sprintf(":%d,%s:%d", dualPort, gatewayIPv4, oldPort), "--upstream-allow", outerAllowed,
		"--clock-at", demoDeadline.Add(-lead).Format(time.RFC3339))
	var downloads sync.WaitGroup
	for _, w := range transparentWays {
		for _, scheme := range []string{"http", "https"} {
			downloads.Go(func() { cutDownload(t, n, w, scheme) })
		}
	}
	var updates sync.WaitGroup
	for _, w := range transparentWays {
		updates.Go(func() { checkUpdates(t, n, w, "200 0", "200 0") })
	}
	updates.Wait()
	if now, _, _ := gateway.policyTime(); !now.Before(demoDeadline) {
		t.Fatalf("the updates took %v, which is beyond the deadline", lead)
	}
	checkOtherProtocols(t, n)
	checkLoops(t, n, gateway)
	downloads.Wait() // until they are cut
	gateway.logged(`"gracegate.ended":"cut"`, 2*len(transparentWays))
	for _, w := range transparentWays {
		updates.Go(func() { checkUpdates(t, n, w, "451 0", "000 35") })
	}
	updates.Wait()
	checkOtherProtocols(t, n)
	peers.check(t)
	if err := gateway.stop(); err != nil {
		t.Errorf("the gateway ended with %v:\n%s", err, gateway.log())
	}
}

// at is a port where the client dials.
func (w way) at(port uint16) string {
	return netip.AddrPortFrom(netip.MustParseAddr(w.addr), port).String()
}

// curl asks for a URL, and returns the status and the exit code.
func (w way) curl(n *network, scheme, path string, more ...string) string {
	n.t.Helper()
	args := append([]string{w.family, "--silent", "--insecure", "--max-time", "60", "--output", "/dev/null", "--write-out", "%{http_code}"}, more...)
	status, code := n.client.run("curl", append(args, scheme+"://"+w.host+path)...)
	return fmt.Sprint(status, " ", code)
}

// TestTransparentResolve: with transparent.dial: resolve the gateway goes where the name leads, not where the client went. It may not
// take what TPROXY hands over, and says so; what is redirected it serves.
func TestTransparentResolve(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, map[string][]string{redirectedName: {redirectedIPv4}, "free.example": {handedIPv4}}, "curl", "setpriv")
	ruleset, _ := transparentRuleset()
	n.filter(ruleset)
	for _, a := range []string{redirectedIPv4, handedIPv4} {
		n.origin(n.listen(net.JoinHostPort(a, "80")), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, a) }))
	}
	const warning = `"message":"only what is redirected can be taken, nothing from TPROXY"`
	n.gateway.wrapper = []string{"setpriv", "--bounding-set", "-net_admin,-net_raw"}
	gateway := n.serve(buildGateway(t), []string{warning}, "--listen-transparent", fmt.Sprintf(":%d", dualPort), "--upstream-allow", outerAllowed,
		"--transparent-dial", "resolve", "--upstream-resolver", resolverIPv4+":53")
	gateway.logged(warning, 1)
	for host, want := range map[string]string{"free.example": handedIPv4, "203.0.113.99": redirectedIPv4} {
		out, code := n.client.run("curl", "--silent", "--header", "Host: "+host, "http://"+redirectedName+"/")
		if out != want || code != 0 {
			t.Errorf("a request for %s came to %q, %d, want %s", host, out, code, want)
		}
	}
}

func checkUpdates(t *testing.T, n *network, w way, plain, secure string) {
	t.Helper()
	if got := w.curl(n, "http", "/file"); got != plain {
		t.Errorf("%s: an update by http: %s, want %s", w.name, got, plain)
	}
	if got := w.curl(n, "https", "/file"); got != secure {
		t.Errorf("%s: an update by https: %s, want %s", w.name, got, secure)
	}
	// What the name is in the request decides, not where it goes.
	if got := w.curl(n, "http", "/file", "--header", "Host: free.example"); got != "200 0" {
		t.Errorf("%s: something else by http: %s", w.name, got)
	}
}

// cutDownload has a download begin that ends with the deadline, as curl can tell.
func cutDownload(t *testing.T, n *network, w way, scheme string) {
	t.Helper()
	if got := w.curl(n, scheme, "/trickle"); got != "200 18" && got != "200 56" {
		t.Errorf("%s: a download by %s at the deadline: %s", w.name, scheme, got)
	}
}

// checkOtherProtocols: what is neither HTTP nor TLS passes, whoever speaks first.
func checkOtherProtocols(t *testing.T, n *network) {
	t.Helper()
	var checks sync.WaitGroup
	for _, w := range transparentWays {
		checks.Go(func() {
			if got, err := n.client.says(w.at(7), "\x00\x01 echo"); got != "\x00\x01 echo" || err != nil {
				t.Errorf("%s: a client that speaks first: %q, %v", w.name, got, err)
			}
			if got, err := n.client.hears(w.at(22)); got != "SSH-2.0-origin\r\n" || err != nil {
				t.Errorf("%s: a server that speaks first: %q, %v", w.name, got, err)
			}
		})
	}
	checks.Wait()
}

// checkLoops: a connection to the listener itself, and the gateway's own that come back to it, are refused, once each.
func checkLoops(t *testing.T, n *network, gateway *process) {
	t.Helper()
	const counted = `gracegate_guarded_total{guard="loop"}`
	refused := gateway.metric(counted)
	direct := []string{
		net.JoinHostPort(gatewayIPv4, fmt.Sprint(dualPort)), net.JoinHostPort(gatewayIPv6, fmt.Sprint(dualPort)),
		net.JoinHostPort(gatewayIPv4, fmt.Sprint(oldPort)), net.JoinHostPort(outerIPv4, fmt.Sprint(dualPort)),
	}
	for _, addr := range direct {
		if _, err := n.client.says(addr, "GET / HTTP/1.1\r\nHost: free.example\r\n\r\n"); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("a connection to the listener %s: %v, want a reset", addr, err)
		}
	}
	refused += float64(len(direct))
	if got := gateway.metric(counted); got != refused {
		t.Errorf("%v loops were counted, want %v", got, refused)
	}
	looping := way{host: "looping.example", family: "-4"}
	if got := looping.curl(n, "http", "/"); got != "502 0" {
		t.Errorf("through a filter that redirects the gateway, too: %s, want 502", got)
	}
	if got := gateway.metric(counted); got != refused+1 {
		t.Errorf("%v loops were counted, want %v: one for the one connection that came back", got, refused+1)
	}
	gateway.logged(`"message":"loop refused"`, 1)
}

// transparentOrigins are the servers that the clients want.
type transparentOrigins struct {
	mu    sync.Mutex
	peers map[string]bool // who came
}

func newTransparentOrigins(t *testing.T, n *network) *transparentOrigins {
	t.Helper()
	secure, _, err := newOriginTLS()
	if err != nil {
		t.Fatal(err)
	}
	o := &transparentOrigins{peers: make(map[string]bool)}
	drip := &trickle{more: make(chan struct{}), finish: make(chan struct{})}
	t.Cleanup(func() { close(drip.finish) })
	mux := http.NewServeMux()
	mux.Handle("/trickle", drip)
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		o.came(r.RemoteAddr)
		_, _ = io.WriteString(w, "an update")
	})
	for _, a := range []string{redirectedIPv4, redirectedIPv6, handedIPv4, handedIPv6, loopingIPv4} {
		n.origin(n.listen(net.JoinHostPort(a, "80")), mux)
		n.origin(tls.NewListener(n.listen(net.JoinHostPort(a, "443")), secure), mux)
		n.stream(net.JoinHostPort(a, "7"), func(c net.Conn) {
			o.came(c.RemoteAddr().String())
			_, _ = io.Copy(c, c)
		})
		n.stream(net.JoinHostPort(a, "22"), func(c net.Conn) {
			_, _ = io.WriteString(c, "SSH-2.0-origin\r\n")
			_, _ = io.Copy(io.Discard, c)
		})
	}
	return o
}

func (o *transparentOrigins) came(from string) {
	peer, _, _ := strings.Cut(from, "]")
	if host, _, err := net.SplitHostPort(from); err == nil {
		peer = host
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.peers[peer] = true
}

// check: the gateway comes in its own name.
func (o *transparentOrigins) check(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.peers) != 2 || !o.peers[outerIPv4] || !o.peers[outerIPv6] {
		t.Errorf("to the origins came %v, want the gateway alone", o.peers)
	}
}
