// Package config reads and checks the settings of gracegate: from flags, the environment, one YAML file, defaults.
//
// A setting has one key and three spellings: listen.proxy in the file, --listen-proxy as a flag, GRACEGATE_LISTEN_PROXY
// in the environment. Flags win over the environment, the environment over the file, the file over the default. The
// file is the one named by --config or GRACEGATE_CONFIG, else ./gracegate.yaml, else /etc/gracegate/gracegate.yaml.
//
// Lists of scalars are separated by commas in flags and the environment, lists of objects are JSON there. An empty
// variable counts as unset. Durations carry a unit (250ms, 30s, 36h, 14d, where d is 24 hours), sizes too (64KiB). Paths
// in the file are relative to the file, those of flags and the environment to the working directory.
//
// The comments on the fields of [Config] are the manual. [Config.WriteYAML], [Markdown] and the help of the flags say the
// same; a test compares them.
//
// The package does not read the policy file, does not open listeners, does not resolve names, and never prints. It does
// not watch the file: settings hold until the process ends.
package config

import (
	"net/netip"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// Config is all settings in effect. [Load] and [Default] make one; it is read-only afterwards. Every list may be nil.
type Config struct {
	Listen      Listen
	Admin       Admin
	Clients     Clients
	Upstream    Upstream
	Transparent Transparent
	Policy      Policy
	Clock       Clock
	Deny        Deny
	Operator    Operator
	Audit       Audit
	Devices     Devices
	CA          CA
	Data        Data
	Limits      Limits
	Log         Log

	// origins holds, by key, where a value that is not the default was set.
	origins map[string]string
}

// Listen is where the gateway accepts connections.
type Listen struct {
	// Proxy is the list of HOST:PORT on which clients reach the proxy; HOST is an IP address, localhost, or nothing for
	// every address; port 0 picks a free one. Default 127.0.0.1:3128.
	Proxy []string

	// SOCKS is the list of HOST:PORT, written like those of listen.proxy, on which clients reach the proxy by SOCKS5. Empty
	// by default.
	SOCKS []string

	// Transparent is the list of HOST:PORT, written like those of listen.proxy, to which a packet filter sends the
	// connections of clients that know of no proxy; on Linux only. Empty by default.
	Transparent []string

	// Admin is the HOST:PORT of health, metrics and API, written like those of listen.proxy; empty turns it off; other
	// than loopback needs admin.hosts and admin.token-file. Default 127.0.0.1:9128.
	Admin string

	// ProxyProtocol is the list of prefixes and addresses of load balancers, which must tell their clients by the PROXY
	// protocol (version 1 or 2) on listen.proxy and listen.socks; nobody else may. Empty by default.
	ProxyProtocol []netip.Prefix
}

// Admin protects the admin listener.
type Admin struct {
	// Hosts is the list of names and addresses, without port, that a request to the admin listener may carry as Host
	// besides localhost and loopback addresses. Empty by default.
	Hosts []host.Name

	// TokenFile is the file with the token that the admin listener asks for: one line, in a file that only its owner can
	// read; empty asks for none. Empty by default.
	TokenFile string

	// Pprof is whether the admin listener serves profiles of the running process under /debug/pprof/. Default false.
	Pprof bool
}

// Clients says who may use the proxy.
type Clients struct {
	// Allow is the list of clients that may use the proxy: loopback, private, on-link (the networks of the gateway's
	// inner interfaces), prefixes and addresses; empty refuses everybody. Default loopback,private,on-link.
	Allow []ClientRange

	// Auth is the htpasswd file of bcrypt hashes by which clients log in to listen.proxy (Basic) and listen.socks, in a
	// file that not everybody can read; empty asks nobody. Empty by default.
	Auth string
}

// Upstream is the way from the gateway to destinations.
type Upstream struct {
	// Resolver is the ADDRESS:PORT of the DNS server that is asked for destinations; empty asks the system. Empty by
	// default.
	Resolver netip.AddrPort

	// Hosts is the list of {name: NAME[:PORT], address: ADDRESS:PORT} of destinations that are dialled there instead of
	// where DNS says, without PORT on every port; the destination guard trusts these addresses. Empty by default.
	Hosts []UpstreamHost

	// Allow is the list of prefixes and addresses that the destination guard lets through although they are private or
	// special. Empty by default.
	Allow []netip.Prefix

	// Ports is the list of ports and ranges, such as 8443 or 8000-8010, that clients may name besides 80, 443 and those
	// of the catalogue. Empty by default.
	Ports []PortRange

	// Parent is the proxy, http://HOST:PORT, through which destinations are reached, all but those of upstream.hosts; it
	// then looks names up, and the destination guard judges only addresses that clients name; empty reaches them straight.
	// Empty by default.
	Parent Parent

	// ParentAuth is where the user:password is with which the gateway logs in to upstream.parent: file:PATH, a file of one
	// line that only its owner can read, or env:NAME, a variable of the environment; empty logs in nowhere. Empty by
	// default.
	ParentAuth string

	// CAFile is the PEM file of roots that the certificates of intercepted destinations may chain to besides the system's;
	// empty adds none. Empty by default.
	CAFile string
}

// Transparent is what becomes of connections that a packet filter sends to listen.transparent.
type Transparent struct {
	// Dial is what is dialled for a connection to listen.transparent: original is the address that the client dialled,
	// resolve is the host that its hello or request names, as the gateway finds it, and the address only where none is
	// named. Default original; original or resolve.
	Dial string
}

// Policy is where the law comes from.
type Policy struct {
	// File is the operator's policy; empty applies the built-in one. Empty by default.
	File string

	// Catalog is the directory whose entries add to the embedded catalogue, a same-named one replacing it; empty adds
	// none. Empty by default.
	Catalog string

	// CatalogOnly is whether policy.catalog stands alone, without the embedded catalogue. Default false.
	CatalogOnly bool

	// Waivers is the file with nothing but waivers, which add to those of the policy; gracegate waiver add makes it; empty
	// adds none. Empty by default.
	Waivers string

	// Bundle is the signed bundle that has policy and catalogue in place of policy.file and policy.catalog: a file, or an
	// https:// URL that is asked every five minutes; empty takes none. Empty by default.
	Bundle string

	// Keys is the list of public keys of minisign, or of files with one, any of which may sign policy.bundle. Empty by
	// default.
	Keys []string

	// KnownAt is the horizon: all sees everything loaded, clock only what was published by the policy clock's time, an
	// RFC 3339 instant with an offset only what was published by then. Default all.
	KnownAt KnownAt

	// MaxAge is the age of the catalogue's newest checked source above which gracegate lint warns; 0 is no limit. Default
	// 400d; at least 1d, at most 3650d.
	MaxAge time.Duration

	// Reload is whether policy, waivers, catalogue, bundle, users and certificate authority are read again when their files
	// change, and a bundle that is fetched is asked for anew; SIGHUP does it in any case. Default true.
	Reload bool
}

// Clock is the policy clock. Time-outs, certificates and limits always use real time.
type Clock struct {
	// At is the RFC 3339 instant, with an offset, at which the policy clock starts; empty follows real time. Empty by
	// default.
	At time.Time

	// Rate is the number of policy seconds that pass in a real second; other than 1 only with clock.at. Default 1; above
	// 0, at most 1000000.
	Rate float64

	// Untrusted is what happens while the clock cannot be believed: last-good goes on from the last time that could be,
	// block-governed does so and refuses what the policy governs, allow believes the machine's clock as it is. Default
	// last-good; last-good, block-governed or allow.
	Untrusted string

	// Check is the time server, ntp://HOST[:PORT], that the machine's clock is compared with, every hour and while it
	// cannot be believed every minute; it never sets the clock; empty asks none. Empty by default.
	Check TimeServer
}

// Deny shapes refusals.
type Deny struct {
	// RetryAfter is the Retry-After of refusals, in whole seconds, so that updaters do not storm; 0 sends none. Default
	// 1h; at least 1s, at most 30d.
	RetryAfter time.Duration

	// Page is the file of the html/template that makes the page of refusals for browsers; empty takes the built-in one.
	// Empty by default.
	Page string
}

// Operator is who answers for this gateway.
type Operator struct {
	// Name is the name of the operator as refusals show it; empty shows none. Empty by default.
	Name string

	// Contact is how a refused person reaches the operator, as refusals show it; empty shows none. Empty by default.
	Contact string

	// URL is the http or https page about refusals, shown on them and sent as their Link with rel=blocked-by; empty sends
	// none. Empty by default.
	URL string
}

// Audit is what is recorded.
type Audit struct {
	// Retain is how long records are kept, by real time; they are removed a file of about a day at a time; 0 keeps them for
	// ever. Default 400d; at least 1h, at most 36500d.
	Retain time.Duration

	// Ungoverned is whether flows that no endpoint and no rule governs are recorded too. Default false.
	Ungoverned bool

	// OnFailure is what happens to traffic that passes by policy while its record cannot be kept. Default allow; allow or
	// block.
	OnFailure string

	// File is where records go as JSON lines besides the journal: a file that is rotated, or - for standard output; empty
	// writes none. Empty by default.
	File string

	// Squid is where records go as lines of Squid's native access.log: a file that is rotated, or - for standard output;
	// empty writes none. Empty by default.
	Squid string

	// RotateSize is the size, rounded up to whole MiB, that a file of records does not exceed: it is renamed and a new one
	// begun. Default 100MiB; at least 1MiB, at most 1024GiB.
	RotateSize int64

	// RotateKeep is the number of renamed files that are kept of each file of records; 0 is no limit. Default 10; at least
	// 0, at most 100000.
	RotateKeep int

	// RotateAge is the time, rounded up to whole days, after which a renamed file of records is deleted when the next one
	// is begun; 0 is no limit. Default 400d; at least 1d, at most 3650d.
	RotateAge time.Duration

	// Syslog is the syslog server that gets records in the format of RFC 5424: udp://HOST:PORT, tcp://HOST:PORT,
	// tls://HOST:PORT, or unix://PATH for a socket of this machine; empty sends none. Empty by default.
	Syslog SyslogServer

	// SyslogCAFile is the PEM file of roots that the certificate of a tls:// audit.syslog may chain to besides the
	// system's; empty adds none. Empty by default.
	SyslogCAFile string
}

// Devices is how the devices of clients are known.
type Devices struct {
	// Leases is the list of files of DHCP leases that tell the names of devices, and their MAC addresses where a router is
	// in between: dnsmasq's, or those that Kea's memfile backend writes; empty reads none. Empty by default.
	Leases []string
}

// CA is the certificate authority that interception needs. [Config.CADir] is its directory.
type CA struct {
	// Dir is the directory of the certificate authority that interception needs, relative to data.dir; empty turns
	// interception off. Default ca.
	Dir string
}

// Data is what the gateway keeps on disk.
type Data struct {
	// Dir is the directory of what the gateway keeps, where ~ is the home directory; unless it is set, a STATE_DIRECTORY
	// of systemd is taken, and /var/lib/gracegate where there is no home. Default ~/.local/state/gracegate.
	Dir string
}

// Limits bounds what connections, clients and destinations may take, and the process.
type Limits struct {
	// Connections is the largest number of client connections at a time; 0 bounds it only by what the process's file
	// descriptors allow, which bound it in any case. Default 20000; at least 0, at most 1000000.
	Connections int

	// PerClient is the largest number of connections that one client address may have at a time; 0 is no limit. Default
	// 2000; at least 0, at most 1000000.
	PerClient int

	// PerDestination is the largest number of connections to one destination at a time; 0 is no limit. Default 0; at
	// least 0, at most 1000000.
	PerDestination int

	// Rate is the number of requests that one client address may make in a second, on average; 0 is no limit. Default 0;
	// at least 0, at most 1000000.
	Rate int

	// Header is the largest request head that is read. Default 64KiB; at least 1KiB, at most 1MiB.
	Header int64

	// HeaderCount is the largest number of header fields in a request. Default 100; at least 1, at most 10000.
	HeaderCount int

	// Hello is the time a client may take for a request head or a TLS hello, from its first byte on. Default 10s; at least
	// 10ms, at most 5m.
	Hello time.Duration

	// Dial is the time a connection to a destination may take, name look-up included. Default 10s; at least 10ms, at most
	// 5m.
	Dial time.Duration

	// Idle is the time after which a connection is closed when no byte passed in either direction; 0 never closes it.
	// Default 5m; at least 10ms, at most 30d.
	Idle time.Duration

	// Lifetime is the time after which a tunnel is closed, however busy it is; 0 never closes it for its age. Default 0;
	// at least 10ms, at most 365d.
	Lifetime time.Duration

	// Drain is the time that open flows may go on after SIGTERM; 0 cuts them at once. Default 30s; at least 10ms, at most
	// 1d.
	Drain time.Duration

	// Memory is the memory that the process tries to stay below by collecting garbage more often, without what the kernel
	// holds for its sockets; 0 leaves that to the variable GOMEMLIMIT. Default 0; at least 32MiB, at most 1024GiB.
	Memory int64
}

// Log is the log on standard error.
type Log struct {
	// Level is the least severe level that is logged. Default info; debug, info, warn or error.
	Level string

	// Format is how a log line is written: json for machines, console for people. Default json; json or console.
	Format string
}
