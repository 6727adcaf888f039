package config

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
)

// ClientRange is one entry of clients.allow: a word or a prefix.
type ClientRange struct {
	Word   string       // [Loopback], [Private], [OnLink], or "" for a prefix
	Prefix netip.Prefix // IPv4-mapped ones are IPv4
}

// The words of clients.allow.
const (
	Loopback = "loopback" // 127.0.0.0/8 and ::1
	Private  = "private"  // RFC 1918 and ULA (RFC 4193)
	OnLink   = "on-link"  // the networks of the gateway's inner interfaces
)

// String returns the entry as it is written.
func (r ClientRange) String() string {
	if r.Word != "" {
		return r.Word
	}
	return r.Prefix.String()
}

// UpstreamHost is one entry of upstream.hosts: where a destination is dialled instead of where DNS says.
type UpstreamHost struct {
	Name    host.Name
	Port    uint16         // the port that the client names; 0 is every port
	Address netip.AddrPort // without a zone
}

// PortRange is the ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// String returns "8443" or "8000-8010".
func (r PortRange) String() string {
	first := strconv.Itoa(int(r.First))
	if r.First == r.Last {
		return first
	}
	return first + "-" + strconv.Itoa(int(r.Last))
}

// listenAddr is what [net.Listen] takes: an IP address, localhost or nothing, a colon, a port.
var listenAddr = scalar[string]{
	name: "HOST:PORT", word: "host:port", tags: asText,
	parse: parseListen, format: anyText.format,
}

// listenAddrOrOff takes "" too.
var listenAddrOrOff = scalar[string]{
	name: listenAddr.name, word: listenAddr.word, tags: asText,
	parse: func(s string) (string, *wrong) {
		if s == "" {
			return "", nil
		}
		return parseListen(s)
	},
	format: anyText.format,
}

func parseListen(s string) (string, *wrong) {
	bad := &wrong{"is not HOST:PORT", "write one such as 127.0.0.1:3128, [::1]:3128 or :3128"}
	name, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", bad
	}
	if port != "0" {
		if _, err := host.ParsePort(port); err != nil {
			return "", &wrong{"has a port that is " + reason(err), bad.hint}
		}
	}
	if name != "" && name != "localhost" {
		a, err := netip.ParseAddr(name)
		if err != nil {
			return "", &wrong{"names no IP address to listen on", bad.hint}
		}
		name = a.Unmap().String()
	}
	return net.JoinHostPort(name, port), nil
}

// isLoopback tells it of an address that parseListen made, or a listener has.
func isLoopback(listen string) bool {
	name, _, _ := net.SplitHostPort(listen)
	a, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && a.IsLoopback()
}

// hostName is a name or address without a port.
var hostName = scalar[host.Name]{
	name: "a host name", word: "name", tags: asText,
	parse: func(s string) (host.Name, *wrong) {
		n, err := host.Parse(s)
		if err != nil {
			return n, &wrong{"is no host: " + reason(err), "write a name such as gate.example.org, without a port"}
		}
		return n, nil
	},
	format: host.Name.String,
}

// server is the address and port of a server, or nothing.
var server = scalar[netip.AddrPort]{
	name: "ADDRESS:PORT", word: "address:port", tags: asText,
	parse: func(s string) (netip.AddrPort, *wrong) {
		if s == "" {
			return netip.AddrPort{}, nil
		}
		return parseServer(s)
	},
	format: formatServer,
}

func parseServer(s string) (netip.AddrPort, *wrong) {
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Port() == 0 || a.Addr().Zone() != "" {
		return netip.AddrPort{}, &wrong{"is not ADDRESS:PORT", "write one such as 192.0.2.1:53 or [2001:db8::1]:53"}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), nil
}

