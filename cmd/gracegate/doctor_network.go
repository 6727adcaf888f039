package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/gracegate/gracegate/proxy/divert"
)

func checkForwarding4(x *examination) finding {
	if x.kernel("net/ipv4/ip_forward") != "1" {
		return warns("sysctl -w net.ipv4.ip_forward=1, and the same in /etc/sysctl.d",
			"is off: nothing but what gracegate takes gets beyond this machine")
	}
	return passes("is on")
}

func checkForwarding6(x *examination) finding {
	switch {
	case x.kernel("net/ipv6/conf/all/forwarding") == "1":
		return passes("is on")
	case !x.hasIPv6(nil):
		return passes("is off, and no interface has a global address")
	}
	return warns("sysctl -w net.ipv6.conf.all.forwarding=1, and the same in /etc/sysctl.d; net.ipv6.conf.WAN.accept_ra=2 where the way out is learnt from advertisements",
		"is off: clients do not take this machine for a router")
}

// hasIPv6 tells whether one of some interfaces, or of all, has an address that is not link-local.
func (m *machine) hasIPv6(interfaces []string) bool {
	text, err := m.read("/proc/net/if_inet6") // address, index, length, scope, flags, name
	if err != nil {
		return false
	}
	const global = "00"
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 6 && f[3] == global && (interfaces == nil || slices.Contains(interfaces, f[5])) {
			return true
		}
	}
	return false
}

func checkIPv6(x *examination) finding {
	table, none := x.noTable()
	switch {
	case table == nil:
		return none
	case table.ipv6.IsValid():
		return passes("goes to the gateway")
	case !x.hasIPv6(table.inner):
		return passes("is refused, and the inner side has none")
	}
	return warns("listen.transparent: [\":3129\"] listens on both families; then load the rules again",
		"the inner side has it, and TCP 80 and 443 is refused instead of judged")
}

func checkConntrack(x *examination) finding {
	table, none := x.noTable()
	if table == nil {
		return none
	}
	most, err := strconv.Atoi(x.kernel("net/netfilter/nf_conntrack_max"))
	if err != nil {
		if table.tproxy {
			return passes("is not loaded, and TPROXY does not need it")
		}
		return fails("modprobe nf_conntrack", "is not loaded: no connection can be redirected")
	}
	// One entry for the client's connection, one for that to the origin.
	needed := 2 * x.cfg.Limits.Connections
	enlarge := fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d, and the same in /etc/sysctl.d", max(2*most, 2*needed))
	count, err := strconv.Atoi(x.kernel("net/netfilter/nf_conntrack_count"))
	switch {
	case err == nil && count > most/10*9:
		return fails(enlarge, "%d of %d entries are taken: soon new connections are dropped", count, most)
	case most < needed:
		return warns(enlarge, "there are %d entries, and limits.connections may take %d", most, needed)
	}
	return passes("%d of %d entries are taken", count, most)
}

// capTransparent is CAP_NET_RAW and CAP_NET_ADMIN of capabilities(7): either lets a process take what TPROXY hands over.
const capTransparent = 1<<13 | 1<<12

// checkTPROXY looks for what TPROXY needs besides the table: the routes, and the right to take what is handed over.
func checkTPROXY(x *examination) finding {
	table, none := x.noTable()
	switch {
	case table == nil:
		return none
	case !table.tproxy:
		return skips("", "is not used: a redirection needs neither routes nor a capability")
	}
	for _, family := range []struct {
		flag string
		to   netip.AddrPort
	}{{"-4", table.ipv4}, {"-6", table.ipv6}} {
		if !family.to.IsValid() {
			continue
		}
		if f := x.missingRoutes(family.flag); f.Status != "" {
			return f
		}
	}
	for _, name := range append([]string{"all"}, table.inner...) {
		if x.kernel("net/ipv4/conf/"+name+"/src_valid_mark") == "1" {
			return fails(fmt.Sprintf("sysctl -w net.ipv4.conf.%s.src_valid_mark=0 (wg-quick sets it)", name),
				"src_valid_mark is set for %s: the kernel takes clients' packets with the mark for forged", name)
		}
	}
	gateway := x.gateway()
	if gateway == nil {
		return passes("is routed; whether the gateway may take it shows when it runs")
	}
	if gateway.capabilities&capTransparent != 0 {
		return passes("is routed, and the gateway may take it")
	}
	return x.checkTransparentSockets(gateway, table)
}

