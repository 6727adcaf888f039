package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// HostOverride is one entry of upstream.hosts: the operator's word for where a host really is.
type HostOverride struct {
	Name    host.Name
	Port    uint16         // the port that the client names; 0: any
	Address netip.AddrPort // dialled exactly so, whatever the client's port
}

// DialConfig is what a Dialer needs.
type DialConfig struct {
	// Resolver is "ip:port" of the DNS server that is asked, over UDP and TCP. If empty, the system is asked as it is set up.
	// Either way the machine's hosts file is read first.
	Resolver string

	// Hosts are dialled without a look-up and without the Guard. An entry with a port goes before one without; of equal
	// ones the first counts.
	Hosts []HostOverride

	// Parent is the proxy through which all other hosts are reached; nil: they are reached straight. Names are then looked up by it
	// alone, and the Guard judges only addresses that clients name.
	Parent *Parent

	// Guard judges every other address. If nil, a guard that opens nothing is used.
	Guard *Guard

	// Timeout bounds a whole Dial, look-up and all tries. 0: no bound but the caller's context.
	Timeout time.Duration

	// Refused are the listeners of this gateway, which are never dialled, whatever Hosts and Guard say. An unspecified
	// address stands for all addresses of this machine.
	Refused []netip.AddrPort
}

// Dialer connects to what clients name. It looks a name up once for each Dial, judges every address that comes back, and
// connects to exactly those that passed: between judging and connecting no name is looked up again. It is safe for
// concurrent use.
type Dialer struct {
	lookup  func(ctx context.Context, network, name string) ([]netip.Addr, error)
	hosts   map[hostPort]netip.AddrPort
	parent  *Parent
	guard   *Guard
	timeout time.Duration
	refused []netip.AddrPort

	pseudonym string                           // of this gateway, in Via
	login     string                           // the field line with which it logs in at the parent, or nothing
	parentAt  atomic.Pointer[[]netip.AddrPort] // where it was last
}

type hostPort struct {
	name host.Name
	port uint16
}

const (
	// tryDelay is the head start of each address before the next one is tried beside it (RFC 8305, section 5).
	tryDelay = 250 * time.Millisecond

	// maxTries bounds how many of a name's addresses are tried: a stranger's zone may hold hundreds.
	maxTries = 8
)

// keepAlive finds a peer that is gone without a word in two minutes, for the sake of tunnels without an idle limit. It is set on
// the listener, and to origins for tunnels of some age. The default of Go, a probe each 15 seconds, would be most of the
// traffic of a gateway with many idle tunnels.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// NewDialer makes a dialer. Nothing is looked up before the first Dial.
func NewDialer(cfg DialConfig) *Dialer {
	d := &Dialer{
		lookup:  newResolver(cfg.Resolver).LookupNetIP,
		hosts:   make(map[hostPort]netip.AddrPort),
		parent:  cfg.Parent,
		guard:   cfg.Guard,
		timeout: cfg.Timeout,

		pseudonym: pseudonymFor(cfg.Parent), login: cfg.Parent.authorization(),
	}
	for _, h := range cfg.Hosts {
		at := hostPort{h.Name, h.Port}
		if _, taken := d.hosts[at]; !taken {
			d.hosts[at] = unmap(h.Address)
		}
	}
	if d.guard == nil {
		d.guard = NewGuard(nil, nil)
	}
	for _, r := range cfg.Refused {
		d.refused = append(d.refused, unmap(r))
	}
	return d
}

// newResolver makes a resolver that asks one server, or those of the system if it is empty. A look-up that is given up
// closes its sockets; left alone, package net would wait on them for seconds.
func newResolver(server string) *net.Resolver {
	return &net.Resolver{PreferGo: server != "", Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if server != "" {
			address = server
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() }) // net ends ctx after each exchange
		}
		return conn, err
	}}
}

// Dial connects to a host. The error is a [*GuardError] if every address of the host is refused, else a [*DialError].
func (d *Dialer) Dial(ctx context.Context, name host.Name, port uint16) (*net.TCPConn, error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	conn, err := d.dial(ctx, name, port)
	if err != nil {
		return nil, dialError(ctx, host.Join(name, port), err)
	}
	return conn, nil
}

// bounded is the context of a whole Dial.
func (d *Dialer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.timeout > 0 {
		return context.WithTimeout(ctx, d.timeout)
	}
	return context.WithCancel(ctx)
}

