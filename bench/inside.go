package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// insideRows are about TLS that is taken apart, by peers that sign for the names. Both ends speak HTTP/1.1.
func insideRows() []row {
	return []row{
		{
			name: "intercept-keepalive", title: "GET 1 KiB within TLS, intercepted, kept alive, 32 clients", work: keptInside(32, 1<<10),
			target: insideTarget, inside: true, aims: []aim{{"squid", 0.8, true}},
		},
		{
			name: "intercept-new-warm", title: "intercepted CONNECT, TLS handshake with a known name, one GET of 1 KiB, close, 16 clients",
			work: newInside(16, 1<<10, false), target: insideTarget, inside: true, aims: []aim{{"goproxy", 0.9, true}},
		},
		{
			name: "intercept-new-10000", title: "the same with 10,000 names, each once, 16 clients", work: eachInside(16, 1<<10),
			target: insideTarget, inside: true, skip: []string{"mitmproxy"}, aims: []aim{{"goproxy", 0.6, true}},
		},
		{
			name: "intercept-resumed", title: "the same with a known name, and sessions that clients resume, 16 clients",
			work: newInside(16, 1<<10, true), target: insideTarget, inside: true,
		},
	}
}

func insideTarget(p *peer) (*server, target) {
	return p.pass, target{proxy: p.pass.address, direct: p.direct, roots: p.roots}
}

// insiders starts those of the peers that take TLS apart and are wanted and there, if they do not run yet. The first is
// gracegate. One that does not start has a failure.
func (d *driver) insiders(ctx context.Context, wanted []string) []*peer {
	if d.inside != nil {
		return d.inside
	}
	for _, g := range d.peers {
		if g.binary != "" {
			d.inside = append(d.inside, d.stage.insideGracegate(g.name, g.binary))
		}
	}
	for _, p := range d.stage.insideOthers() {
		if (len(wanted) == 0 || slices.Contains(wanted, p.name)) && !p.missing(d.say) {
			d.inside = append(d.inside, p)
		}
	}
	for _, p := range d.inside {
		if p.pass, p.failure = d.stage.launch(ctx, p); p.failure != nil {
			d.say("\n%s does not start, to intercept: %v\n", p.name, p.failure)
		}
	}
	return d.inside
}

// insideOthers are the peers besides gracegate that take TLS apart, and the origin itself.
func (st *stage) insideOthers() []*peer {
	squid := peer{name: "squid", debian: "squid-openssl", start: startBumpingSquid, version: firstLine("squid", "-v")}
	mitmproxy := peer{
		name: "mitmproxy", debian: "mitmproxy", program: "mitmdump", start: startMitmproxy, version: firstLine("mitmdump", "--version"),
	}
	goproxy := peer{name: "goproxy", leaves: true, start: startBump, version: moduleVersion("github.com/elazarl/goproxy")}
	for _, p := range []*peer{&squid, &mitmproxy, &goproxy} {
		p.roots = st.signer.pool()
	}
	direct := peer{name: "direct", direct: true, roots: st.roots}
	direct.start = func(context.Context, *stage, string) (*server, error) {
		s := *st.origin
		s.address = st.tls
		return &s, nil
	}
	return []*peer{&squid, &mitmproxy, &goproxy, &direct}
}

// startBump starts goproxy.
func startBump(ctx context.Context, st *stage, address string) (*server, error) {
	return st.start(ctx, "bump-"+port(address), address, nil,
		st.bench, "bump", "-listen", address, "-origin", st.tls, "-signer", signerFile, "-roots", rootsFile)
}

// startBumpingSquid starts a squid that answers handshakes by itself, so that it may keep connections to the origin for all clients.
// Its own store of made certificates is as large as all names take; its helper has none, since that on disk takes longer than to sign.
func startBumpingSquid(ctx context.Context, st *stage, address string) (*server, error) {
	more := fmt.Sprintf(` ssl-bump tls-cert=%[1]s/%[2]s generate-host-certificates=on dynamic_cert_mem_cache_size=64MB
sslcrtd_program /usr/lib/squid/security_file_certgen
ssl_bump bump all
tls_outgoing_options cafile=%[1]s/%[3]s default-ca=off`, st.dir, signerFile, rootsFile)
	return st.startSquid(ctx, "squid-bump-"+port(address), address, more)
}

// mitmAddon takes every name to the origin; mitmproxy has no setting for that.
const mitmAddon = `def server_connect(data):
    data.server.address = (%q, %s)
`

func startMitmproxy(ctx context.Context, st *stage, address string) (*server, error) {
	name := "mitmproxy-" + port(address)
	signer, err := st.signer.withKey()
	if err == nil {
		addon := fmt.Sprintf(mitmAddon, "127.0.0.1", port(st.tls))
		err = errors.Join(st.write(name+"/mitmproxy-ca.pem", signer), st.write(name+".py", addon))
	}
	if err != nil {
		return nil, err
	}
	return st.start(ctx, name, address, nil, "mitmdump", "--quiet", "--listen-host", "127.0.0.1", "--listen-port", port(address),
		"--set", "confdir="+filepath.Join(st.dir, name), "--set", "ssl_verify_upstream_trusted_ca="+filepath.Join(st.dir, rootsFile),
		"--set", "http2=false", "--scripts", name+".py")
}
