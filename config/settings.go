package config

import (
	"net/netip"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// Group is the settings of one section. A command takes the flags of the groups it needs.
type Group string

// The groups, each the first part of its settings' keys.
const (
	GroupListen      Group = "listen"
	GroupAdmin       Group = "admin"
	GroupClients     Group = "clients"
	GroupUpstream    Group = "upstream"
	GroupTransparent Group = "transparent"
	GroupPolicy      Group = "policy"
	GroupClock       Group = "clock"
	GroupDeny        Group = "deny"
	GroupOperator    Group = "operator"
	GroupAudit       Group = "audit"
	GroupDevices     Group = "devices"
	GroupCA          Group = "ca"
	GroupData        Group = "data"
	GroupLimits      Group = "limits"
	GroupLog         Group = "log"
)

// AllGroups returns every group, in the order of the manual.
func AllGroups() []Group {
	return []Group{
		GroupListen, GroupAdmin, GroupClients, GroupUpstream, GroupTransparent, GroupPolicy, GroupClock, GroupDeny, GroupOperator,
		GroupAudit, GroupDevices, GroupCA, GroupData, GroupLimits, GroupLog,
	}
}

// setting is one line of the table that everything else is made from.
type setting struct {
	key string
	def string // as a flag would have it
	doc string // follows "FIELD is "; a field's comment in config.go is this and then facts()
	value
}

func (s *setting) group() Group { return Group(s.key[:strings.IndexByte(s.key, '.')]) }
func (s *setting) name() string { return s.key[strings.IndexByte(s.key, '.')+1:] }

func (s *setting) flag() string { return strings.ReplaceAll(s.key, ".", "-") }

func (s *setting) variable() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.key))
}

// facts are the default and the bounds, as two or three phrases.
func (s *setting) facts() string {
	facts := "Empty by default"
	if s.def != "" {
		facts = "Default " + s.def
	}
	if b := s.limits(); b != "" {
		facts += "; " + b
	}
	return facts + "."
}

// The words of transparent.dial.
const (
	Original = "original"
	Resolve  = "resolve"
)

// The words of audit.on-failure; Allow is one of clock.untrusted too.
const (
	Allow = "allow"
	Block = "block"
)

// The words of clock.untrusted, beside Allow.
const (
	LastGood      = "last-good"
	BlockGoverned = "block-governed"
)

// Stdout stands for standard output where audit.file and audit.squid name a file.
const Stdout = "-"

