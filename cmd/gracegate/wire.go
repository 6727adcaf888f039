package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/certs"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/console"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/export"
	"github.com/gracegate/gracegate/proxy"
	"github.com/gracegate/gracegate/proxy/devices"
	"github.com/gracegate/gracegate/proxy/login"
)

// gateway joins the parts: this file is the only one that knows them all.
type gateway struct {
	cfg      *config.Config
	clock    *edgeClock
	log      *zap.Logger
	law      *law
	bundles  *bundleKeeper // nil: the policy comes from files
	policies *policy.Holder
	records  *records
	metrics  *console.Metrics
	clients  *proxy.Clients
	devices  *devices.Table
	users    *login.Checker // nil: nobody is asked to log in
	parent   *proxy.Parent  // nil: destinations are reached straight
	page     *proxy.Page    // of refusals, as read at start; nil: the built-in one

	authority *authority
	announced string         // the policy and the CA of which announceCA has told
	roots     *x509.CertPool // of origins; nil: the system's

	connections int    // that fit the process, at most limits.connections; 0: nobody counts them
	passed      passed // by the service manager

	proxies     []net.Listener
	socks       []net.Listener
	transparent []net.Listener
	admin       net.Listener
	server      *proxy.Server
	console     *http.Server
	draining    atomic.Bool
	reloads     reloadState
}

// recorder is who records flows. A benchmark has it that nobody does.
var recorder = func(r *records) proxy.Recorder { return r }

// newGateway builds everything that can fail without a listener.
func newGateway(cfg *config.Config, clk *edgeClock, log *zap.Logger, always []zap.Field, outlets *audit.Fan, bundles *bundleKeeper) (*gateway, error) {
	g := &gateway{cfg: cfg, clock: clk, log: log, law: &law{cfg: cfg}, bundles: bundles, policies: &policy.Holder{}}
	if bundles != nil {
		g.law.bundles = bundles.toBuild
	}
	untaken, err := g.firstPolicy()
	if err != nil {
		return nil, err
	}
	if g.clients, err = newClients(cfg); err != nil {
		return nil, err
	}
	g.devices = devices.New(devices.Config{Leases: cfg.Devices.Leases, Links: g.clients.Links, Log: log.Named("devices")})
	users, err := readUsers(cfg.Clients.Auth)
	if err != nil {
		return nil, err
	}
	if users != nil {
		g.users = login.NewChecker(users)
	}
	if g.parent, err = newParent(cfg); err != nil {
		return nil, err
	}
	if g.page, err = readPage(cfg.Deny.Page); err != nil {
		return nil, err
	}
	if g.roots, err = upstreamRoots(cfg); err != nil {
		return nil, err
	}
	if g.authority, err = newAuthority(cfg.CADir(), log); err != nil {
		return nil, err
	}
	if err := g.authority.load(); err != nil {
		return nil, err
	}
	if g.records, err = openRecords(cfg, clk, log, always, outlets); err != nil {
		return nil, err
	}
	g.metrics = console.NewMetrics(console.Sources{
		Records:      g.records,
		Outlets:      outletsOf(outlets),
		PolicyTime:   clk.Now,
		NextBlocks:   func() map[string]time.Time { return g.policy().NextBlocks(clk.Now()) },
		ClockTrusted: clk.trusted,
		ClockOffset:  func() time.Duration { return clk.Now().Sub(kernel.Read().Wall) },
		CANotAfter:   g.authority.notAfter,
		Bundle:       bundles.status,
	})
	g.metrics.Reloaded(g.policy().Revision(), time.Now(), nil)
	g.bundles.tookUp(g.law.built)
	if refused := errors.Join(untaken, g.bundles.refused()); refused != nil {
		g.reloads.set(refused)
		g.metrics.Reloaded("", time.Now(), refused)
	}
	g.clock.start(g.clockTurned, log)
	return g, nil
}

func (g *gateway) policy() *policy.Policy { return g.policies.Current() }

// listen opens every listener, and builds what must know their addresses: the proxy is no destination of its own.
func (g *gateway) listen(ctx context.Context) error {
	if err := g.openListeners(ctx); err != nil {
		return err
	}
	pages := map[string]http.Handler{"/cacert": cacertHandler(g.authority)}
	if len(g.proxies) > 0 {
		pac := &pacPages{proxies: g.proxies, policy: g.policy}
		pages["/proxy.pac"], pages["/wpad.dat"] = pac, pac
	}
	g.addExports(pages)
	g.server = g.newServer(pages)
	return g.newConsole(pages)
}

