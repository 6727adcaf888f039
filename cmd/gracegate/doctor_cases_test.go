package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/gracegate/gracegate/console"
)

// A gateway with nothing wrong, over either way.
var sound = map[string]map[string]string{
	"redirect": {
		"policy":              "ok: testdata/doctor/policy.yaml, revision REVISION",
		"CA":                  "ok: there is none, and the policy needs to see no request inside TLS today",
		"data directory":      "ok: /var/lib/gracegate",
		"clock":               "ok: is believed; the kernel says: synchronised",
		"open files":          "ok: the gateway (process 77) may have 65536",
		"resolver":            "ok: 192.168.1.1, 8.8.8.8 (public: Google Public DNS), by /etc/resolv.conf",
		"port 127.0.0.1:3128": "ok: the gateway (process 77) listens there, for listen.proxy",
		"port :3129":          "ok: the gateway (process 77) listens there, for listen.transparent",
		"port 127.0.0.1:9128": "ok: the gateway (process 77) listens there, for listen.admin",
		"nftables":            "ok: what comes in on lan is redirected: IPv4 to port 3129, IPv6 to port 3129",
		"interfaces":          "ok: lan",
		"TPROXY":              "skip: is not used: a redirection needs neither routes nor a capability",
		"conntrack":           "ok: 210 of 262144 entries are taken",
		"forwarding IPv4":     "ok: is on",
		"forwarding IPv6":     "ok: is on",
		"IPv6":                "ok: goes to the gateway",
		"QUIC":                "ok: UDP 80 and 443 is refused",
		"DNS":                 "ok: well-known public resolvers are refused",
	},
	"tproxy": {
		"nftables": "ok: what comes in on lan is handed over by TPROXY: IPv4 to port 3129, IPv6 to port 3129",
		"TPROXY":   "ok: is routed, and the gateway may take it",
		"QUIC":     "warn: UDP 443 leaves past the gateway: over QUIC, clients reach what is blocked over TCP\nfix: gracegate nft --block-quic",
		"DNS":      "warn: public resolvers can be asked past the local one\nfix: gracegate nft --force-dns",
	},
}

const nftCommand = "run/nft -j list table inet gracegate"

