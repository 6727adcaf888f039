package report

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// MaxPeriod bounds a report: far more than any record covers, and well inside of what a time.Duration holds.
const MaxPeriod = 100 * 366 * day

// Build makes a report of what was seen in [Options.Hours], which is read once. Rows of one key may come more than once; the
// order of the rows must be the same each time for the same report to come out. The first error of the sequence is returned.
func Build(p *policy.Policy, o *Options, seen iter.Seq2[audit.Seen, error]) (*Report, error) {
	switch since, until := o.Hours(); {
	case !since.Before(until):
		return nil, errors.New("the period is empty")
	case until.Sub(since) > MaxPeriod:
		return nil, errors.New("the period is longer than a hundred years")
	}
	g := newGatherer(p, o)
	for s, err := range seen {
		if err != nil {
			return nil, fmt.Errorf("the record could not be read: %w", err)
		}
		if err := g.add(&s); err != nil {
			return nil, err
		}
	}
	return g.report(o), nil
}

func (g *gatherer) report(o *Options) *Report {
	r := &Report{
		Title: "Update traffic under dated policy", MadeAt: o.At.UTC(),
		Period: Period{Since: g.since, Until: g.until, AskedSince: o.Since.UTC(), AskedUntil: o.Until.UTC()},
		Vendor: clean(o.Vendor), Site: clean(o.Site), Gateway: clean(o.Gateway), Software: clean(o.Software),
		Operator: Operator{clean(o.Operator.Name), clean(o.Operator.Contact), clean(o.Operator.URL)},
		Policy: Policy{
			Revision: clean(g.policy.Revision()), File: clean(o.PolicyFile), Catalogue: clean(g.policy.Catalog().Digest),
			KnownAt: knownAt(g.policy.KnownAt()),
		},
		Simulated: o.Simulated, Recorded: o.Recorded.inUTC(), Integrity: o.Integrity.cleaned(), uncounted: o.Uncounted,
		Trend:    Trend{Days: int(g.width / day), Bins: g.bins, Deadlines: g.deadlines()},
		Attempts: g.attempts(), Passed: g.passedIn(), Ahead: g.stops(), Waivers: g.waiversUsed(o), Outcomes: g.outcomesSeen(),
	}
	r.Restrictions = g.restrictions(r)
	r.Summary = g.summary(r)
	r.Notes = g.notes(r)
	return r
}

func (s *Recorded) inUTC() *Recorded {
	if s == nil {
		return nil
	}
	return &Recorded{s.Since.UTC(), s.Until.UTC()}
}

func (i *Integrity) cleaned() *Integrity {
	if i == nil {
		return nil
	}
	c := *i
	c.Problem, c.Checkpoint, c.CheckpointAt = clean(i.Problem), clean(i.Checkpoint), i.CheckpointAt.UTC()
	return &c
}

func knownAt(h policy.Horizon) string {
	switch {
	case h.Clock:
		return "clock"
	case !h.At.IsZero():
		return h.At.UTC().Format(time.RFC3339Nano)
	}
	return "all"
}

// attempts are the rows with anything that the dated law brought about, device by device: those with most blocked flows first.
func (g *gatherer) attempts() []Attempt {
	list := make([]Attempt, 0, len(g.rows))
	blockedOf, flowsOf := make([]int64, len(g.devices)), make([]int64, len(g.devices))
	for _, r := range g.rows {
		if r.isDated() {
			blockedOf[r.device] += r.counts.Blocked
			flowsOf[r.device] += r.flows
		}
	}
	order := func(a, b *row) int {
		return cmp.Or(
			cmp.Compare(blockedOf[b.device], blockedOf[a.device]), cmp.Compare(flowsOf[b.device], flowsOf[a.device]),
			compareDevices(g.devices[a.device], g.devices[b.device]),
			cmp.Compare(b.counts.Blocked, a.counts.Blocked), cmp.Compare(b.flows, a.flows), cmp.Compare(a.vendor, b.vendor), cmp.Compare(a.channels, b.channels),
		)
	}
	for _, r := range slices.SortedFunc(maps.Values(g.rows), order) {
		if r.isDated() {
			list = append(list, g.attempt(r))
		}
	}
	return list
}

func (r *row) isDated() bool {
	for s, n := range r.states {
		if n > 0 && dated(policy.State(s)) {
			return true
		}
	}
	return false
}

func compareDevices(a, b *device) int {
	return cmp.Or(cmp.Compare(a.mac, b.mac), a.deviceKey.addr.Compare(b.deviceKey.addr), cmp.Compare(a.deviceKey.user, b.deviceKey.user))
}

