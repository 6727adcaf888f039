package proxy

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/gracegate/gracegate/policy/host"
)

// restingClients bounds the clients of which no connection is open and whose spent tokens are remembered. Tokens are back
// after a second, so that only more clients than this in one second could make it forget any.
const restingClients = 16384

// AdmissionLimits bound what is open at a time and what is asked for. In each, 0 is off.
type AdmissionLimits struct {
	Connections    int // of all clients together
	PerClient      int // connections of one client
	PerDestination int // flows to one host and port
	Rate           int // requests of one client in a second; as many may come at once
}

// admission counts what is open, and knows who may open more. It is safe for concurrent use; a limit that is off costs
// nothing.
//
// A client is an address as the policy sees it, in IPv6 too. The clients of a proxy at the egress are neighbours, as a rule
// all in one /64: if that counted as one, the excess of one would be taken out on all, which the limit is there to prevent.
// A client that takes many addresses of its /64 meets the limit of all connections together.
type admission struct {
	limits AdmissionLimits

	mu          sync.Mutex
	connections int
	clients     map[netip.Addr]*admitted
	resting     *simplelru.LRU[netip.Addr, *rate.Limiter]

	flowsMu sync.Mutex
	flows   map[hostPort]int
}

// admitted is a client with at least one open connection.
type admitted struct {
	addr        netip.Addr
	connections int
	bucket      *rate.Limiter // nil if the rate is off
}

func newAdmission(limits AdmissionLimits) *admission {
	resting, err := simplelru.NewLRU[netip.Addr, *rate.Limiter](restingClients, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &admission{
		limits: limits, clients: make(map[netip.Addr]*admitted), resting: resting, flows: make(map[hostPort]int),
	}
}

// seat is the place of one connection. The zero value is one that nobody counts.
type seat struct {
	admission *admission
	client    *admitted // nil if clients are not told apart
}

// connect counts a connection in, unless a limit is met, which it names. The seat is given up by release, once. An address that is not
// valid is that of a client who is not known yet.
func (a *admission) connect(client netip.Addr) (seat, limitName) {
	l := &a.limits
	perClient := l.tellsClients()
	if l.Connections <= 0 && !perClient {
		return seat{}, ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	client = host.ClientAddr(client)
	known := perClient && client.IsValid()
	switch {
	case known && a.full(client):
		return seat{}, limitClient
	case l.Connections > 0 && a.connections >= l.Connections:
		return seat{}, limitConnections
	}
	a.connections++
	if !known {
		return seat{admission: a}, ""
	}
	return seat{a, a.admit(client)}, ""
}

// of gives the seat of somebody who was not known to a client, unless that has as many as it may have.
func (s seat) of(client netip.Addr) (seat, limitName) {
	a := s.admission
	if a == nil || !a.limits.tellsClients() {
		return s, ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if client = host.ClientAddr(client); a.full(client) {
		return s, limitClient
	}
	return seat{a, a.admit(client)}, ""
}

func (l *AdmissionLimits) tellsClients() bool { return l.PerClient > 0 || l.Rate > 0 }

// full tells whether a client has as many connections as it may have. The lock is held.
func (a *admission) full(client netip.Addr) bool {
	c := a.clients[client]
	return c != nil && a.limits.PerClient > 0 && c.connections >= a.limits.PerClient
}

// admit counts a connection of a client in. The lock is held.
func (a *admission) admit(client netip.Addr) *admitted {
	c := a.clients[client]
	if c == nil {
		c = &admitted{addr: client, bucket: a.bucket(client)}
		a.clients[client] = c
	}
	c.connections++
	return c
}

// bucket is that of a client who comes, as it left it. The lock is held.
func (a *admission) bucket(client netip.Addr) *rate.Limiter {
	if a.limits.Rate <= 0 {
		return nil
	}
	if b, ok := a.resting.Peek(client); ok {
		a.resting.Remove(client)
		return b
	}
	return rate.NewLimiter(rate.Limit(a.limits.Rate), a.limits.Rate)
}

// release gives the seat up.
func (s seat) release(now time.Time) {
	a, c := s.admission, s.client
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connections--
	if c == nil {
		return
	}
	if c.connections--; c.connections > 0 {
		return
	}
	delete(a.clients, c.addr)
	if c.bucket != nil {
		a.rest(c, now)
	}
}

// rest remembers a bucket that is not full, since a client could otherwise have a new one with each connection. For each
// that is added it looks at the two that rested longest, so that none stays for long once it is full. The lock is held.
func (a *admission) rest(c *admitted, now time.Time) {
	if !full(c.bucket, now) {
		a.resting.Add(c.addr, c.bucket)
	}
	for range 2 {
		_, oldest, ok := a.resting.GetOldest()
		if !ok || !full(oldest, now) {
			return
		}
		a.resting.RemoveOldest()
	}
}

func full(b *rate.Limiter, now time.Time) bool { return b.TokensAt(now) >= float64(b.Burst()) }

// request reports whether the client may ask now. If it may not, the next token is a second away at most.
func (s seat) request(now time.Time) bool {
	return s.client == nil || s.client.bucket == nil || s.client.bucket.AllowN(now, 1)
}

// open counts a flow in, and reports whether its destination may have one more. If so, close follows.
func (a *admission) open(to hostPort) bool {
	if a.limits.PerDestination <= 0 {
		return true
	}
	a.flowsMu.Lock()
	defer a.flowsMu.Unlock()
	n := a.flows[to]
	if n >= a.limits.PerDestination {
		return false
	}
	a.flows[to] = n + 1
	return true
}

// close counts a flow out.
func (a *admission) close(to hostPort) {
	if a.limits.PerDestination <= 0 {
		return
	}
	a.flowsMu.Lock()
	defer a.flowsMu.Unlock()
	if n := a.flows[to]; n > 1 {
		a.flows[to] = n - 1
	} else {
		delete(a.flows, to)
	}
}
