package proxy

import (
	"bufio"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"

	"github.com/pires/go-proxyproto"
	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy/host"
)

// guardBalancer is the guard on what load balancers say of their clients.
const guardBalancer = "proxy-protocol"

// headerBuffer is what is read at a time of a header of the PROXY protocol. What comes behind it is held.
const headerBuffer = 512

// isBalancer tells whether a connection comes from a load balancer of the operator's.
func (s *Server) isBalancer(peer netip.Addr) bool {
	return slices.ContainsFunc(s.cfg.Balancers, func(p netip.Prefix) bool { return p.Contains(peer) })
}

// introduce has the load balancer tell who its client is, by the header of the PROXY protocol, without which nothing is taken from it.
// What came behind the header is held then. It is false if the connection is over.
func (l *lane) introduce() bool {
	s := l.server
	if err := l.receive(); err != nil { // a balancer that only looks whether somebody is there
		l.close()
		return false
	}
	client, err := l.readHeader()
	if err != nil {
		s.cfg.Observer.Guarded(guardBalancer)
		s.quiet.balancer(l.balancer.Addr(), err)
		l.giveBack()
		l.reset()
		return false
	}
	l.remote = client
	seat, met := l.seat.of(client.Addr())
	if met != "" {
		s.meets(met, occasion{client: client.Addr()})
		l.giveBack()
		l.turnAway(l.tcp, met)
		return false
	}
	l.seat = seat
	if s.cfg.Clients.Allowed(client.Addr()) {
		l.client = client
	}
	s.cfg.Log.Debug("client behind a load balancer", zap.Stringer("client", client), zap.Stringer("balancer", l.balancer))
	return true
}

// readHeader reads the header in its time, and leaves what came behind it held.
func (l *lane) readHeader() (client netip.AddrPort, err error) {
	_ = l.tcp.SetReadDeadline(after(l.front.limits.HeadTimeout))
	client, behind, err := readBalancerHeader(heldFirst{l}, l.balancer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return client, errors.New("its header was not complete in time")
	}
	if err != nil {
		return client, err
	}
	_ = l.tcp.SetReadDeadline(after(l.front.limits.Idle))
	// It fits: all of it was in this buffer, or, if more had to be received, it is what one small read brought.
	if l.r, l.w = 0, copy(l.buf, slices.Concat(behind, l.buf[l.r:l.w])); l.w == 0 {
		l.giveBack()
	}
	return client, nil
}

// readBalancerHeader reads a header of the PROXY protocol, version 1 or 2
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). It returns the client, and what was read behind the header. The client of
// a connection of the balancer's own, such as one to look whether the gateway works (LOCAL, UNKNOWN), is the balancer. What a header may
// have besides addresses is read over, up to 4 KiB with them. A header of version 1 that does not come in one piece is refused, as the
// protocol allows. An error quotes no more of what came than an address.
func readBalancerHeader(from io.Reader, balancer netip.AddrPort) (client netip.AddrPort, behind []byte, err error) {
	r := bufio.NewReaderSize(from, headerBuffer)
	header, err := proxyproto.Read(r)
	if err != nil {
		return client, nil, err
	}
	if behind, err = r.Peek(r.Buffered()); err != nil {
		return client, nil, err
	}
	if header.Command.IsLocal() || header.Version == 1 && header.TransportProtocol.IsUnspec() {
		return balancer, behind, nil
	}
	source, _, ok := header.TCPAddrs()
	if !ok {
		return client, nil, errors.New("the header names no address of a TCP client")
	}
	at := source.AddrPort()
	return netip.AddrPortFrom(host.ClientAddr(at.Addr()), at.Port()), behind, nil
}

// heldFirst reads what a lane holds, and then what comes.
type heldFirst struct{ *lane }

func (l heldFirst) Read(p []byte) (int, error) {
	if l.r == l.w {
		return l.tcp.Read(p)
	}
	n := copy(p, l.buf[l.r:l.w])
	l.r += n
	return n, nil
}