func (g *gatherer) attempt(r *row) Attempt {
	a := Attempt{
		Device: g.tellDevice(g.devices[r.device]), Vendor: clean(r.vendor), Channels: words(r.channels),
		First: r.first.UTC(), Last: r.last.UTC(), Flows: r.flows, Counts: r.counts, Cut: r.cut, States: []State{},
		Trend: trendOf(r.halves), Halves: r.halves, Bins: r.bins, Waivers: cleanAll(slices.Sorted(maps.Keys(r.waivers))),
		ManyHosts: r.many, BytesIn: r.in, BytesOut: r.out, device: r.device,
	}
	for s := len(r.states) - 1; s >= 0; s-- {
		if n := r.states[s]; n > 0 {
			a.States = append(a.States, State{policy.State(s).String(), n})
		}
	}
	if r.blocked.flows > 0 {
		a.FirstBlocked, a.LastBlocked = instantOf(r.blocked.first), instantOf(r.blocked.last)
		a.BlockedSince = g.blockedSince(r)
	}
	a.Hosts, a.MoreHosts = topHosts(r)
	return a
}

func instantOf(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}

func topHosts(r *row) (top []Host, more int) {
	top = make([]Host, 0, len(r.hosts))
	for name, n := range r.hosts {
		top = append(top, Host{name.String(), n})
	}
	slices.SortFunc(top, func(a, b Host) int { return cmp.Or(cmp.Compare(b.Flows, a.Flows), cmp.Compare(a.Name, b.Name)) })
	more = max(len(top)-maxHosts, 0)
	return top[:len(top)-more], more
}

// words are the channels of a set.
func words(s policy.ChannelSet) []string {
	list := s.List()
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = c.String()
	}
	return out
}

func (g *gatherer) tellDevice(d *device) Device {
	f := policy.Facts{Client: d.addr, User: d.user, MAC: d.mac}
	_, persons := g.policy.Who(&f)
	t := Device{
		MAC: clean(d.mac), Hostname: clean(d.name), User: clean(d.user), Sites: cleanAll(slices.Sorted(maps.Keys(d.sites))), Persons: cleanAll(persons), Serves: []string{},
	}
	if d.addr.IsValid() {
		t.Address = clean(d.addr.String())
	}
	t.Name = cmp.Or(t.MAC, t.Address, "no address")
	if t.MAC == "" && t.User != "" {
		t.Name += " user " + t.User
	}
	for i := range g.policy.Operator().Sites {
		if site := &g.policy.Operator().Sites[i]; site.Relay && d.sites[site.Name] {
			t.Relay = true
			t.Serves = append(t.Serves, cleanAll(site.Serves)...)
		}
	}
	return t
}

// waiversUsed are the waivers that were used, and where the report is about everything, those that could have been.
func (g *gatherer) waiversUsed(o *Options) []Waiver {
	list := []Waiver{}
	listed := map[string]bool{}
	op := g.policy.Operator()
	for i := range op.Waivers {
		w := &op.Waivers[i]
		holds := w.Until.At.After(g.since) && (w.From == nil || w.From.At.Before(g.until))
		used := g.waivers[w.ID]
		if used == nil && (!holds || o.Vendor != "" || o.Site != "") {
			continue
		}
		listed[w.ID] = true
		t := Waiver{ID: clean(w.ID), Known: true, Owner: clean(w.Owner), Reason: clean(w.Reason), Until: tellInstant(&w.Until)}
		list = append(list, t.usedBy(used))
	}
	for id, used := range g.waivers {
		if !listed[id] {
			list = append(list, (Waiver{ID: clean(id)}).usedBy(used))
		}
	}
	slices.SortFunc(list, func(a, b Waiver) int { return cmp.Or(cmp.Compare(b.Flows, a.Flows), cmp.Compare(a.ID, b.ID)) })
	return list
}

func (w Waiver) usedBy(g *group) Waiver {
	if g != nil {
		w.Flows, w.Devices, w.Last = g.flows, g.devices.len(), instantOf(g.last)
	}
	return w
}

func (g *gatherer) outcomesSeen() []Outcome {
	list := make([]Outcome, 0, len(g.outcomes))
	for key, o := range g.outcomes {
		list = append(list, Outcome{
			Verdict: key.verdict.String(), State: key.state.String(), By: key.by.cleaned(), Flows: o.flows, Devices: o.devices.len(),
		})
	}
	slices.SortFunc(list, func(a, b Outcome) int {
		return cmp.Or(cmp.Compare(b.Flows, a.Flows), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.State, b.State), a.By.compare(b.By))
	})
	return list
}

func (c Cause) cleaned() Cause { return Cause{clean(c.Kind), clean(c.ID)} }

func (c Cause) compare(with Cause) int {
	return cmp.Or(cmp.Compare(c.Kind, with.Kind), cmp.Compare(c.ID, with.ID))
}

func (g *gatherer) summary(r *Report) Summary {
	s := g.total
	s.Devices = int64(len(g.devices))
	var wasBlocked, inGrace set
	for key, row := range g.rows {
		if row.counts.Blocked > 0 {
			wasBlocked.add(key.device)
		}
	}
	for _, p := range g.passed {
		inGrace.join(p.devices)
	}
	s.DevicesBlocked, s.DevicesGrace = wasBlocked.len(), inGrace.len()
	if len(r.Ahead) > 0 {
		s.NextStop = &r.Ahead[0].Instant
		var hit set
		for key, a := range g.ahead {
			if key.at.Equal(s.NextStop.At) {
				hit.join(a.devices)
			}
		}
		s.DevicesAhead = hit.len()
	}
	return s
}