// addExports adds the lists of what is blocked by name.
func (g *gateway) addExports(pages map[string]http.Handler) {
	rate := 1.0
	if g.clock.Simulated() {
		rate = g.cfg.Clock.Rate
	}
	lists := newExports(g.policies, g.clock.Now, rate)
	for _, format := range export.Formats {
		pages["/export/"+format] = lists.handler(format)
	}
}

func (g *gateway) newServer(pages map[string]http.Handler) *proxy.Server {
	cfg := g.cfg
	// By the very path: a mux would redirect what only looks like it.
	local := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page, ok := pages[r.URL.Path]; ok && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			page.ServeHTTP(w, r)
			return
		}
		proxy.NotAProxyRequest(w, r)
	})
	return proxy.New(proxy.Config{
		Policies: g.policies, Clock: g.instant, Recorder: recorder(g.records), Observer: g.metrics,
		Dialer: g.newDialer(), Clients: g.clients, Devices: g.devices, Auth: g.authenticator(), Ports: openedPorts(cfg), Local: local, Log: g.log.Named("proxy"),
		Head: int(cfg.Limits.Header), Headers: cfg.Limits.HeaderCount, Hello: cfg.Limits.Hello, Idle: cfg.Limits.Idle,
		Lifetime: cfg.Limits.Lifetime,
		Limits: proxy.AdmissionLimits{
			Connections: g.connections, PerClient: cfg.Limits.PerClient, PerDestination: cfg.Limits.PerDestination, Rate: cfg.Limits.Rate,
		},
		RetryAfter: cfg.Deny.RetryAfter, Page: g.page, Ungoverned: cfg.Audit.Ungoverned,
		Balancers: cfg.Listen.ProxyProtocol,
		Issuer:    g.authority.issuer, Roots: g.roots, Resolve: cfg.Transparent.Dial == config.Resolve,
		Operator: proxy.Operator{Name: cfg.Operator.Name, Contact: cfg.Operator.Contact, URL: cfg.Operator.URL},
	})
}

// authenticator is who knows the users; nil if nobody is asked to log in.
func (g *gateway) authenticator() proxy.Authenticator {
	if g.users == nil {
		return nil
	}
	return g.users
}

// instant is what the policy clock shows.
func (g *gateway) instant() proxy.Instant {
	at, trusted, turn := g.clock.read()
	state := policy.ClockTrusted
	if !trusted {
		state = policy.ClockUntrusted
	}
	return proxy.Instant{At: at, State: state, Turn: turn}
}

// builtinPage is the template of refusals that serves where deny.page names none.
func builtinPage() string { return proxy.BuiltinPage }

// readPage reads and tries the template of refusals; it is nil without a file. The error is a [config.Errors].
func readPage(name string) (*proxy.Page, error) {
	if name == "" {
		return nil, nil
	}
	text, err := readPageFile(name)
	if err != nil {
		return nil, err
	}
	page, err := proxy.ParsePage(text)
	if mistake, ok := errors.AsType[*proxy.PageError](err); ok {
		return nil, pageProblem(name, mistake.Line, mistake.Column, mistake.Message)
	}
	return page, err
}

// reloadPage reads the template of refusals again. If it has a mistake, what was in use stays.
func (g *gateway) reloadPage() error {
	page, err := readPage(g.cfg.Deny.Page)
	if err == nil {
		g.server.SetPage(page)
	}
	return err
}

func (g *gateway) newDialer() *proxy.Dialer {
	d := proxy.DialConfig{Guard: proxy.NewGuard(g.cfg.Upstream.Allow, nil), Timeout: g.cfg.Limits.Dial, Parent: g.parent}
	if g.cfg.Upstream.Resolver.IsValid() {
		d.Resolver = g.cfg.Upstream.Resolver.String()
	}
	for _, h := range g.cfg.Upstream.Hosts {
		d.Hosts = append(d.Hosts, proxy.HostOverride{Name: h.Name, Port: h.Port, Address: h.Address})
	}
	for _, l := range g.listeners() {
		if a, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
			d.Refused = append(d.Refused, a)
		}
	}
	return proxy.NewDialer(d)
}

