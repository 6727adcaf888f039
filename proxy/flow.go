package proxy

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// flow is one request or tunnel, from its head to its record.
type flow struct {
	kind    string // plain, websocket or tunnel
	started time.Time
	client  netip.AddrPort
	facts   policy.Facts
	url     string
	ruling  ruling

	guard    string // which guard refused, if one did
	origin   net.Conn
	upstream netip.AddrPort
	status   int
	cancel   context.CancelFunc    // ends what is asked of the origin
	fault    atomic.Pointer[Fault] // of the body of the request
	broken   bool                  // an answer did not go through whole; known to the goroutine that handles the request
	in, out  atomic.Int64          // bytes from and to the client

	mu    sync.Mutex
	ended string // why it ended: the first reason given
}

// end notes why a flow ended, unless something else ended it before.
func (f *flow) end(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended == "" {
		f.ended = reason
	}
}

// breakOff notes that an answer cannot be given whole, and at which side it broke off.
func (f *flow) breakOff(side string) {
	f.broken = true
	f.end(side)
}

func (f *flow) endedBy() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// last is what the last record of the flow tells: a guard may refuse it only when it dials.
func (f *flow) last() audit.Event {
	if f.guard != "" {
		return audit.Refused
	}
	return audit.End
}

// judge asks the gate about the flow as far as it is seen.
func (s *Server) judge(f *flow) { f.ruling = s.gate.decide(&f.facts) }

// open registers a flow, to be waited for, and to be cut.
func (s *Server) open(f *flow, cut func()) {
	s.flows.add(f, cut)
	s.cfg.Observer.FlowOpened(f.kind)
}

// close is the end of a flow, after its last record: Shutdown waits for no more than this.
func (s *Server) close(f *flow) {
	s.cfg.Observer.FlowClosed(f.kind, f.endedBy())
	s.flows.remove(f)
}

// count tells the observer of the flow's last decision.
func (s *Server) count(f *flow) {
	s.cfg.Observer.Decided(&f.ruling.Decision, f.ruling.Cause(), f.ruling.took)
}

// record writes a flow down, if it is governed, refused (by the policy or by a guard), or everything is to be recorded.
func (s *Server) record(f *flow, event audit.Event) {
	d := &f.ruling.Decision
	if !d.Governed && d.Verdict == policy.Allow && f.guard == "" && !s.cfg.Ungoverned {
		return
	}
	now := time.Now()
	r := &audit.Record{
		Time: now, PolicyTime: f.ruling.at, Event: event, Kind: f.kind,
		Client: f.client, User: f.facts.User, MAC: f.facts.MAC,
		Method: f.facts.Method, Scheme: f.facts.Scheme, Host: f.facts.Authority, Port: f.facts.Port, URL: f.url, Path: f.facts.Path,
		SNI: f.facts.SNI, Hello: f.facts.Hello, ECH: f.facts.ECH, ALPN: f.facts.ALPN,
		Verdict: d.Verdict, State: d.State, Need: d.Need, Would: d.Would, Cause: d.Cause(), Revision: d.Revision(),
		Guard: f.guard, Upstream: f.upstream, Status: f.status, BytesIn: f.in.Load(), BytesOut: f.out.Load(),
		Duration: now.Sub(f.started), Ended: f.endedBy(),
	}
	r.Site, r.Persons = f.ruling.policy.Who(&f.facts)
	r.Vendor, r.Channels = d.Endpoint()
	r.NextChange, _ = d.NextChange()
	r.NextBlock, _ = d.NextBlock()
	s.cfg.Recorder.Record(r)
}

// clientOf is the client's address as the policy takes it, and as the connection has it: a link-local one with its zone.
func clientOf(r *http.Request) (client netip.AddrPort, zoned netip.Addr) {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}, netip.Addr{}
	}
	return netip.AddrPortFrom(host.ClientAddr(a.Addr()), a.Port()), a.Addr()
}