// checkTransparentSockets looks for what lets a gateway without the capability take what is handed over: sockets that were made
// transparent before it got them.
func (x *examination) checkTransparentSockets(gateway *proc, table *loadedTable) finding {
	for _, to := range []netip.AddrPort{table.ipv4, table.ipv6} {
		if !to.IsValid() {
			continue
		}
		sockets, err := x.run("ss", "-HtlnO", "--inet-sockopt", fmt.Sprintf("sport = :%d", to.Port()))
		if err != nil {
			return skips("install iproute2", "is routed; the gateway (process %d) has no capability for it, and whether its sockets need none cannot be seen: %s", gateway.pid, err)
		}
		if sockets == "" || hasLine(sockets, func(line string) bool {
			return !strings.Contains(line, " transparent ") && !strings.Contains(line, " transparent)")
		}) {
			return fails("AmbientCapabilities=CAP_NET_RAW in its unit, or Transparent=yes in the unit of its socket",
				"the gateway (process %d) has neither CAP_NET_RAW nor CAP_NET_ADMIN, without which it may not take what is handed over", gateway.pid)
		}
	}
	return passes("is routed, and the gateway's sockets were made for it before it got them")
}

// missingRoutes tells whether the rule or the route of a family is missing; its status is empty if neither is.
func (x *examination) missingRoutes(flag string) finding {
	rules, err := x.run("ip", flag, "rule", "show")
	if err != nil {
		return skips("install iproute2", "the routes cannot be seen: %s", err)
	}
	routes, err := x.run("ip", flag, "route", "show", "table", strconv.Itoa(divert.TPROXYTable))
	if err != nil { // there is no such table, as long as nothing is in it
		routes = ""
	}
	mark, table := fmt.Sprintf("fwmark %#x ", divert.TPROXYMark), fmt.Sprintf("lookup %d", divert.TPROXYTable)
	hasRule := hasLine(rules, func(line string) bool { return strings.Contains(line+" ", mark) && strings.HasSuffix(line, table) })
	hasRoute := hasLine(routes, func(line string) bool { return strings.HasPrefix(line, "local default dev lo") })
	if hasRule && hasRoute {
		return finding{}
	}
	var fix []string
	for _, command := range divert.TPROXYRoutes() {
		if strings.HasPrefix(command, "ip "+flag) {
			fix = append(fix, command)
		}
	}
	return fails(strings.Join(fix, "; "), "packets with the mark are not routed to this machine (ip %s): the kernel drops them", flag)
}

func hasLine(text string, is func(line string) bool) bool {
	for line := range strings.Lines(text) {
		if is(strings.TrimSpace(line)) {
			return true
		}
	}
	return false
}

// checkResolver tells whom the gateway asks for names.
func checkResolver(x *examination) finding {
	if r := x.cfg.Upstream.Resolver; r.IsValid() {
		return passes("%s, by upstream.resolver%s", r, publicNote(r.Addr()))
	}
	text, err := x.read("/etc/resolv.conf")
	if err != nil {
		return warns("upstream.resolver, or nameserver lines in /etc/resolv.conf", "/etc/resolv.conf: %s", cause(err))
	}
	var servers []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			note := ""
			if addr, err := netip.ParseAddr(f[1]); err == nil {
				note = publicNote(addr)
			}
			servers = append(servers, f[1]+note)
		}
	}
	if len(servers) == 0 {
		return passes("this machine's own, as /etc/resolv.conf names none")
	}
	return passes("%s, by /etc/resolv.conf", strings.Join(servers, ", "))
}

func publicNote(addr netip.Addr) string {
	if operator := divert.PublicResolver(addr); operator != "" {
		return " (public: " + operator + ")"
	}
	return ""
}
