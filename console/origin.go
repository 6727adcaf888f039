package console

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// hosts are the names and addresses under which the admin listener answers. A web page can make a browser ask any address,
// also a loopback one, by a name of its own that it lets resolve there; the name then gives it away.
type hosts struct {
	names map[string]bool
	addrs map[netip.Addr]bool
}

// newHosts takes the address that is listened on and what the operator lists, without ports. Loopback is known.
func newHosts(listen string, more []string) hosts {
	h := hosts{names: map[string]bool{"localhost": true}, addrs: map[netip.Addr]bool{}}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		more = append(slices.Clip(more), host)
	}
	for _, s := range more {
		if addr, err := netip.ParseAddr(s); err == nil {
			h.addrs[addr.Unmap()] = true
		} else if s != "" {
			h.names[strings.ToLower(s)] = true
		}
	}
	// To listen everywhere is no name: 0.0.0.0 reaches loopback from a browser.
	delete(h.addrs, netip.IPv4Unspecified())
	delete(h.addrs, netip.IPv6Unspecified())
	return h
}

// known reports whether a Host header, with or without a port, names the admin listener.
func (h hosts) known(header string) bool {
	host, port, err := net.SplitHostPort(header)
	if err == nil && strings.Trim(port, "0123456789") != "" {
		return false // "192.0.2.9:@evil.example" is another host to who reads it as an address on the web
	}
	if err != nil {
		host = header
		if bare, found := strings.CutPrefix(host, "["); found {
			if host, found = strings.CutSuffix(bare, "]"); !found {
				return false
			}
		}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsLoopback() && addr.Zone() == "" || h.addrs[addr]
	}
	return h.names[strings.ToLower(host)]
}

// sameOrigin reports whether a request comes from no web page, or from one of the very host that it asks.
func sameOrigin(r *http.Request) bool {
	switch origins := r.Header.Values("Origin"); len(origins) {
	case 0:
		return true
	case 1:
		scheme, host, found := strings.Cut(origins[0], "://")
		// https, where something in front of the listener speaks TLS.
		return found && (scheme == "http" || scheme == "https") && strings.EqualFold(host, r.Host)
	}
	return false
}
