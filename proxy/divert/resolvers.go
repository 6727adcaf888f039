package divert

import (
	"net/netip"
	"slices"
)

// resolver is an operator of public resolvers.
type resolver struct {
	name   string
	source string // where the addresses were read
	addrs  []string
}

// knownProviders is where most of the addresses were read, on 2026-11-28.
const knownProviders = "https://adguard-dns.io/kb/general/dns-providers/"

// resolvers are the well-known public resolvers. Those that Kaspersky's products ask by themselves when a name of theirs is not
// resolved (8.8.8.8, 1.1.1.1, 223.6.6.6, 9.9.9.9, 185.228.168.168; see [KasperskySource]) must be among them.
var resolvers = []resolver{
	{"AdGuard DNS", knownProviders, []string{
		"94.140.14.14", "94.140.14.15", "94.140.14.140", "94.140.14.141", "94.140.15.15", "94.140.15.16",
		"2a10:50c0::ad1:ff", "2a10:50c0::ad2:ff", "2a10:50c0::bad1:ff", "2a10:50c0::bad2:ff", "2a10:50c0::1:ff", "2a10:50c0::2:ff",
	}},
	{"Alibaba Public DNS", knownProviders, []string{"223.5.5.5", "223.6.6.6", "2400:3200::1", "2400:3200:baba::1"}},
	{"CleanBrowsing", knownProviders, []string{
		"185.228.168.9", "185.228.168.10", "185.228.168.168", "185.228.169.9", "185.228.169.11", "185.228.169.168",
		"2a0d:2a00:1::", "2a0d:2a00:1::1", "2a0d:2a00:1::2", "2a0d:2a00:2::", "2a0d:2a00:2::1", "2a0d:2a00:2::2",
	}},
	{"Cloudflare", "https://developers.cloudflare.com/1.1.1.1/ip-addresses/", []string{
		"1.0.0.1", "1.0.0.2", "1.0.0.3", "1.1.1.1", "1.1.1.2", "1.1.1.3",
		"2606:4700:4700::1001", "2606:4700:4700::1002", "2606:4700:4700::1003",
		"2606:4700:4700::1111", "2606:4700:4700::1112", "2606:4700:4700::1113",
	}},
	{"Control D", knownProviders, []string{
		"76.76.2.0", "76.76.2.1", "76.76.2.2", "76.76.2.3", "76.76.10.0", "2606:1a40::", "2606:1a40:1::",
	}},
	{"DNS.SB", knownProviders, []string{"45.11.45.11", "185.222.222.222", "2a09::", "2a11::"}},
	{"DNSPod", knownProviders, []string{"119.29.29.29", "2402:4e00::"}},
	{"Google Public DNS", knownProviders, []string{"8.8.4.4", "8.8.8.8", "2001:4860:4860::8844", "2001:4860:4860::8888"}},
	{"Hurricane Electric", knownProviders, []string{"74.82.42.42", "2001:470:20::2"}},
	{"OpenDNS", knownProviders, []string{
		"208.67.220.2", "208.67.220.123", "208.67.220.220", "208.67.222.2", "208.67.222.123", "208.67.222.222",
		"2620:0:ccc::2", "2620:0:ccd::2", "2620:119:35::35", "2620:119:53::53",
	}},
	{"Quad9", knownProviders, []string{
		"9.9.9.9", "9.9.9.10", "9.9.9.11", "149.112.112.10", "149.112.112.11", "149.112.112.112",
		"2620:fe::9", "2620:fe::10", "2620:fe::11", "2620:fe::fe", "2620:fe::fe:10", "2620:fe::fe:11",
	}},
}

// KasperskySource is where Kaspersky tells which resolvers its products ask by themselves.
const KasperskySource = "https://support.kaspersky.com/KESWin/11.6.0/de-DE/202507.htm"

// PublicResolver returns who operates the well-known public resolver at this address, and "" if it is none that is known here.
func PublicResolver(addr netip.Addr) string {
	text := addr.Unmap().WithZone("").String()
	for _, r := range resolvers {
		if slices.Contains(r.addrs, text) {
			return r.name
		}
	}
	return ""
}

// ofFamily are the addresses of IPv4, or else of IPv6.
func (r resolver) ofFamily(ipv4 bool) (list []string) {
	for _, a := range r.addrs {
		if netip.MustParseAddr(a).Is4() == ipv4 {
			list = append(list, a)
		}
	}
	return list
}
