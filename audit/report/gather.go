package report

import (
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

const (
	maxHosts     = 16  // that are told of one device and endpoint
	countedHosts = 256 // that are counted
	states       = policy.RecordFault + 1
)

// gatherer sums up what was seen, while it is read, by whatever the report is about. It keeps nothing of single rows.
type gatherer struct {
	policy       *policy.Policy
	at           time.Time
	since, until time.Time
	middle       time.Time
	bins         []Bin
	width        time.Duration

	devices  []*device
	deviceOf map[deviceKey]*device
	rows     map[rowKey]*row
	outcomes map[outcomeKey]*group
	waivers  map[string]*group
	passed   map[passedKey]*group
	ahead    map[aheadKey]*group
	ends     map[endKey]*group

	told map[endKey]*Instant // deadlines that attempts were after

	total   Summary
	differs int64 // flows of which the policy as it is now says something else than what was recorded
}

// deviceKey tells devices apart: by MAC alone, or by address and user.
type deviceKey struct {
	mac  string
	addr netip.Addr
	user string
}

type device struct {
	deviceKey
	number int
	last   time.Time
	addr   netip.Addr // last seen with
	user   string
	name   string // its host name, the last that was known
	named  time.Time
	sites  map[string]bool
}

type rowKey struct {
	device   int
	vendor   string
	channels policy.ChannelSet
}

// row is what becomes an Attempt.
type row struct {
	rowKey
	span
	counts  Counts
	states  [states]int64
	blocked span
	ended   sample // the last that was blocked
	cut     int64
	halves  [2]int64
	bins    []int64
	hosts   map[host.Name]int64
	many    bool // hosts that are not counted
	waivers map[string]bool
	in, out int64
}

// span is from the first to the last of some flows.
type span struct {
	first, last time.Time
	flows       int64
}

func (s *span) add(seen *audit.Seen) {
	if s.flows == 0 || seen.First.Before(s.first) {
		s.first = seen.First
	}
	if seen.Last.After(s.last) {
		s.last = seen.Last
	}
	s.flows += seen.Flows
}

// sample is one flow of many that are alike, about which the policy can be asked for its reasons.
type sample struct {
	facts policy.Facts
	at    time.Time
}

// group is flows that have something in common, and one of them.
type group struct {
	span
	sample
	devices set
	cut     int64
	in, out int64
}

func (g *group) add(s *audit.Seen, d *device) {
	g.span.add(s)
	g.devices.add(d.number)
	g.in += s.BytesIn
	g.out += s.BytesOut
}

// in returns the group of a key, made at its first flow with a sample.
func in[K comparable](groups map[K]*group, key K, f *policy.Facts, at time.Time) *group {
	g, ok := groups[key]
	if !ok {
		g = &group{sample: sample{*f, at}}
		groups[key] = g
	}
	return g
}

type outcomeKey struct {
	verdict policy.Verdict
	state   policy.State
	by      Cause
}

// passedKey has, beside the restriction, the bounds of the time in which nothing else was said: they stand for the phase until
// the policy is asked for it.
type passedKey struct {
	restriction string
	known       bool
	from, until time.Time
	vendor      string
	channels    policy.ChannelSet
}

type aheadKey struct {
	at       time.Time
	by       Cause
	vendor   string
	channels policy.ChannelSet
	now      policy.State
	nowBy    Cause
}

type endKey struct {
	at       time.Time
	vendor   string
	channels policy.ChannelSet
	by       Cause
	blocks   bool
}

// set is a set of devices by number.
type set []uint64

func (s *set) add(n int) {
	for len(*s) <= n/64 {
		*s = append(*s, 0)
	}
	(*s)[n/64] |= 1 << (n % 64)
}

func (s set) has(n int) bool { return n/64 < len(s) && s[n/64]&(1<<(n%64)) != 0 }

func (s set) len() int64 {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return int64(n)
}

func (s *set) join(with set) {
	for len(*s) < len(with) {
		*s = append(*s, 0)
	}
	for i, word := range with {
		(*s)[i] |= word
	}
}

func newGatherer(p *policy.Policy, o *Options) *gatherer {
	g := &gatherer{
		policy: p, at: o.At, deviceOf: map[deviceKey]*device{}, rows: map[rowKey]*row{}, outcomes: map[outcomeKey]*group{},
		told: map[endKey]*Instant{}, waivers: map[string]*group{}, passed: map[passedKey]*group{}, ahead: map[aheadKey]*group{}, ends: map[endKey]*group{},
	}
	g.since, g.until = o.Hours()
	g.middle = g.since.Add(g.until.Sub(g.since) / 2)
	g.bins, g.width = newBins(g.since, g.until)
	return g
}

// add takes one row of the record.
func (g *gatherer) add(s *audit.Seen) error {
	if s.Hour.Before(g.since) || !s.Hour.Before(g.until) {
		return fmt.Errorf("the record gave the hour %s, which is not in the period", s.Hour.UTC().Format(time.RFC3339))
	}
	if s.State >= states {
		return fmt.Errorf("the record has the state %d in the hour %s, which this version does not know", s.State, s.Hour.UTC().Format(time.RFC3339))
	}
	d, k := g.device(s), kindOf(s)
	g.total.Flows += s.Flows
	g.total.add(k, s.Flows)
	g.bins[g.bin(s.Hour)].add(k, s.Flows)
	if k == blocked {
		g.total.Cut += s.Cuts
	}
	f := s.Facts()
	by := Cause{s.Category, s.ID}
	in(g.outcomes, outcomeKey{s.Verdict, s.State, by}, &f, s.First).add(s, d)
	if s.State == policy.Guarded {
		return nil // whatever the policy says, it does not get so far
	}
	if s.Vendor != "" || dated(s.State) {
		g.row(d, s).add(g, s, k, &f)
	}
	if s.Category == "waiver" {
		in(g.waivers, s.ID, &f, s.First).add(s, d)
	}
	then := g.policy.Decide(s.First, &f)
	g.addThen(s, d, k, &f, &then)
	if !g.settled(s, &then) {
		g.addAhead(s, d, &f)
	}
	return nil
}

func (g *gatherer) device(s *audit.Seen) *device {
	key := deviceKey{mac: s.MAC}
	if s.MAC == "" {
		key.addr, key.user = s.Client, s.User
	}
	d, ok := g.deviceOf[key]
	if !ok {
		d = &device{deviceKey: key, number: len(g.devices), sites: map[string]bool{}}
		g.deviceOf[key] = d
		g.devices = append(g.devices, d)
	}
	if !s.Last.Before(d.last) {
		d.last, d.addr, d.user = s.Last, s.Client, s.User
	}
	if s.Hostname != "" && !s.Last.Before(d.named) {
		d.named, d.name = s.Last, s.Hostname
	}
	d.sites[s.Site] = true
	return d
}

func (g *gatherer) row(d *device, s *audit.Seen) *row {
	key := rowKey{d.number, s.Vendor, s.Channels}
	r, ok := g.rows[key]
	if !ok {
		r = &row{rowKey: key, bins: make([]int64, len(g.bins)), hosts: map[host.Name]int64{}}
		g.rows[key] = r
	}
	return r
}

func (r *row) add(g *gatherer, s *audit.Seen, k kind, f *policy.Facts) {
	r.span.add(s)
	r.counts.add(k, s.Flows)
	r.states[s.State] += s.Flows
	r.bins[g.bin(s.Hour)] += s.Flows
	half := 0
	if !s.Hour.Before(g.middle) {
		half = 1
	}
	r.halves[half] += s.Flows
	r.in += s.BytesIn
	r.out += s.BytesOut
	if k == blocked {
		if !s.Last.Before(r.blocked.last) {
			r.ended = sample{*f, s.Last}
		}
		r.blocked.add(s)
		r.cut += s.Cuts
	}
	if s.Category == "waiver" {
		if r.waivers == nil {
			r.waivers = map[string]bool{}
		}
		r.waivers[s.ID] = true
	}
	name := nameOf(s)
	if _, known := r.hosts[name]; known || len(r.hosts) < countedHosts {
		r.hosts[name] += s.Flows
	} else {
		r.many = true
	}
}

// addThen takes what the policy says of the instant at which it was seen: by which phase it passed, and which deadlines there
// are in the period. That may be something else than what was recorded: the policy may have been another one.
func (g *gatherer) addThen(s *audit.Seen, d *device, k kind, f *policy.Facts, then *policy.Decision) {
	cause := then.Cause()
	same := then.Verdict == s.Verdict && then.State == s.State && cause.Kind == s.Category && cause.ID == s.ID
	if !same && s.State != policy.ClockFault && s.State != policy.RecordFault {
		g.differs += s.Flows
	}
	if k == grace {
		key := passedKey{restriction: s.ID, vendor: s.Vendor, channels: s.Channels}
		if same {
			key = passedBy(then, s)
		}
		in(g.passed, key, f, s.First).add(s, d)
		g.total.BytesGrace += s.BytesOut
	}
	since, hasBegun := then.Since()
	if same && hasBegun && (k == blocked || k == monitored) {
		g.end(since, Cause{cause.Kind, cause.ID}, k == blocked, f, s)
		if s.Cuts > 0 {
			g.addCut(s, d, f, since.Add(-1))
		}
	}
	if next, ok := then.NextBlock(); ok && g.within(next) {
		decided := g.policy.Decide(next, f)
		by := decided.Cause()
		g.end(next, Cause{by.Kind, by.ID}, true, f, s)
	}
}

func passedBy(d *policy.Decision, s *audit.Seen) passedKey {
	key := passedKey{restriction: d.Cause().ID, known: true, vendor: s.Vendor, channels: s.Channels}
	key.from, _ = d.Since()
	key.until, _ = d.NextChange()
	return key
}

// addCut counts flows that were cut at a deadline for the phase in which they were let through, which held until then.
func (g *gatherer) addCut(s *audit.Seen, d *device, f *policy.Facts, before time.Time) {
	then := g.policy.Decide(before, f)
	if then.State != policy.Grace && then.State != policy.Warn {
		return
	}
	p := in(g.passed, passedBy(&then, s), f, before)
	p.cut += s.Cuts
	p.devices.add(d.number)
	p.in += s.BytesIn
	p.out += s.BytesOut
	g.total.BytesGrace += s.BytesOut
}

// end notes a deadline, if it is in the period.
func (g *gatherer) end(at time.Time, by Cause, blocks bool, f *policy.Facts, s *audit.Seen) {
	if g.within(at) {
		in(g.ends, endKey{at: at, vendor: s.Vendor, channels: s.Channels, by: by, blocks: blocks}, f, at)
	}
}

func (g *gatherer) within(at time.Time) bool { return !at.Before(g.since) && at.Before(g.until) }

// settled tells whether what was said then holds at the instant of the report too, and means that nothing stops.
func (g *gatherer) settled(s *audit.Seen, then *policy.Decision) bool {
	change, changes := then.NextChange()
	_, blocks := then.NextBlock()
	return !s.First.After(g.at) && (!changes || change.After(g.at)) && (then.Verdict == policy.Block || !blocks)
}

// addAhead asks what will become of the same flow. What does not pass at the instant of the report will not stop.
func (g *gatherer) addAhead(s *audit.Seen, d *device, f *policy.Facts) {
	now := g.policy.Decide(g.at, f)
	next, ok := now.NextBlock()
	if now.Verdict == policy.Block || !ok {
		return
	}
	then := g.policy.Decide(next, f)
	by, nowBy := then.Cause(), now.Cause()
	key := aheadKey{
		at: next, by: Cause{by.Kind, by.ID}, vendor: s.Vendor, channels: s.Channels,
		now: now.State, nowBy: Cause{nowBy.Kind, nowBy.ID},
	}
	in(g.ahead, key, f, g.at).add(s, d)
}
