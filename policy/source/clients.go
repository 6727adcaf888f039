package source

import (
	"net/netip"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// networks reads a list of addresses and prefixes. An IPv4-mapped one is the IPv4 one.
func (r *reader) networks(out *[]netip.Prefix) reading {
	return r.filled("network", r.each("network", func(n *yaml.Node) {
		s, ok := r.scalar(n, "a network")
		if !ok {
			return
		}
		if p, ok := r.network(n, s); ok {
			*out = append(*out, p)
		}
	}))
}

func (r *reader) network(n *yaml.Node, s string) (netip.Prefix, bool) {
	const example = "write 10.20.0.0/16, fd00:10::/48, or one address"
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			r.wrong(n, example, "not a network: %s", quote(s))
			return netip.Prefix{}, false
		case a.Zone() != "":
			r.wrong(n, "write the address without it", "network %s names an interface of this machine", quote(s))
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		r.wrong(n, example, "not a network: %s", quote(s))
		return netip.Prefix{}, false
	}
	const mapped = 96 // bits of ::ffff:0:0/96
	if p.Addr().Is4In6() {
		if p.Bits() < mapped {
			r.wrong(n, "write the IPv4 networks and the IPv6 networks apart", "network %s is wider than all of IPv4", quote(s))
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	if p != p.Masked() {
		r.wrong(n, "write "+p.Masked().String()+", or "+p.Addr().String()+" for that one address",
			"network %s has bits beyond its %d", quote(s), p.Bits())
		return netip.Prefix{}, false
	}
	return p, true
}

// clients reads a list of networks and of devices, "mac:00:16:3e:aa:bb:cc". One that cannot be read is kept as a zero network,
// so that the list is not taken for one that picks nobody.
func (r *reader) clients(out *policy.Clients) reading {
	return r.filled("client", r.each("client", func(n *yaml.Node) {
		s, ok := r.scalar(n, "a client")
		if !ok {
			out.Networks = append(out.Networks, netip.Prefix{})
			return
		}
		text, isMAC := strings.CutPrefix(s, "mac:")
		if !isMAC {
			p, _ := r.network(n, s)
			out.Networks = append(out.Networks, p)
			return
		}
		mac, err := host.ParseMAC(text)
		if err != nil {
			r.wrong(n, "write mac:00:16:3e:aa:bb:cc", "not the address of a device: %s", quote(s))
			out.Networks = append(out.Networks, netip.Prefix{})
			return
		}
		out.MACs = append(out.MACs, mac)
	}))
}

// users reads a list of user names.
func (r *reader) users(out *policy.Clients) reading {
	return r.filled("user", r.words("user", &out.Users))
}