// cases are what may be wrong: what differs of the patient, and of what is found.
var cases = []struct {
	name    string
	tproxy  bool
	change  patient // "" takes away
	machine func(*machine)
	flags   []string
	want    map[string]string
	code    int
}{
	{name: "nothing"},
	{name: "nothing, by TPROXY", tproxy: true},
	{
		name: "no rules", change: patient{nftCommand: "error: nft: No such file or directory"}, code: 3,
		want: noRules("fail: there is no table inet gracegate: nothing is sent to listen.transparent\nfix: gracegate nft --interface NAME --block-quic --force-dns | nft -f -, and at each start"),
	},
	{
		name: "no nft", change: patient{nftCommand: ""},
		want: noRules("skip: nft is not installed, so that the rules cannot be seen\nfix: install nftables"),
	},
	{
		name: "not root", change: patient{nftCommand: "error: nft: Operation not permitted (you must be root)"},
		want: noRules("skip: only root may see the rules: nft: Operation not permitted (you must be root)\nfix: run doctor as root"),
	},
	{
		name: "another port", flags: []string{"--listen-transparent=:3130"}, code: 3,
		want: map[string]string{
			"port :3129": "", "port :3130": "ok: free, for listen.transparent; the gateway does not run",
			"nftables": "fail: connections over IPv4 are sent to port 3129, and listen.transparent calls for port 3130\nfix: gracegate nft --interface NAME --block-quic --force-dns | nft -f -, and at each start",
		},
	},
	{
		name: "one address", flags: []string{"--listen-transparent=192.168.1.1:3129"}, code: 3,
		want: map[string]string{
			"port :3129": "", "port 192.168.1.1:3129": "ok: the gateway (process 77) listens there, for listen.transparent",
			"nftables": "fail: connections over IPv4 are sent to port 3129, and listen.transparent calls for 192.168.1.1:3129\nfix: gracegate nft --interface NAME --block-quic --force-dns | nft -f -, and at each start",
		},
	},
	{
		name: "rules without a listener", flags: []string{"--listen-transparent="}, code: 3,
		want: map[string]string{
			"port :3129": "",
			"nftables":   "fail: connections are sent to port 3129, but listen.transparent is not set\nfix: listen.transparent: [\":3129\"], or gracegate nft --remove | nft -f -",
		},
	},
	{
		name: "no interface", change: patient{"proc/net/dev": "    lo: 0\n  eth0: 0\n"},
		want: map[string]string{"interfaces": "warn: the rules are for lan, and there is no interface of that name\nfix: ip link show lists them; gracegate nft --interface NAME"},
	},
	{
		name: "nothing is forwarded", change: patient{"proc/sys/net/ipv4/ip_forward": "0\n", "proc/sys/net/ipv6/conf/all/forwarding": "0\n"},
		want: map[string]string{
			"forwarding IPv4": "warn: is off: nothing but what gracegate takes gets beyond this machine\nfix: sysctl -w net.ipv4.ip_forward=1, and the same in /etc/sysctl.d",
			"forwarding IPv6": "warn: is off: clients do not take this machine for a router\nfix: sysctl -w net.ipv6.conf.all.forwarding=1, and the same in /etc/sysctl.d; net.ipv6.conf.WAN.accept_ra=2 where the way out is learnt from advertisements",
		},
	},
	{
		name: "no IPv6", change: patient{"proc/sys/net/ipv6/conf/all/forwarding": "", "proc/net/if_inet6": ""},
		want: map[string]string{"forwarding IPv6": "ok: is off, and no interface has a global address"},
	},
	{
		name: "no connection tracking", change: patient{"proc/sys/net/netfilter/nf_conntrack_max": ""}, code: 3,
		want: map[string]string{"conntrack": "fail: is not loaded: no connection can be redirected\nfix: modprobe nf_conntrack"},
	},
	{
		name: "no connection tracking, by TPROXY", tproxy: true, change: patient{"proc/sys/net/netfilter/nf_conntrack_max": ""},
		want: map[string]string{"conntrack": "ok: is not loaded, and TPROXY does not need it"},
	},
	{
		name: "few entries", change: patient{"proc/sys/net/netfilter/nf_conntrack_max": "16384\n"},
		want: map[string]string{"conntrack": "warn: there are 16384 entries, and limits.connections may take 40000\nfix: sysctl -w net.netfilter.nf_conntrack_max=80000, and the same in /etc/sysctl.d"},
	},
	{
		name: "full", change: patient{"proc/sys/net/netfilter/nf_conntrack_count": "262000\n"}, code: 3,
		want: map[string]string{"conntrack": "fail: 262000 of 262144 entries are taken: soon new connections are dropped\nfix: sysctl -w net.netfilter.nf_conntrack_max=524288, and the same in /etc/sysctl.d"},
	},
	{
		name: "no rule", tproxy: true, change: patient{"run/ip -4 rule show": "0:\tfrom all lookup local\n32766:\tfrom all fwmark 0x6 lookup 103\n"}, code: 3,
		want: map[string]string{"TPROXY": "fail: packets with the mark are not routed to this machine (ip -4): the kernel drops them\nfix: ip -4 rule add priority 103 fwmark 0x67 lookup 103; ip -4 route replace local default dev lo table 103"},
	},
	{
		name: "no route", tproxy: true, change: patient{"run/ip -6 route show table 103": "error: ip: FIB table does not exist."}, code: 3,
		want: map[string]string{"TPROXY": "fail: packets with the mark are not routed to this machine (ip -6): the kernel drops them\nfix: ip -6 rule add priority 103 fwmark 0x67 lookup 103; ip -6 route replace local default dev lo table 103"},
	},
	{
		name: "no ip", tproxy: true, change: patient{"run/ip -4 rule show": ""},
		want: map[string]string{"TPROXY": "skip: the routes cannot be seen: executable file not found in $PATH\nfix: install iproute2"},
	},
	{
		name: "marks count for the source", tproxy: true, change: patient{"proc/sys/net/ipv4/conf/all/src_valid_mark": "1\n"}, code: 3,
		want: map[string]string{"TPROXY": "fail: src_valid_mark is set for all: the kernel takes clients' packets with the mark for forged\nfix: sysctl -w net.ipv4.conf.all.src_valid_mark=0 (wg-quick sets it)"},
	},
	{
		name: "no capability", tproxy: true, change: noCapability(transparentSocket(false)), code: 3,
		want: map[string]string{"TPROXY": "fail: the gateway (process 77) has neither CAP_NET_RAW nor CAP_NET_ADMIN, without which it may not take what is handed over\nfix: AmbientCapabilities=CAP_NET_RAW in its unit, or Transparent=yes in the unit of its socket"},
	},
	{
		name: "no capability, and a socket of the service manager", tproxy: true, change: noCapability(transparentSocket(true)),
		want: map[string]string{"TPROXY": "ok: is routed, and the gateway's sockets were made for it before it got them"},
	},
	{
		name: "no capability, and no ss", tproxy: true, change: noCapability(""),
		want: map[string]string{"TPROXY": "skip: is routed; the gateway (process 77) has no capability for it, and whether its sockets need none cannot be seen: executable file not found in $PATH\nfix: install iproute2"},
	},
	{
		name: "somebody else has the port", change: patient{"proc/77/status": "Name:\tnginx: worker\nUid:\t0\t65532\t0\t0\n"}, code: 3,
		want: map[string]string{
			"port 127.0.0.1:3128": "fail: 127.0.0.1:3128 is taken by nginx: worker (process 77)\nfix: stop it, or give listen.proxy another port",
			"port :3129":          "fail: [::]:3129 is taken by nginx: worker (process 77)\nfix: stop it, or give listen.transparent another port",
			"port 127.0.0.1:9128": "fail: 127.0.0.1:9128 is taken by nginx: worker (process 77)\nfix: stop it, or give listen.admin another port",
			"data directory":      "warn: /var/lib/gracegate belongs to user 65532, this is user 1000\nfix: run it as user 65532, or chown -R 1000 /var/lib/gracegate",
			"open files":          "ok: a gateway that is started here may have 524288",
		},
	},
	{
		name: "one socket of the service manager", change: patient{"proc/1/fd/30": "-> socket:[101]", "proc/77/fd/7": ""},
		want: map[string]string{"port 127.0.0.1:3128": "ok: the service manager (process 1, systemd) listens there, for listen.proxy"},
	},
	{
		name: "a socket of both", change: patient{"proc/1/fd/30": "-> socket:[101]", "proc/099/fd/30": "-> socket:[102]"},
	},
	{
		name: "processes of others", change: patient{"proc/77/fd/7": "", "proc/77/fd/8": "", "proc/77/fd/9": ""},
		want: map[string]string{
			"port 127.0.0.1:3128": "warn: 127.0.0.1:3128 is taken, by a process that this user may not see\nfix: run doctor as root",
			"port :3129":          "warn: [::]:3129 is taken, by a process that this user may not see\nfix: run doctor as root",
			"port 127.0.0.1:9128": "warn: 127.0.0.1:9128 is taken, by a process that this user may not see\nfix: run doctor as root",
			"data directory":      "warn: /var/lib/gracegate belongs to user 65532, this is user 1000\nfix: run it as user 65532, or chown -R 1000 /var/lib/gracegate",
			"open files":          "ok: a gateway that is started here may have 524288",
		},
	},
	{
		name: "ports that need not be free", flags: []string{"--listen-proxy=127.0.0.2:3128,127.0.0.1:0,[::1]:3128", "--listen-socks=:1080", "--listen-admin="},
		want: map[string]string{
			"port 127.0.0.1:3128": "", "port 127.0.0.1:9128": "",
			"port 127.0.0.2:3128": "ok: free, for listen.proxy; the gateway does not run",
			"port 127.0.0.1:0":    "ok: any free port, for listen.proxy",
			"port :1080":          "ok: free, for listen.socks; the gateway does not run",
			"port [::1]:3128":     "ok: free, for listen.proxy; the gateway does not run",
		},
	},
	{
		name: "few descriptors", change: patient{"proc/77/limits": "Max open files            1024                 524288               files\n"},
		want: map[string]string{"open files": "warn: the gateway (process 77) may have 1024: enough for 434 connections, not for the 20000 of limits.connections\nfix: LimitNOFILE=41378 in the unit, or ulimit -n 41378; or lower limits.connections"},
	},
	{
		name: "no limit", change: patient{"proc/77/limits": "Max open files            unlimited            unlimited            files\n"},
		want: map[string]string{"open files": "ok: the gateway (process 77) may have unlimited"},
	},
	{
		name: "no limits to be seen", change: patient{"proc/77/limits": ""},
		want: map[string]string{"open files": "skip: the limit cannot be seen: file does not exist\nfix: run doctor as root"},
	},
	{
		name: "open to writers", change: patient{"var/lib/gracegate": "drwxrwx--- 65532"}, code: 3,
		want: map[string]string{"data directory": "fail: /var/lib/gracegate has the mode 0770: others could change the records\nfix: chmod 700 /var/lib/gracegate"},
	},
	{
		name: "open to readers", change: patient{"var/lib/gracegate": "drwxr-xr-x 65532"},
		want: map[string]string{"data directory": "warn: /var/lib/gracegate has the mode 0755: others can read who asked for what\nfix: chmod 700 /var/lib/gracegate"},
	},
	{
		name: "of another user", change: patient{"var/lib/gracegate": "drwx------ 0"}, code: 3,
		want: map[string]string{"data directory": "fail: /var/lib/gracegate belongs to user 0, and the gateway runs as 65532\nfix: chown -R 65532 /var/lib/gracegate"},
	},
	{
		name: "no directory", change: patient{"var/lib/gracegate": "text"}, code: 3,
		want: map[string]string{"data directory": "fail: /var/lib/gracegate is no directory\nfix: data.dir names a directory"},
	},
	{
		name: "no directory yet", change: patient{"var/lib/gracegate": ""},
		want: map[string]string{"data directory": "ok: /var/lib/gracegate is not there yet; serve makes it"},
	},
	{
		name: "nobody has vouched for the clock", machine: func(m *machine) {
			m.clock = stands(console.Clock{State: "unsynchronised", Detail: "nobody has ever vouched for it"}, nil)
		},
		want: map[string]string{"clock": "warn: nobody has ever vouched for it\nfix: run an NTP client, such as chrony or systemd-timesyncd (timedatectl set-ntp true), or set clock.check"},
	},
	{
		name: "the clock drifts", machine: func(m *machine) {
			m.clock = stands(console.Clock{Trusted: true, State: "trusted", Kernel: "not synchronised"}, nil)
		},
		want: map[string]string{"clock": "warn: is believed, but nothing keeps it in step\nfix: run an NTP client, such as chrony or systemd-timesyncd (timedatectl set-ntp true), or set clock.check"},
	},
	{
		name: "a second source vouches for the clock", machine: func(m *machine) {
			m.clock = stands(console.Clock{
				Trusted: true, State: "trusted", Kernel: "not synchronised", Source: &console.TimeSource{Source: "ntp://192.0.2.1:123", Ahead: new(float64)},
			}, nil)
		},
		want: map[string]string{"clock": "ok: is believed, by clock.check alone: ntp://192.0.2.1:123: the machine is 0.0 s ahead of it"},
	},
	{
		name: "the clock was set back", machine: func(m *machine) {
			m.clock = stands(console.Clock{State: "set-back", Detail: "it is a year behind"}, nil)
		}, code: 3,
		want: map[string]string{"clock": "fail: is not believed (set-back): it is a year behind\nfix: set it; or, if it is right: gracegate clock accept --reason \"...\""},
	},
	{
		name: "a mark of another user", machine: func(m *machine) {
			m.clock = stands(console.Clock{}, failed(fmt.Errorf("the clock's mark: %w", fs.ErrPermission), "a hint"))
		},
		want: map[string]string{"clock": "skip: the clock's mark: permission denied\nfix: run doctor as the user of the service, or as root"},
	},
	{
		name: "records of a simulated clock", machine: func(m *machine) {
			m.clock = stands(console.Clock{}, invalid(errors.New("simulated"), "--data-dir names another"))
		}, code: 3,
		want: map[string]string{"clock": "fail: simulated\nfix: --data-dir names another"},
	},
	{
		name: "a simulated clock", machine: func(m *machine) {
			m.clock = stands(console.Clock{Simulated: true, Trusted: true, State: "trusted"}, nil)
		},
		want: map[string]string{"clock": "ok: is simulated, by clock.at"},
	},
	{
		name: "a resolver of the settings", flags: []string{"--upstream-resolver=1.1.1.1:53"},
		want: map[string]string{"resolver": "ok: 1.1.1.1:53, by upstream.resolver (public: Cloudflare)"},
	},
	{
		name: "no resolver", change: patient{"etc/resolv.conf": "search example.org\n"},
		want: map[string]string{"resolver": "ok: this machine's own, as /etc/resolv.conf names none"},
	},
	{
		name: "no resolv.conf", change: patient{"etc/resolv.conf": ""},
		want: map[string]string{"resolver": "warn: /etc/resolv.conf: file does not exist\nfix: upstream.resolver, or nameserver lines in /etc/resolv.conf"},
	},
	{
		name: "a broken policy", flags: []string{"--policy-file=testdata/doctor/broken.yaml"}, code: 3,
		want: map[string]string{
			"policy": "fail: testdata/doctor/broken.yaml:2:15: unknown jurisdiction \"UK\" (and 1 more)\nfix: known are US",
			"CA":     "skip: without a policy it is not known what must be intercepted",
		},
	},
	{
		name: "what must be intercepted", flags: []string{"--policy-file=testdata/doctor/path.yaml"},
		want: map[string]string{
			"policy": "ok: testdata/doctor/path.yaml, revision REVISION",
			"CA":     "warn: the policy needs to see requests, such as to ours.example, and /nonexistent holds no CA: unseen.request decides\nfix: gracegate ca init, as the user of the service",
		},
	},
	{
		name: "what must be intercepted, and is not wanted", flags: []string{"--policy-file=testdata/doctor/path.yaml", "--ca-dir="},
		want: map[string]string{
			"policy": "ok: testdata/doctor/path.yaml, revision REVISION",
			"CA":     "warn: the policy needs to see requests, such as to ours.example, and ca.dir turns interception off: unseen.request decides\nfix: ca.dir: ca, and gracegate ca init",
		},
	},
	{
		name: "another system", machine: func(m *machine) { m.system = "freebsd" },
		want: map[string]string{
			"open files": notLinux, "resolver": notLinux, "port 127.0.0.1:3128": notLinux, "port :3129": notLinux, "port 127.0.0.1:9128": notLinux,
			"nftables": notLinux, "interfaces": notLinux, "TPROXY": notLinux, "conntrack": notLinux, "forwarding IPv4": notLinux, "forwarding IPv6": notLinux,
			"IPv6": notLinux, "QUIC": notLinux, "DNS": notLinux,
		},
	},
	{
		name: "no transparent listener", flags: []string{"--listen-transparent="}, change: patient{nftCommand: "error: nft: No such file or directory"},
		want: map[string]string{
			"port :3129": "", "nftables": notTransparent, "interfaces": notTransparent, "TPROXY": notTransparent, "conntrack": notTransparent, "forwarding IPv4": notTransparent, "forwarding IPv6": notTransparent,
			"IPv6": notTransparent, "QUIC": notTransparent, "DNS": notTransparent,
		},
	},
	{
		name: "nft speaks another language", change: patient{nftCommand: "table inet gracegate {}\n"}, machine: func(m *machine) { m.uid = 0 },
		want: noRules("skip: the rules cannot be seen: what nft says cannot be read: invalid character 'a' in literal true (expecting 'r')"),
	},
}

// noRules is what is found where the table is not there, or cannot be seen.
func noRules(table string) map[string]string {
	const unseen = "skip: there are no rules to be seen"
	return map[string]string{"nftables": table, "interfaces": unseen, "TPROXY": unseen, "conntrack": unseen, "IPv6": unseen, "QUIC": unseen, "DNS": unseen}
}

const (
	notLinux       = "skip: is looked at on Linux only, this is freebsd"
	notTransparent = "skip: listen.transparent is not set: clients are told of the proxy"
)

// noCapability is a gateway without any, and what ss says of its socket; "" is a machine without ss.
func noCapability(said string) patient {
	return patient{
		"proc/77/status": "Name:\tgracegate\nUid:\t65532\t65532\t65532\t65532\nCapEff:\t0000000000000400\n",
		"run/ss -HtlnO --inet-sockopt sport = :3129": said,
	}
}

// transparentSocket is what ss of iproute2 6.1.0 says.
func transparentSocket(transparent bool) string {
	if transparent {
		return "LISTEN 0      4096             *:3129        *:*    inet-sockopt: ( is_icsk mc_loop transparent)       \n"
	}
	return "LISTEN 0      4096             *:3129        *:*    inet-sockopt: ( is_icsk mc_loop mc_all)            \n"
}