func formatServer(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// SyslogServer is the syslog server of audit.syslog. The zero value is none.
type SyslogServer struct {
	Network string // udp, tcp, tls or unix
	Address string // HOST:PORT, of unix an absolute path
}

// String returns the server as it is written, and "" for none.
func (s SyslogServer) String() string {
	if s.Network == "" {
		return ""
	}
	return s.Network + "://" + s.Address
}

// syslogServer is a syslog server, or nothing.
var syslogServer = scalar[SyslogServer]{
	name: "a syslog server", word: "url", tags: asText,
	parse:  parseSyslogServer,
	format: SyslogServer.String,
}

func parseSyslogServer(s string) (SyslogServer, *wrong) {
	const hint = "write one such as udp://192.0.2.1:514, tls://log.example.org:6514 or unix:///dev/log"
	if s == "" {
		return SyslogServer{}, nil
	}
	network, address, found := strings.Cut(s, "://")
	if !found {
		return SyslogServer{}, &wrong{"is not NETWORK://ADDRESS", hint}
	}
	switch network {
	case "unix":
		if !strings.HasPrefix(address, "/") || strings.ContainsRune(address, 0) {
			return SyslogServer{}, &wrong{"has no absolute path", hint}
		}
		return SyslogServer{network, address}, nil
	case "udp", "tcp", "tls":
		name, port, err := host.ParseAuthority(address)
		if err != nil {
			return SyslogServer{}, &wrong{"is not NETWORK://HOST:PORT: " + reason(err), hint}
		}
		if port == 0 {
			return SyslogServer{}, &wrong{"has no port", hint}
		}
		return SyslogServer{network, host.Join(name, port)}, nil
	}
	return SyslogServer{}, &wrong{"has a network other than udp, tcp, tls and unix", hint}
}

// TimeServer is the time server of clock.check, HOST:PORT. The zero value is none.
type TimeServer string

// String returns the server as it is written, and "" for none.
func (s TimeServer) String() string {
	if s == "" {
		return ""
	}
	return timeScheme + string(s)
}

const (
	timeScheme = "ntp://"
	timePort   = 123
)

// timeServer is a time server, or nothing.
var timeServer = scalar[TimeServer]{
	name: "a time server", word: "url", tags: asText,
	parse: func(s string) (TimeServer, *wrong) {
		const hint = "write one such as ntp://time.example.org or ntp://192.0.2.1:123"
		if s == "" {
			return "", nil
		}
		address, found := strings.CutPrefix(s, timeScheme)
		if !found {
			return "", &wrong{"is not ntp://HOST[:PORT]", hint}
		}
		name, port, err := host.ParseAuthority(address)
		if err != nil {
			return "", &wrong{"is not ntp://HOST[:PORT]: " + reason(err), hint}
		}
		if port == 0 {
			port = timePort
		}
		return TimeServer(host.Join(name, port)), nil
	},
	format: TimeServer.String,
}

// upstreamFields are the keys of an entry of upstream.hosts.
var upstreamFields = []objectField[UpstreamHost]{{
	name: "name",
	read: func(h *UpstreamHost, s string) (bad *wrong) {
		var err error
		if h.Name, h.Port, err = host.ParseAuthority(s); err != nil {
			return &wrong{"is not NAME[:PORT]: " + reason(err), "write one such as example.org or example.org:443"}
		}
		return nil
	},
	write: func(h UpstreamHost) string { return host.Join(h.Name, h.Port) },
}, {
	name: "address",
	read: func(h *UpstreamHost, s string) (bad *wrong) {
		h.Address, bad = parseServer(s)
		return bad
	},
	write: func(h UpstreamHost) string { return formatServer(h.Address) },
}}

var prefix = scalar[netip.Prefix]{
	name: "a prefix", word: "prefix", tags: asText,
	parse:  parsePrefix,
	format: netip.Prefix.String,
}

// parsePrefix reads a prefix or an address, which is the prefix of just itself. What is IPv4-mapped becomes IPv4.
func parsePrefix(s string) (netip.Prefix, *wrong) {
	bad := &wrong{"is neither a prefix nor an address", "write one such as 10.0.0.0/8 or 192.0.2.1"}
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, bad
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, bad
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return netip.Prefix{}, &wrong{"has bits set beyond its length", "write " + p.Masked().String() + ", or the address alone"}
	}
	return p, nil
}

// clientRange is a word of clients.allow or a prefix.
var clientRange = scalar[ClientRange]{
	name: "loopback, private, on-link or a prefix", word: "range", tags: asText,
	parse: func(s string) (ClientRange, *wrong) {
		switch s {
		case Loopback, Private, OnLink:
			return ClientRange{Word: s}, nil
		}
		p, bad := parsePrefix(s)
		if bad != nil && !strings.ContainsAny(s, ".:/") {
			bad = &wrong{"is none of loopback, private, on-link, and no prefix", didYouMean(s, []string{Loopback, Private, OnLink})}
		}
		return ClientRange{Prefix: p}, bad
	},
	format: ClientRange.String,
}

var portRange = scalar[PortRange]{
	name: "a port or a range of ports", word: "ports", tags: []string{"!!str", "!!int"},
	parse: func(s string) (PortRange, *wrong) {
		first, last, isRange := strings.Cut(s, "-")
		if !isRange {
			last = first
		}
		from, err1 := host.ParsePort(first)
		to, err2 := host.ParsePort(last)
		if err := errors.Join(err1, err2); err != nil {
			return PortRange{}, &wrong{"is not a port or a range of ports", "write 8443 or 8000-8010"}
		}
		if from > to {
			return PortRange{}, &wrong{"ends before it starts", "write " + last + "-" + first}
		}
		return PortRange{from, to}, nil
	},
	format: PortRange.String,
}

// reason takes from an error of policy/host what is wrong, without the input that the problem quotes anyway.
func reason(err error) string {
	if e, ok := errors.AsType[*host.Error](err); ok {
		return e.Reason
	}
	return err.Error()
}
