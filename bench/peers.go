package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
)

// refusedHost is what every peer that can refuse refuses: a name that the policy blocks after the deadline.
const refusedHost = "dnl-01.geo.kaspersky.com"

// peer is a proxy to measure.
type peer struct {
	name    string
	debian  string // the package that has it, if one does
	program string // what that is called, if not as the peer
	binary  string // which gracegate it is
	start   func(ctx context.Context, st *stage, address string) (*server, error)
	version func() string

	pass    *server // what answers allowed requests
	refuse  *server // what answers refused ones; the same, except for gracegate
	plain   string  // the host to ask it for plainly; empty if it cannot
	free    string  // the same, for one that no policy governs; gracegate alone
	tls     string  // the authority for CONNECT to TLS
	blob    string  // and to blobs
	refused int     // the status of its refusals; 0 if it makes none
	once    bool    // it closes a connection after an answer, without saying so
	pipes   bool    // a tunnel of it takes six descriptors, not two

	roots   *x509.CertPool // of its certificates, if it takes TLS apart
	direct  bool           // it is the origin, over TLS
	leaves  bool           // it keeps as many leaves as it is asked for
	failure error          // why it takes no part in what it was to
}

// others are the peers besides gracegate.
func (st *stage) others() []*peer {
	full := func(p peer) *peer {
		p.plain, p.tls, p.blob = st.plain, st.tls, st.blob
		return &p
	}
	haproxy := full(peer{name: "haproxy", debian: "haproxy", refused: 403, start: startHaproxy, version: firstLine("haproxy", "-v")})
	haproxy.tls, haproxy.blob = connectTLS, connectBlob
	raw := full(peer{name: "raw", start: startRole("raw"), version: func() string { return "of bench/relay.go" }})
	raw.plain, raw.pipes = "", true
	goproxy := full(peer{name: "goproxy", start: startRole("goproxy"), pipes: true, version: moduleVersion("github.com/elazarl/goproxy")})
	tinyproxy := full(peer{name: "tinyproxy", debian: "tinyproxy", refused: 403, once: true, start: startTinyproxy, version: firstLine("tinyproxy", "-v")})
	return []*peer{
		full(peer{name: "squid", debian: "squid-openssl", refused: 403, start: startSquid, version: firstLine("squid", "-v")}),
		haproxy,
		tinyproxy,
		raw,
		goproxy,
	}
}

// firstLine asks a program what it is.
func firstLine(program string, args ...string) func() string {
	return func() string {
		out, _ := exec.CommandContext(context.Background(), program, args...).Output() //nolint:gosec // a peer
		line, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimSpace(line)
	}
}

// startPeers starts those of the peers that are wanted and there; it says which are missing.
func (st *stage) startPeers(ctx context.Context, wanted []string, say func(string, ...any)) ([]*peer, error) {
	var peers []*peer
	for _, p := range st.others() {
		if len(wanted) > 0 && !slices.Contains(wanted, p.name) {
			continue
		}
		if p.missing(say) {
			continue
		}
		s, err := st.launch(ctx, p)
		if err != nil {
			return nil, err
		}
		p.pass, p.refuse = s, s
		peers = append(peers, p)
	}
	return peers, nil
}

// missing tells whether a peer's program is not there, and says so.
func (p *peer) missing(say func(string, ...any)) bool {
	if p.debian == "" {
		return false
	}
	_, err := exec.LookPath(cmp.Or(p.program, p.name))
	if err != nil {
		say("%s takes no part, it is missing: apt-get install %s\n", p.name, p.debian)
	}
	return err != nil
}

// launch starts a peer on a free port.
func (st *stage) launch(ctx context.Context, p *peer) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return p.start(ctx, st, address)
}

// startRole starts this program as one of the peers that it has in itself.
func startRole(role string) func(context.Context, *stage, string) (*server, error) {
	return func(ctx context.Context, st *stage, address string) (*server, error) {
		return st.start(ctx, role, address, nil, st.bench, role, "-listen", address)
	}
}

func startSquid(ctx context.Context, st *stage, address string) (*server, error) {
	return st.startSquid(ctx, "squid-"+port(address), address, "")
}

// startSquid starts a squid with more to its configuration. The first line of that goes on with the one of http_port.
func (st *stage) startSquid(ctx context.Context, name, address, more string) (*server, error) {
	var hosts strings.Builder // it looks up the names of clients, and of destinations that are addresses
	hosts.WriteString("127.0.0.1 origin.bench " + warmName + "\n")
	for i := range leafNames {
		hosts.WriteString("127.0.0.1 " + leafName(i) + "\n")
	}
	for i, ip := range sources {
		fmt.Fprintf(&hosts, "%s client-%d.bench\n", ip, i)
	}
	err := errors.Join(st.write(name+".hosts", hosts.String()), st.write(name+".conf", fmt.Sprintf(`http_port %[1]s%[7]s
workers 1
cache deny all
cache_mem 0
acl SSL_ports port %[2]s %[3]s
acl Safe_ports port 80 443 1025-65535
acl clients src 127.0.0.0/8
acl refused dstdomain .kaspersky.com
http_access deny refused
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost manager
http_access deny manager
http_access allow clients
http_access deny all
access_log daemon:%[4]s/%[5]s-access.log squid
cache_log %[4]s/%[5]s-cache.log
pid_filename %[4]s/%[5]s.pid
coredump_dir %[4]s
pinger_enable off
hosts_file %[4]s/%[5]s.hosts
max_filedescriptors %[6]d
shutdown_lifetime 0 seconds
`, address, port(st.tls), port(st.blob), st.dir, name, st.files, more)))
	if err != nil {
		return nil, err
	}
	return st.start(ctx, name, address, nil, "squid", "-N", "-f", name+".conf")
}

func startHaproxy(ctx context.Context, st *stage, address string) (*server, error) {
	name := "haproxy-" + port(address)
	err := st.write(name+".cfg", fmt.Sprintf(`global
	log %[1]s local0
	user haproxy
	group haproxy
defaults
	log global
	mode http
	option httplog
	option dontlognull
	timeout connect 5s
	timeout client 50s
	timeout server 50s
	timeout tunnel 1h
frontend proxy
	bind %[2]s
	http-request deny if { req.hdr(host),field(1,:) -i -m end .kaspersky.com }
	use_backend tunnel if METH_CONNECT
	default_backend plain
backend plain
	http-reuse always
	server origin %[3]s
backend tunnel
	http-reuse never
	server origin %[3]s
`, st.syslog, address, st.plain))
	if err != nil {
		return nil, err
	}
	return st.start(ctx, name, address, nil, "haproxy", "-db", "-f", name+".cfg")
}

func startTinyproxy(ctx context.Context, st *stage, address string) (*server, error) {
	name := "tinyproxy-" + port(address)
	err := errors.Join(st.write(name+".filter", `\.kaspersky\.com$`+"\n"), st.write(name+".conf", fmt.Sprintf(`User tinyproxy
Group tinyproxy
Port %[1]s
Listen 127.0.0.1
Timeout 600
DefaultErrorFile "/usr/share/tinyproxy/default.html"
StatFile "/usr/share/tinyproxy/stats.html"
LogFile "%[2]s/%[3]s-access.log"
LogLevel Info
MaxClients 10000
Allow 127.0.0.0/8
ViaProxyName "tinyproxy"
Filter "%[2]s/%[3]s.filter"
`, port(address), st.dir, name)))
	if err != nil {
		return nil, err
	}
	return st.start(ctx, name, address, nil, "tinyproxy", "-d", "-c", name+".conf")
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}