// newParent is the proxy that destinations are reached through; nil without one.
func newParent(cfg *config.Config) (*proxy.Parent, error) {
	at := cfg.Upstream.Parent
	if at.Port == 0 {
		return nil, nil
	}
	user, password, err := cfg.Upstream.ParentLogin()
	if p, ok := errors.AsType[config.Problem](err); ok {
		return nil, config.Errors{p}
	}
	return &proxy.Parent{Name: at.Name, Port: at.Port, User: user, Password: password}, err
}

func (g *gateway) newConsole(pages map[string]http.Handler) error {
	if g.admin == nil {
		return nil
	}
	token, err := g.cfg.Admin.Token()
	if err != nil {
		return err
	}
	hosts := make([]string, len(g.cfg.Admin.Hosts))
	for i, h := range g.cfg.Admin.Hosts {
		hosts[i] = h.String()
	}
	g.console = console.Server(console.New(console.Config{
		Listen: g.admin.Addr().String(), Hosts: hosts, Token: token,
		Status:   g.status,
		Settings: func() any { return g.cfg.Redacted() },
		Version:  map[string]string{"version": version()},
		Metrics:  g.metrics.Handler(),
		Pages:    pages,
		Pprof:    g.cfg.Admin.Pprof,
		Flows:    g.openFlows,
	}), zap.NewStdLog(g.log.Named("console")))
	return nil
}

// openFlows shows the open flows on the admin listener.
func (g *gateway) openFlows(limit int) ([]console.Flow, int) {
	open, total := g.server.OpenFlows(limit)
	shown := make([]console.Flow, len(open))
	for i, f := range open {
		shown[i] = console.Flow{
			Kind: f.Kind, State: f.State.String(), Client: f.Client, User: f.User, MAC: f.MAC, Hostname: f.Hostname, Host: f.Host.String(), Port: f.Port, SNI: f.SNI.String(),
			Upstream: f.Upstream, Since: f.Since, BytesIn: f.BytesIn, BytesOut: f.BytesOut, NextChange: f.NextChange,
		}
	}
	return shown, total
}

// proxyListening is how the listeners of the proxy are opened.
func proxyListening() net.ListenConfig { return proxy.ListenConfig() }

const transparentSupported = proxy.TransparentSupported

func (g *gateway) status() console.Status {
	now := time.Now()
	problem, hint := g.authority.outOfForce(now)
	if problem != "" {
		problem += ": " + hint
	}
	_, due := g.authority.due(now)
	behind := ""
	if err := g.records.index.Err(); err != nil {
		behind = err.Error()
	}
	return console.Status{
		DatabaseError: behind,
		CAProblem:     problem, CADue: due && problem == "",
		Revision: g.policy().Revision(), ReloadError: g.reloads.lastError(), Bundle: g.bundles.status(),
		Clock: g.clock.status(), ClockNeeded: g.cfg.Clock.Untrusted == config.BlockGoverned,
		RecordsFail: g.records.Failing(), RecordsNeeded: g.cfg.Audit.OnFailure == config.Block, RecordsLost: g.records.Lost(),
		RecordsWaiting: g.records.Len(), Draining: g.draining.Load(),
	}
}

