// Package divert has the texts that bring clients to the gateway: a proxy auto-configuration file ([PAC]).
//
// A PAC file is an offer that a client may decline, so it enforces nothing: what must not get out any other way is a
// matter of routes and packet filters. The package does not serve the text, resolves no names, and does not know the
// policy: everything goes through the proxy, governed or not, and the gateway decides.
package divert

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// PACType is the media type of the text that [PAC] returns.
const PACType = "application/x-ns-proxy-autoconfig"

// Options are what an operator may add to a PAC file. The zero value adds nothing.
type Options struct {
	// Direct are DNS names that clients reach without the proxy, each with every name below it, besides those that are
	// local by their nature.
	Direct []string
}

//go:embed pac.js
var script string

// PAC returns a proxy auto-configuration file (JavaScript, ASCII) that sends a client to proxy, which is a host and
// port as the client sees them: "gw.example.net:3128", "192.0.2.1:3128" or "[2001:db8::1]:3128". Local destinations are
// reached directly: host names without a dot, the zones localhost, local (RFC 6762), home.arpa (RFC 8375) and internal,
// and literal addresses that are loopback, link-local or private.
//
// An error names the value that is not a proxy or a name. Names are to be in ASCII, IDNs as A-labels.
func PAC(proxy string, opts Options) (string, error) {
	if err := checkProxy(proxy); err != nil {
		return "", err
	}
	zones := []string{"localhost", "local", "home.arpa", "internal"}
	for _, name := range opts.Direct {
		if !isName(name) {
			return "", fmt.Errorf("direct name %q is not a DNS name in ASCII: give it without scheme, port and wildcard", name)
		}
		zones = append(zones, strings.ToLower(name))
	}
	return strings.NewReplacer(
		"PROXY_HERE", literal("PROXY "+proxy),
		"ZONES_HERE", literal(zones),
	).Replace(script), nil
}

func checkProxy(proxy string) error {
	host, port, err := net.SplitHostPort(proxy)
	if err != nil {
		return fmt.Errorf("proxy %q is not host:port: %w", proxy, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("proxy %q: port %q is not a number from 1 to 65535", proxy, port)
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil && isName(host):
		return nil
	case err != nil || addr.Zone() != "":
		return fmt.Errorf("proxy %q: %q is neither a DNS name in ASCII nor an address", proxy, host)
	case addr.Unmap().IsUnspecified():
		return fmt.Errorf("proxy %q: clients cannot connect to %s, name an address of the gateway", proxy, host)
	}
	return nil
}

var (
	label = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
	// What resolvers read as an address where it is the last label (WHATWG URL, 3.5).
	number = regexp.MustCompile(`^([0-9]+|0[xX][0-9A-Fa-f]*)$`)
)

// isName reports whether s is a DNS name of letters, digits, hyphens and underscores whose last label is not a number.
func isName(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return false
		}
	}
	return len(s) <= 253 && !number.MatchString(labels[len(labels)-1])
}

// literal writes v as a JavaScript literal. JSON is one as long as it is ASCII, which the checks above see to.
func literal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and lists of them always marshal
	}
	return string(text)
}
