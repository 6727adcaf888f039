// Package divert has the texts that bring clients to the gateway: a proxy auto-configuration file ([PAC]), and a ruleset of
// nftables ([NFT]) for those that know of no proxy.
//
// A PAC file is an offer that a client may decline, so it enforces nothing: what must not get out any other way is a
// matter of routes and packet filters. The package does not serve or load the texts, resolves no names, and does not know the
// policy: it is told which names are to go through the proxy, if not everything is, and the gateway decides.
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

// Options are what an operator may say of a PAC file besides the proxy. The zero value sends everything there that is not local.
type Options struct {
	// Direct are DNS names that clients reach without the proxy, each with every name below it, besides those that are
	// local by their nature.
	Direct []string

	// Only are the names that go through the proxy, unless they are direct or local; nil is everything.
	Only *Names
}

//go:embed pac.js
var script string

// PAC returns a proxy auto-configuration file (JavaScript, ASCII) that sends a client to proxy, which is a host and
// port as the client sees them: "gw.example.net:3128", "192.0.2.1:3128" or "[2001:db8::1]:3128". Local destinations are
// reached directly: host names without a dot, the zones localhost, local (RFC 6762), home.arpa (RFC 8375) and internal,
// and literal addresses that are loopback, link-local or private. The port of a destination does not matter.
//
// The syntax is that of ECMAScript 3, for the engine of WinHTTP. A look-up takes a step for each label of the host, however many
// names there are.
//
// An error names the value that is not a proxy or a name, or is a [TooLargeError]. Names are to be in ASCII, IDNs as A-labels.
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
	known := "null"
	if opts.Only != nil {
		known = opts.Only.literal
	}
	text := strings.NewReplacer("PROXY_HERE", literal("PROXY "+proxy), "LOCAL_HERE", literal(zones), "KNOWN_HERE", known).Replace(script)
	if len(text) > MaxSize {
		return "", TooLargeError{}
	}
	return text, nil
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

// number is what resolvers read as an address where it is the last label (WHATWG URL, 3.5).
var number = regexp.MustCompile(`^([0-9]+|0[xX][0-9A-Fa-f]*)$`)

// isName reports whether s is a DNS name of letters, digits, hyphens and underscores whose last label is not a number.
func isName(s string) bool {
	last := ""
	for last = range strings.SplitSeq(s, ".") {
		if !isLabel(last) {
			return false
		}
	}
	return len(s) <= 253 && !number.MatchString(last)
}

func isLabel(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
}

// literal writes v as a JavaScript literal. JSON is one as long as it is ASCII, which the checks above see to.
func literal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and lists of them always marshal
	}
	return string(text)
}