// serve runs every listener until close, or until one fails.
func (g *gateway) serve() error {
	errs := make(chan error, len(g.listeners()))
	var running sync.WaitGroup
	for _, l := range g.proxies {
		running.Go(func() { errs <- g.server.Serve(l) })
	}
	for _, l := range g.socks {
		running.Go(func() { errs <- g.server.ServeSOCKS(l) })
	}
	for _, l := range g.transparent {
		running.Go(func() { errs <- g.server.ServeTransparent(l) })
	}
	if g.console != nil {
		running.Go(func() {
			err := g.console.Serve(g.admin)
			if errors.Is(err, http.ErrServerClosed) {
				err = nil
			}
			errs <- err
		})
	}
	go func() {
		running.Wait()
		close(errs)
	}()
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// close stops accepting, drains until ctx ends, and writes out the records. It tells whether flows had to be cut.
func (g *gateway) close(ctx context.Context) (cut bool) {
	if g.server != nil {
		cut = g.server.Shutdown(ctx) != nil
	}
	for _, l := range g.listeners() {
		_ = l.Close()
	}
	g.devices.Close()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if g.console != nil {
		_ = g.console.Shutdown(flush)
	}
	g.clock.close() // which may record something
	if err := g.records.close(flush); err != nil {
		g.log.Error("records were not written", zap.Error(err))
	}
	return cut
}

func (g *gateway) listeners() []net.Listener {
	all := slices.Concat(g.proxies, g.socks, g.transparent)
	if g.admin != nil {
		all = append(all, g.admin)
	}
	return all
}

// addresses are those of the listeners, as the ready file has them.
type addresses struct {
	Proxy       []string `json:"proxy"`
	SOCKS       []string `json:"socks,omitempty"`
	Transparent []string `json:"transparent,omitempty"`
	Admin       string   `json:"admin"`
}

func (g *gateway) addresses() addresses {
	a := addresses{Proxy: []string{}}
	for _, l := range g.proxies {
		a.Proxy = append(a.Proxy, l.Addr().String())
	}
	for _, l := range g.socks {
		a.SOCKS = append(a.SOCKS, l.Addr().String())
	}
	for _, l := range g.transparent {
		a.Transparent = append(a.Transparent, l.Addr().String())
	}
	if g.admin != nil {
		a.Admin = g.admin.Addr().String()
	}
	return a
}

func newClients(cfg *config.Config) (*proxy.Clients, error) {
	words := make([]string, len(cfg.Clients.Allow))
	for i, r := range cfg.Clients.Allow {
		words[i] = r.String()
	}
	c, err := proxy.NewClients(words)
	if err != nil {
		return nil, invalid(err, "")
	}
	return c, nil
}

func openedPorts(cfg *config.Config) func(uint16) bool {
	return func(port uint16) bool {
		for _, r := range cfg.Upstream.Ports {
			if r.First <= port && port <= r.Last {
				return true
			}
		}
		return false
	}
}

// newGuards tells explain what the road's guards would say, as far as that can be known without a dial.
func newGuards(cfg *config.Config) (guardFunc, error) {
	clients, err := newClients(cfg)
	if err != nil {
		return nil, err
	}
	ports := openedPorts(cfg)
	guard := proxy.NewGuard(cfg.Upstream.Allow, nil)
	users, err := knownUsers(cfg)
	if err != nil {
		return nil, err
	}
	return func(p *policy.Policy, f *policy.Facts) (string, string) {
		if f.Client.IsValid() && !clients.Allowed(f.Client) {
			return "client", f.Client.String() + " may not use this proxy (clients.allow)"
		}
		if f.User != "" && users != nil && !users.Knows(f.User) {
			return "auth", "there is no user " + strconv.Quote(f.User) + " (clients.auth)"
		}
		if !f.Transparent && !p.PortAllowed(f.Port) && !ports(f.Port) {
			return "port", "port " + strconv.Itoa(int(f.Port)) + " is not opened (upstream.ports)"
		}
		addr, literal := f.Authority.Addr()
		if cfg.Upstream.Parent.Port != 0 {
			addr, literal = proxy.KnownAddr(f.Authority)
		}
		if !literal || overridden(cfg, f) || f.Transparent && cfg.Transparent.Dial == config.Resolve && !named(f).IsAddr() {
			return "", ""
		}
		err := guard.Check(addr)
		if refused, ok := errors.AsType[*proxy.GuardError](err); ok {
			return "destination", refused.Detail()
		}
		if err != nil {
			return "destination", err.Error()
		}
		return "", ""
	}, nil
}

func overridden(cfg *config.Config, f *policy.Facts) bool {
	for _, h := range cfg.Upstream.Hosts {
		if h.Name == f.Authority && (h.Port == 0 || h.Port == f.Port) {
			return true
		}
	}
	return false
}

// newOriginTLS makes what the demo's origin needs to speak TLS under any name, and the roots that a client of it trusts.
func newOriginTLS() (*tls.Config, *x509.CertPool, error) {
	authority, err := certs.NewAuthority("gracegate demo origin", time.Now(), 24*time.Hour)
	if err != nil {
		return nil, nil, err
	}
	issuer, err := certs.NewIssuer(authority, 64, nil)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	return issuer.ServerConfig("http/1.1"), roots, nil
}
