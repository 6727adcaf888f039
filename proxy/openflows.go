package proxy

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// OpenFlow is a flow in progress, for an operator to look at. Absent values are zero.
type OpenFlow struct {
	Kind       string // plain, websocket or tunnel
	State      policy.State
	Client     netip.AddrPort
	User       string
	MAC        string
	Hostname   string // of the device
	Host       host.Name
	Port       uint16
	SNI        host.Name
	Upstream   netip.AddrPort
	Since      time.Time // real time
	BytesIn    int64     // from the client
	BytesOut   int64     // to the client
	NextChange time.Time // when it is judged again, in policy time
}

// OpenFlows returns the flows that have been open for longest, at most so many, the oldest first; and how many there are.
func (s *Server) OpenFlows(limit int) (oldest []OpenFlow, total int) {
	if limit <= 0 {
		return nil, int(s.flows.open.Load())
	}
	open := s.flows.all()
	slices.SortFunc(open, func(a, b *flow) int { return a.started.Compare(b.started) })
	for _, f := range open[:min(limit, len(open))] {
		oldest = append(oldest, f.asOpen())
	}
	return oldest, len(open)
}

func (f *flow) asOpen() OpenFlow {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := OpenFlow{
		Kind: f.kind, State: f.ruling.State, Client: f.client, User: f.facts.User, MAC: f.facts.MAC, Hostname: f.device.hostname, Host: f.named(), Port: f.facts.Port,
		SNI: f.facts.SNI, Upstream: f.upstream, Since: f.started, BytesIn: f.in.Load(), BytesOut: f.out.Load(),
	}
	o.NextChange, _ = f.ruling.NextChange()
	return o
}
