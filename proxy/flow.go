package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/proxy/socks"
)

// flow is one request or tunnel, from its head to its record.
type flow struct {
	kind    string // plain, intercepted, websocket or tunnel
	started time.Time
	client  netip.AddrPort
	device  device
	url     string

	reference string // of the record of a refusal, once its answer tells it

	guard   string // which guard refused, if one did
	origin  net.Conn
	status  int
	cancel  context.CancelFunc    // ends what is asked of the origin
	fault   atomic.Pointer[Fault] // of the body of the request
	broken  bool                  // an answer did not go through whole; known to the goroutine that handles the request
	in, out atomic.Int64          // bytes from and to the client

	place    place    // among the open flows
	to       hostPort // what is dialled, and counts as its destination
	straight bool     // that is an address in place of the host that was named, if any was
	entered  bool     // it counts at its destination
	release  func()   // gives up the client's connection, which a tunnel has taken over; nil otherwise
	seat     seat     // of that connection

	// What follows is read and changed under mu while the flow is open: flows judge it again.
	mu       sync.Mutex
	facts    policy.Facts
	ruling   ruling
	next     int64 // when the ruling may become another one: ruling.next()
	upstream netip.AddrPort
	ended    string // why it ended: the first reason given
	cut      func() // ends both sides at once; nil before it can be cut
	counted  bool
	inside   bool // its requests are seen and judged one by one
	within   bool // it is such a request: what was decrypted is recorded, whatever it was
	over     bool // it was cut, or has ended by itself: its connections may carry another flow
}

// end notes why a flow ended, unless something else ended it before.
func (f *flow) end(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endLocked(reason)
}

func (f *flow) endLocked(reason string) {
	if f.ended == "" {
		f.ended = reason
	}
}

// see notes what was learned of a flow.
func (f *flow) see(learn func(*policy.Facts)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	learn(&f.facts)
}

// reached notes the address that was really dialled.
func (f *flow) reached(upstream netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.upstream = upstream
}

// cutFor ends a flow at once, unless it is over. It may be called from anywhere, and more than once.
func (f *flow) cutFor(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cutLocked(reason)
}

func (f *flow) cutLocked(reason string) {
	if f.over {
		return
	}
	f.over = true
	f.endLocked(reason)
	if f.cut != nil {
		f.cut()
	}
}

// wasCut tells whether the flow was cut, and why.
func (f *flow) wasCut() (why string, cut bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended, f.over
}

// setCut says how the flow is cut from now on, and cuts it if that was to happen already.
func (f *flow) setCut(cut func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = cut
	if f.over {
		cut()
	}
}

// breakOff notes that an answer cannot be given whole, and at which side it broke off.
func (f *flow) breakOff(side string) {
	f.broken = true
	f.end(side)
}

// established tells a client that its CONNECT has come about.
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// establish tells the client, in its protocol, that what it says from now on is carried.
func (f *flow) establish(client io.Writer) error {
	f.status = http.StatusOK
	answer := []byte(established)
	if f.facts.Scheme == schemeSOCKS {
		answer = socks.Succeeded.Bytes()
	}
	_, err := client.Write(answer)
	return err
}

// httpStatus is the status that the client was told; 0 if it was told none, or does not speak HTTP.
func (f *flow) httpStatus() int {
	if f.facts.Scheme == schemeSOCKS {
		return 0
	}
	return f.status
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

// sunset is the Sunset field (RFC 8594) of a flow in its grace period: the next block. It is empty for all others.
func (f *flow) sunset() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := &f.ruling.Decision
	if d.State != policy.Grace && d.State != policy.Warn {
		return ""
	}
	at, ok := d.NextBlock()
	if !ok {
		return ""
	}
	return at.UTC().Format(http.TimeFormat)
}

// judge asks the gate about the flow as far as it is seen.
func (s *Server) judge(f *flow) ruling {
	s.recognise(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.facts.MAC = f.device.mac
	f.ruling = s.gate.decide(&f.facts)
	f.next = f.ruling.next()
	return f.ruling
}

// judgeOpen is judge for an open flow of which more was seen, such as a hello. It may change when to ask the next time. The
// flow's own ruling may be another one by the time it returns.
func (s *Server) judgeOpen(f *flow) ruling {
	r := s.judge(f)
	s.flows.file(f)
	return r
}

// judgeAgain asks the gate about an open flow once more, and cuts it if it may not go on: it is blocked now, or the policy
// wants to see more of it than was seen.
func (s *Server) judgeAgain(f *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.ruling.Decision
	if f.over || was.Verdict == policy.Block && !f.inside { // a refusal is under way
		f.next = never
		return
	}
	now := s.gate.decide(&f.facts)
	seen := foreseen(f.facts.Stage)
	if f.inside {
		seen = policy.NeedRequest
	}
	more := now.Need > was.Need && now.Need > seen
	f.ruling, f.next = now, now.next()
	// Where a page is shown for a blocked name, the requests inside are refused one by one.
	refusedInside := f.inside && now.Need == policy.NeedRequest
	if now.Verdict == policy.Block && !refusedInside || more {
		f.cutLocked("cut")
	}
}

// foreseen is the most that the policy will have seen of a flow without interception: a tunnel will yet say hello.
func foreseen(at policy.Stage) policy.Need {
	if at == policy.StageRequest {
		return policy.NeedRequest
	}
	return policy.NeedHello
}

// intercepted notes that a flow is a connection whose requests are flows of their own, which are counted in its place.
func (f *flow) intercepted() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inside, f.counted = true, true
}