// settings is the table. Its keys are lower case, because viper folds them.
var settings = []*setting{
	{
		"listen.proxy", "127.0.0.1:3128",
		"the list of HOST:PORT on which clients reach the proxy; HOST is an IP address, localhost, or nothing for every address; port 0 picks a free one",
		many[string]{listenAddr, func(c *Config) *[]string { return &c.Listen.Proxy }},
	},
	{
		"listen.socks", "",
		"the list of HOST:PORT, written like those of listen.proxy, on which clients reach the proxy by SOCKS5",
		many[string]{listenAddr, func(c *Config) *[]string { return &c.Listen.SOCKS }},
	},
	{
		"listen.transparent", "",
		"the list of HOST:PORT, written like those of listen.proxy, to which a packet filter sends the connections of clients that know of no proxy; on Linux only",
		many[string]{listenAddr, func(c *Config) *[]string { return &c.Listen.Transparent }},
	},
	{
		"listen.admin", "127.0.0.1:9128",
		"the HOST:PORT of health, metrics and API, written like those of listen.proxy; empty turns it off; other than loopback needs admin.hosts and admin.token-file",
		one[string]{listenAddrOrOff, func(c *Config) *string { return &c.Listen.Admin }},
	},
	{
		"listen.proxy-protocol", "",
		"the list of prefixes and addresses of load balancers, which must tell their clients by the PROXY protocol (version 1 or 2) on listen.proxy and listen.socks; nobody else may",
		many[netip.Prefix]{prefix, func(c *Config) *[]netip.Prefix { return &c.Listen.ProxyProtocol }},
	},
	{
		"admin.hosts", "",
		"the list of names and addresses, without port, that a request to the admin listener may carry as Host besides localhost and loopback addresses",
		many[host.Name]{hostName, func(c *Config) *[]host.Name { return &c.Admin.Hosts }},
	},
	{
		"admin.token-file", "",
		"the file with the token that the admin listener asks for: one line, in a file that only its owner can read; empty asks for none",
		path{one[string]{fileName, func(c *Config) *string { return &c.Admin.TokenFile }}},
	},
	{
		"admin.pprof", "false",
		"whether the admin listener serves profiles of the running process under /debug/pprof/",
		one[bool]{truth, func(c *Config) *bool { return &c.Admin.Pprof }},
	},
	{
		"clients.allow", "loopback,private,on-link",
		"the list of clients that may use the proxy: loopback, private, on-link (the networks of the gateway's inner interfaces), prefixes and addresses; empty refuses everybody",
		many[ClientRange]{clientRange, func(c *Config) *[]ClientRange { return &c.Clients.Allow }},
	},
	{
		"clients.auth", "",
		"the htpasswd file of bcrypt hashes by which clients log in to listen.proxy (Basic) and listen.socks, in a file that not everybody can read; empty asks nobody",
		path{one[string]{fileName, func(c *Config) *string { return &c.Clients.Auth }}},
	},
	{
		"upstream.resolver", "",
		"the ADDRESS:PORT of the DNS server that is asked for destinations; empty asks the system",
		one[netip.AddrPort]{server, func(c *Config) *netip.AddrPort { return &c.Upstream.Resolver }},
	},
	{
		"upstream.hosts", "",
		"the list of {name: NAME[:PORT], address: ADDRESS:PORT} of destinations that are dialled there instead of where DNS says, without PORT on every port; the destination guard trusts these addresses",
		objects[UpstreamHost]{upstreamFields, func(c *Config) *[]UpstreamHost { return &c.Upstream.Hosts }},
	},
	{
		"upstream.allow", "",
		"the list of prefixes and addresses that the destination guard lets through although they are private or special",
		many[netip.Prefix]{prefix, func(c *Config) *[]netip.Prefix { return &c.Upstream.Allow }},
	},
	{
		"upstream.ports", "",
		"the list of ports and ranges, such as 8443 or 8000-8010, that clients may name besides 80, 443 and those of the catalogue",
		many[PortRange]{portRange, func(c *Config) *[]PortRange { return &c.Upstream.Ports }},
	},
	{
		"upstream.parent", "",
		"the proxy, http://HOST:PORT, through which destinations are reached, all but those of upstream.hosts; it then looks names up, and the destination guard judges only addresses that clients name; empty reaches them straight",
		one[Parent]{parentURL, func(c *Config) *Parent { return &c.Upstream.Parent }},
	},
	{
		"upstream.parent-auth", "",
		"where the user:password is with which the gateway logs in to upstream.parent: file:PATH, a file of one line that only its owner can read, or env:NAME, a variable of the environment; empty logs in nowhere",
		secret{one[string]{secretPlace, func(c *Config) *string { return &c.Upstream.ParentAuth }}},
	},
	{
		"upstream.ca-file", "",
		"the PEM file of roots that the certificates of intercepted destinations may chain to besides the system's; empty adds none",
		path{one[string]{fileName, func(c *Config) *string { return &c.Upstream.CAFile }}},
	},
	{
		"transparent.dial", Original,
		"what is dialled for a connection to listen.transparent: original is the address that the client dialled, resolve is the host that its hello or request names, as the gateway finds it, and the address only where none is named",
		one[string]{oneOf(Original, Resolve), func(c *Config) *string { return &c.Transparent.Dial }},
	},
	{
		"policy.file", "",
		"the operator's policy; empty applies the built-in one",
		path{one[string]{fileName, func(c *Config) *string { return &c.Policy.File }}},
	},
	{
		"policy.catalog", "",
		"the directory whose entries add to the embedded catalogue, a same-named one replacing it; empty adds none",
		path{one[string]{fileName, func(c *Config) *string { return &c.Policy.Catalog }}},
	},
	{
		"policy.catalog-only", "false",
		"whether policy.catalog stands alone, without the embedded catalogue",
		one[bool]{truth, func(c *Config) *bool { return &c.Policy.CatalogOnly }},
	},
	{
		"policy.waivers", "",
		"the file with nothing but waivers, which add to those of the policy; gracegate waiver add makes it; empty adds none",
		path{one[string]{fileName, func(c *Config) *string { return &c.Policy.Waivers }}},
	},
	{
		"policy.bundle", "",
		"the signed bundle that has policy and catalogue in place of policy.file and policy.catalog: a file, or an https:// URL that is asked every five minutes; empty takes none",
		pathOrURL{path{one[string]{bundlePlace, func(c *Config) *string { return &c.Policy.Bundle }}}},
	},
	{
		"policy.keys", "",
		"the list of public keys of minisign, or of files with one, any of which may sign policy.bundle",
		keysOrPaths{paths{many[string]{someFile, func(c *Config) *[]string { return &c.Policy.Keys }}}},
	},
	{
		"policy.known-at", "all",
		"the horizon: all sees everything loaded, clock only what was published by the policy clock's time, an RFC 3339 instant with an offset only what was published by then",
		one[KnownAt]{horizon, func(c *Config) *KnownAt { return &c.Policy.KnownAt }},
	},
	{
		"policy.max-age", "400d",
		"the age of the catalogue's newest checked source above which gracegate lint warns; 0 is no limit",
		one[time.Duration]{orZero(duration, between(duration, day, 3650*day)), func(c *Config) *time.Duration { return &c.Policy.MaxAge }},
	},
	{
		"policy.reload", "true",
		"whether policy, waivers, catalogue, bundle, users and certificate authority are read again when their files change, and a bundle that is fetched is asked for anew; SIGHUP does it in any case",
		one[bool]{truth, func(c *Config) *bool { return &c.Policy.Reload }},
	},
	{
		"clock.at", "",
		"the RFC 3339 instant, with an offset, at which the policy clock starts; empty follows real time",
		one[time.Time]{instant, func(c *Config) *time.Time { return &c.Clock.At }},
	},
	{
		"clock.rate", "1",
		"the number of policy seconds that pass in a real second; other than 1 only with clock.at",
		one[float64]{positive(number, 1e6), func(c *Config) *float64 { return &c.Clock.Rate }},
	},
	{
		"clock.untrusted", LastGood,
		"what happens while the clock cannot be believed: last-good goes on from the last time that could be, block-governed does so and refuses what the policy governs, allow believes the machine's clock as it is",
		one[string]{oneOf(LastGood, BlockGoverned, Allow), func(c *Config) *string { return &c.Clock.Untrusted }},
	},
	{
		"clock.check", "",
		"the time server, ntp://HOST[:PORT], that the machine's clock is compared with, every hour and while it cannot be believed every minute; it never sets the clock; empty asks none",
		one[TimeServer]{timeServer, func(c *Config) *TimeServer { return &c.Clock.Check }},
	},
	{
		"deny.retry-after", "1h",
		"the Retry-After of refusals, in whole seconds, so that updaters do not storm; 0 sends none",
		one[time.Duration]{
			orZero(duration, wholeSeconds(between(duration, time.Second, 30*day))),
			func(c *Config) *time.Duration { return &c.Deny.RetryAfter },
		},
	},
	{
		"deny.page", "",
		"the file of the html/template that makes the page of refusals for browsers; empty takes the built-in one",
		path{one[string]{fileName, func(c *Config) *string { return &c.Deny.Page }}},
	},
	{
		"operator.name", "",
		"the name of the operator as refusals show it; empty shows none",
		one[string]{line, func(c *Config) *string { return &c.Operator.Name }},
	},
	{
		"operator.contact", "",
		"how a refused person reaches the operator, as refusals show it; empty shows none",
		one[string]{line, func(c *Config) *string { return &c.Operator.Contact }},
	},
	{
		"operator.url", "",
		"the http or https page about refusals, shown on them and sent as their Link with rel=blocked-by; empty sends none",
		one[string]{webPage, func(c *Config) *string { return &c.Operator.URL }},
	},
	{
		"audit.retain", "400d",
		"how long records are kept, by real time; they are removed a file of about a day at a time; 0 keeps them for ever",
		one[time.Duration]{
			orZero(duration, between(duration, time.Hour, 100*365*day)),
			func(c *Config) *time.Duration { return &c.Audit.Retain },
		},
	},
	{
		"audit.ungoverned", "false",
		"whether flows that no endpoint and no rule governs are recorded too",
		one[bool]{truth, func(c *Config) *bool { return &c.Audit.Ungoverned }},
	},
	{
		"audit.on-failure", Allow,
		"what happens to traffic that passes by policy while its record cannot be kept",
		one[string]{oneOf(Allow, Block), func(c *Config) *string { return &c.Audit.OnFailure }},
	},
	{
		"audit.file", "",
		"where records go as JSON lines besides the journal: a file that is rotated, or - for standard output; empty writes none",
		outlet{path{one[string]{fileName, func(c *Config) *string { return &c.Audit.File }}}},
	},
	{
		"audit.squid", "",
		"where records go as lines of Squid's native access.log: a file that is rotated, or - for standard output; empty writes none",
		outlet{path{one[string]{fileName, func(c *Config) *string { return &c.Audit.Squid }}}},
	},
	{
		"audit.rotate-size", "100MiB",
		"the size, rounded up to whole MiB, that a file of records does not exceed: it is renamed and a new one begun",
		one[int64]{between(size, 1<<20, 1<<40), func(c *Config) *int64 { return &c.Audit.RotateSize }},
	},
	{
		"audit.rotate-keep", "10",
		"the number of renamed files that are kept of each file of records; 0 is no limit",
		one[int]{between(count, 0, 1e5), func(c *Config) *int { return &c.Audit.RotateKeep }},
	},
	{
		"audit.rotate-age", "400d",
		"the time, rounded up to whole days, after which a renamed file of records is deleted when the next one is begun; 0 is no limit",
		one[time.Duration]{
			orZero(duration, between(duration, day, 3650*day)),
			func(c *Config) *time.Duration { return &c.Audit.RotateAge },
		},
	},
	{
		"audit.syslog", "",
		"the syslog server that gets records in the format of RFC 5424: udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, or unix://PATH for a socket of this machine; empty sends none",
		one[SyslogServer]{syslogServer, func(c *Config) *SyslogServer { return &c.Audit.Syslog }},
	},
	{
		"audit.syslog-ca-file", "",
		"the PEM file of roots that the certificate of a tls:// audit.syslog may chain to besides the system's; empty adds none",
		path{one[string]{fileName, func(c *Config) *string { return &c.Audit.SyslogCAFile }}},
	},
	{
		"devices.leases", "",
		"the list of files of DHCP leases that tell the names of devices, and their MAC addresses where a router is in between: dnsmasq's, or those that Kea's memfile backend writes; empty reads none",
		paths{many[string]{someFile, func(c *Config) *[]string { return &c.Devices.Leases }}},
	},
	{
		"ca.dir", "ca",
		"the directory of the certificate authority that interception needs, relative to data.dir; empty turns interception off",
		one[string]{fileName, func(c *Config) *string { return &c.CA.Dir }},
	},
	{
		"data.dir", "~/.local/state/gracegate",
		"the directory of what the gateway keeps, where ~ is the home directory; unless it is set, a STATE_DIRECTORY of systemd is taken, and " + serviceData + " where there is no home",
		directory{path{one[string]{fileName, func(c *Config) *string { return &c.Data.Dir }}}},
	},
	{
		"limits.connections", "20000",
		"the largest number of client connections at a time; 0 bounds it only by what the process's file descriptors allow, which bound it in any case",
		one[int]{between(count, 0, 1e6), func(c *Config) *int { return &c.Limits.Connections }},
	},
	{
		"limits.per-client", "2000",
		"the largest number of connections that one client address may have at a time; 0 is no limit",
		one[int]{between(count, 0, 1e6), func(c *Config) *int { return &c.Limits.PerClient }},
	},
	{
		"limits.per-destination", "0",
		"the largest number of connections to one destination at a time; 0 is no limit",
		one[int]{between(count, 0, 1e6), func(c *Config) *int { return &c.Limits.PerDestination }},
	},
	{
		"limits.rate", "0",
		"the number of requests that one client address may make in a second, on average; 0 is no limit",
		one[int]{between(count, 0, 1e6), func(c *Config) *int { return &c.Limits.Rate }},
	},
	{
		"limits.header", "64KiB",
		"the largest request head that is read",
		one[int64]{between(size, 1<<10, 1<<20), func(c *Config) *int64 { return &c.Limits.Header }},
	},
	{
		"limits.header-count", "100",
		"the largest number of header fields in a request",
		one[int]{between(count, 1, 10000), func(c *Config) *int { return &c.Limits.HeaderCount }},
	},
	{
		"limits.hello", "10s",
		"the time a client may take for a request head or a TLS hello, from its first byte on",
		one[time.Duration]{
			between(duration, 10*time.Millisecond, 5*time.Minute),
			func(c *Config) *time.Duration { return &c.Limits.Hello },
		},
	},
	{
		"limits.dial", "10s",
		"the time a connection to a destination may take, name look-up included",
		one[time.Duration]{
			between(duration, 10*time.Millisecond, 5*time.Minute),
			func(c *Config) *time.Duration { return &c.Limits.Dial },
		},
	},
	{
		"limits.idle", "5m",
		"the time after which a connection is closed when no byte passed in either direction; 0 never closes it",
		one[time.Duration]{
			orZero(duration, between(duration, 10*time.Millisecond, 30*day)),
			func(c *Config) *time.Duration { return &c.Limits.Idle },
		},
	},
	{
		"limits.lifetime", "0",
		"the time after which a tunnel is closed, however busy it is; 0 never closes it for its age",
		one[time.Duration]{
			orZero(duration, between(duration, 10*time.Millisecond, 365*day)),
			func(c *Config) *time.Duration { return &c.Limits.Lifetime },
		},
	},
	{
		"limits.drain", "30s",
		"the time that open flows may go on after SIGTERM; 0 cuts them at once",
		one[time.Duration]{
			orZero(duration, between(duration, 10*time.Millisecond, day)),
			func(c *Config) *time.Duration { return &c.Limits.Drain },
		},
	},
	{
		"limits.memory", "0",
		"the memory that the process tries to stay below by collecting garbage more often, without what the kernel holds for its sockets; 0 leaves that to the variable GOMEMLIMIT",
		one[int64]{orZero(size, between(size, 32<<20, 1<<40)), func(c *Config) *int64 { return &c.Limits.Memory }},
	},
	{
		"log.level", "info",
		"the least severe level that is logged",
		one[string]{oneOf("debug", "info", "warn", "error"), func(c *Config) *string { return &c.Log.Level }},
	},
	{
		"log.format", "json",
		"how a log line is written: json for machines, console for people",
		one[string]{oneOf("json", "console"), func(c *Config) *string { return &c.Log.Format }},
	},
}

// keys returns the key of every setting.
func keys() []string {
	all := make([]string, len(settings))
	for i, s := range settings {
		all[i] = s.key
	}
	return all
}

// lookup returns the setting with this key, or nil.
func lookup(key string) *setting {
	for _, s := range settings {
		if s.key == key {
			return s
		}
	}
	return nil
}