func (d *Dialer) dial(ctx context.Context, name host.Name, port uint16) (*net.TCPConn, error) {
	to, overridden := d.override(name, port)
	if overridden {
		if err := d.checkListener(to); err != nil {
			return nil, err
		}
		return connect(ctx, to, d.checkListener)
	}
	if d.parent != nil {
		return d.dialThrough(ctx, name, port)
	}
	addrs, err := d.resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	passed, err := d.pass(addrs, port)
	if err != nil {
		return nil, err
	}
	return race(ctx, passed, tryDelay, func(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
		return connect(ctx, to, d.check)
	})
}

// override returns what the operator says about a host.
func (d *Dialer) override(name host.Name, port uint16) (to netip.AddrPort, ok bool) {
	if to, ok = d.hosts[hostPort{name, port}]; !ok {
		to, ok = d.hosts[hostPort{name, 0}]
	}
	return to, ok
}

// resolve returns the addresses of a host, in the order in which they should be tried.
func (d *Dialer) resolve(ctx context.Context, name host.Name) ([]netip.Addr, error) {
	if addr, ok := name.Addr(); ok {
		return []netip.Addr{addr}, nil
	}
	// The dot at the end keeps search domains out: what is dialled is the name that was judged, not one below it.
	addrs, err := d.lookup(ctx, "ip", name.String()+".")
	if err != nil {
		return nil, &lookupError{err}
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return alternate(addrs), nil
}

// alternate lets the families take turns, so that one which is broken costs one try and not all (RFC 8305, section 4).
func alternate(addrs []netip.Addr) []netip.Addr {
	if len(addrs) == 0 {
		return nil
	}
	var first, second []netip.Addr
	for _, a := range addrs {
		if a.Is4() == addrs[0].Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	mixed := addrs[:0:0]
	for i := range max(len(first), len(second)) {
		mixed = append(mixed, first[min(i, len(first)):min(i+1, len(first))]...)
		mixed = append(mixed, second[min(i, len(second)):min(i+1, len(second))]...)
	}
	return mixed
}

// pass returns those of a host's addresses that may be dialled, at most maxTries, or why there are none.
func (d *Dialer) pass(addrs []netip.Addr, port uint16) ([]netip.AddrPort, error) {
	var (
		passed  []netip.AddrPort
		refused error
	)
	for _, a := range addrs {
		to := netip.AddrPortFrom(a, port)
		if err := d.check(to); err == nil {
			passed = append(passed, to)
		} else if refused == nil {
			refused = err
		}
	}
	if len(passed) == 0 {
		return nil, refused
	}
	return passed[:min(len(passed), maxTries)], nil
}

// check judges an address that the operator did not name himself.
func (d *Dialer) check(to netip.AddrPort) error {
	if err := d.checkListener(to); err != nil {
		return err
	}
	return d.guard.Check(to.Addr())
}

// checkListener refuses the listeners of this gateway.
func (d *Dialer) checkListener(to netip.AddrPort) error {
	if !slices.ContainsFunc(append(embedded(to.Addr()), to.Addr()), func(a netip.Addr) bool { return d.listens(a, to.Port()) }) {
		return nil
	}
	return &GuardError{Guard: "destination", Addr: to.Addr(), Class: "listener"}
}

// listens reports whether one of the listeners takes what is sent to an address.
func (d *Dialer) listens(addr netip.Addr, port uint16) bool {
	to := netip.AddrPortFrom(addr, port)
	return slices.ContainsFunc(d.refused, func(r netip.AddrPort) bool { return leadsTo(r, to, d.own) })
}

// own reports whether an address is one of this machine.
func (d *Dialer) own(addr netip.Addr) bool { return addr.IsLoopback() || d.guard.own(addr) }

// leadsTo reports whether a listener takes what is sent to an address.
func leadsTo(listener, to netip.AddrPort, own func(netip.Addr) bool) bool {
	switch {
	case listener.Port() != to.Port():
		return false
	case listener.Addr() == to.Addr(), to.Addr().IsUnspecified(): // the unspecified address leads to this machine
		return true
	default:
		return listener.Addr().IsUnspecified() && own(to.Addr())
	}
}

// connect dials one address. The check is made once more on what the socket is about to connect to.
func connect(ctx context.Context, to netip.AddrPort, check func(netip.AddrPort) error) (*net.TCPConn, error) {
	dialer := net.Dialer{
		KeepAlive: -1, // a tunnel has it when it is older; whatever else waits for an origin has its own limit
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return checkSocket(address, to, check)
		},
	}
	// Not DialTCP: it binds the socket to a port of its own first, and those ports run out.
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// checkSocket compares what a socket is about to connect to with what was judged, and judges it again.
func checkSocket(address string, judged netip.AddrPort, check func(netip.AddrPort) error) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || unmap(at) != judged {
		return fmt.Errorf("about to connect to %s, but %s was judged", address, judged)
	}
	return check(judged)
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
