package proxy

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// silentFor is how long a client is waited for before the server may be the one that is to speak first (SSH, SMTP). It is longer
// than two retransmissions on a local network take.
const silentFor = time.Second

// transparent is what connections are judged by that a packet filter sent here.
type transparent struct {
	resolve  bool                              // the host that is named is dialled, not the address that the client dialled
	original func(*net.TCPConn) netip.AddrPort // where the client sent its packets
	own      func(netip.Addr) bool             // an address of this machine
	silence  time.Duration                     // silentFor
}

// ServeTransparent accepts on l, which must be a TCP listener, the connections that a packet filter sends there, until Shutdown. It
// may be called for several listeners. Where the process may not take what is handed over as it came (TPROXY), it says so in the
// log, and serves what is redirected.
func (s *Server) ServeTransparent(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return errNotTCP
	}
	if !TransparentSupported {
		return errors.New("this system does not tell where a packet filter took a connection from")
	}
	if err := takeForeign(tcp); err != nil {
		s.cfg.Log.Warn("only what is redirected can be taken, nothing from TPROXY", zap.Stringer("listener", l.Addr()), zap.Error(err),
			zap.String("hint", "TPROXY needs CAP_NET_RAW, or a socket of the service manager with Transparent=yes"))
	}
	at := tcp.Addr().(*net.TCPAddr).AddrPort()
	return s.accept(tcp, func(c *net.TCPConn) { s.front.takeTransparent(c, unmap(at)) }, resetConn)
}

// resetConn ends a connection of which nothing is known that could be told in its protocol.
func resetConn(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// takeTransparent begins to serve a connection that was accepted by a transparent listener.
func (f *front) takeTransparent(c *net.TCPConn, listener netip.AddrPort) {
	s := f.server
	client, _ := addresses(c)
	to := s.transparent.original(c)
	if why := s.loops(client.Addr(), to, listener); why != "" {
		s.cfg.Observer.Guarded("loop")
		s.quiet.loop(client.Addr(), why)
		resetConn(c)
		return
	}
	f.begin(c, entrance{dest: hostPort{host.FromAddr(to.Addr()), to.Port()}, turnAway: func(c *net.TCPConn, _ limitName) { resetConn(c) }})
}

// loops tells why a connection would lead back here, or "". One to the listener itself was sent by nobody's packet filter: there is
// nowhere else to go. One of this machine may be our own, which the packet filter takes for a client's; if that went on, each would
// bring forth the next one.
func (s *Server) loops(client netip.Addr, to, listener netip.AddrPort) (why string) {
	switch {
	case !to.IsValid() || leadsTo(listener, to, s.transparent.own):
		return "it was made to the transparent listener itself, which is for what a packet filter sends there"
	case s.transparent.own(client):
		return "it comes from this machine; exempt what the gateway sends from the rules that redirect"
	case s.cfg.Dialer.isParent(client):
		return "it comes from the parent proxy; exempt what that sends from the rules that redirect"
	}
	return ""
}

// newArrival is the flow of a connection that a packet filter sent here, once it is known what it carries. It has no name but those
// that were seen in it.
func (l *lane) newArrival(learn func(*policy.Facts)) *flow {
	f := &flow{kind: "tunnel", started: time.Now(), client: l.client, facts: policy.Facts{
		Client: l.client.Addr(), Stage: policy.StageHello, Transparent: true, Authority: l.dest.name, Port: l.dest.port,
	}}
	learn(&f.facts)
	if f.facts.Hello != policy.HelloNotTLS {
		f.facts.Scheme = "https"
	}
	l.server.aim(f, f.facts.SNI)
	return f
}

// notTLS are the facts of a client that speaks something else, or waits to be spoken to.
func notTLS(facts *policy.Facts) { facts.Hello = policy.HelloNotTLS }

// halfSaid are the facts of a client that began like a request, and did not go on.
func halfSaid(facts *policy.Facts) { facts.Hello = policy.HelloUnreadable }

// aim says what is dialled for a transparent flow in which this host was named, if any was.
func (s *Server) aim(f *flow, named host.Name) {
	if s.transparent.resolve && !named.IsZero() && !named.IsAddr() {
		f.to = hostPort{named, f.facts.Port}
		return
	}
	f.to, f.straight = hostPort{f.facts.Authority, f.facts.Port}, true
}