// supersede notes that another flow is judged and counted in the place of this one, which was what its client seemed to want.
func (f *flow) supersede() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted = true
	f.endLocked("superseded")
}

// open registers a flow, to be waited for, judged again, and cut.
func (s *Server) open(f *flow, cut func()) {
	f.cut = cut
	s.flows.add(f)
	s.cfg.Observer.FlowOpened(f.kind)
}

// close is the end of a flow, after its last record: Shutdown waits for no more than this.
func (s *Server) close(f *flow) {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	s.count(f)
	s.cfg.Observer.FlowClosed(f.kind, f.endedBy())
	if f.entered {
		s.admission.close(f.to)
	}
	if f.release != nil {
		f.release()
	}
	s.flows.remove(f)
}

// count tells the observer of the flow's last decision, once.
func (s *Server) count(f *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counted {
		return
	}
	f.counted = true
	s.cfg.Observer.Decided(&f.ruling.Decision, f.ruling.Cause(), f.ruling.took)
}

// record writes a flow down, if it is governed, refused (by the policy or by a guard), or everything is to be recorded.
func (s *Server) record(f *flow, event audit.Event) {
	if r := s.recordOf(f, event); r != nil {
		s.cfg.Recorder.Record(r) // which may take its time: no lock is held
	}
}

// recordOf is asRecord, once all that is being cut is cut: cut first, record after.
func (s *Server) recordOf(f *flow, event audit.Event) *audit.Record {
	if f.endedBy() == "cut" {
		s.flows.cutting.RLock()
		defer s.flows.cutting.RUnlock()
	}
	return f.asRecord(event, s.cfg.Ungoverned, s.reasons)
}

// asRecord is what is written of the flow at an event; nil if nothing is.
func (f *flow) asRecord(event audit.Event, ungoverned bool, why *reasons) *audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := &f.ruling.Decision
	if !f.recorded(ungoverned) {
		return nil
	}
	now := time.Now()
	r := &audit.Record{
		Reference: f.reference, Time: now, PolicyTime: f.ruling.at, Event: event, Kind: f.kind,
		Client: f.client, User: f.facts.User, MAC: f.facts.MAC, Hostname: f.device.hostname,
		Method: f.facts.Method, Scheme: f.facts.Scheme, Host: f.named(), Port: f.facts.Port, URL: f.url, Path: f.facts.Path,
		SNI: f.facts.SNI, Hello: f.facts.Hello, ECH: f.facts.ECH, ALPN: f.facts.ALPN,
		Verdict: d.Verdict, State: d.State, Need: d.Need, Would: d.Would, Cause: d.Cause(), Revision: d.Revision(),
		Clock: f.facts.Clock, Reasons: why.of(&f.ruling, &f.facts), Guard: f.guard, Upstream: f.upstream, Status: f.httpStatus(), BytesIn: f.in.Load(), BytesOut: f.out.Load(),
		Duration: now.Sub(f.started), Ended: f.ended,
	}
	if f.facts.Transparent {
		r.Original, _ = f.facts.Authority.Addr()
	}
	r.Site, r.Persons = f.ruling.policy.Who(&f.facts)
	r.Vendor, r.Channels = d.Endpoint()
	r.NextChange, _ = d.NextChange()
	r.NextBlock, _ = d.NextBlock()
	return r
}

// named is the host as the client named it: of a connection that a packet filter sent here, which has none of its own, that of the
// request or of the hello in it, and the address where neither has one.
func (f *flow) named() host.Name {
	switch {
	case f.facts.Transparent && !f.facts.Inner.IsZero():
		return f.facts.Inner
	case f.facts.Transparent && !f.facts.SNI.IsZero():
		return f.facts.SNI
	}
	return f.facts.Authority
}

// recorded tells whether a record is written of the flow; its lock is held.
func (f *flow) recorded(ungoverned bool) bool {
	d := &f.ruling.Decision
	return d.Governed || d.Verdict == policy.Block || f.guard != "" || f.within || ungoverned || f.reference != ""
}

// clientOf is the client's address as the policy takes it, and as the connection has it: a link-local one with its zone.
func clientOf(r *http.Request) (client netip.AddrPort, zoned netip.Addr) {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}, netip.Addr{}
	}
	return netip.AddrPortFrom(host.ClientAddr(a.Addr()), a.Port()), a.Addr()
}
