package policy

import (
	"cmp"
	"time"

	"github.com/gracegate/gracegate/policy/match"
)

// Explanation is a decision with everything that it rests on.
type Explanation struct {
	Decision
	At       time.Time
	Site     string // empty: the default site
	Persons  []string
	Again    bool   // the path decided as PathAgain reads it
	Vendor   string // of the name that decided
	Channels []Channel
	Reasons  []Reason // in the order in which the law takes them; the decisive ones are marked
}

// Reason is one thing that was weighed.
type Reason struct {
	Kind        string // endpoint, phase, floor, exemption, stay, licence, not-bound, rule, waiver, never-block, unseen, default, clock, record
	ID          string // of the stay, licence, rule, waiver, or setting
	Restriction string
	Vendor      string
	Channel     string
	Effect      string // the state that this reason alone brings about
	Mode        string // of the restriction
	From, Until *Instant
	Condition   string // of a licence, in words
	Decisive    bool
	Pos         Pos
	Source      *Source

	by    cause
	state State
}

// Explain gives the same decision as Decide, with its reasons. Unlike Decide it allocates.
func (p *Policy) Explain(at time.Time, f *Facts) Explanation {
	var l looked
	p.look(f, f.Path, &l)
	e := Explanation{At: at.UTC()}
	if e.Decision, e.Again = p.decideAgain(nanos(at), f, &l); e.Again {
		l = looked{}
		p.look(f, f.PathAgain, &l)
	}
	e.Site, e.Persons = p.Who(f)

	jurisdictions := p.scopes.list[l.scope].jurisdictions
	tr := &trace{p: p, at: nanos(at)}
	for i := range l.n {
		n := &l.names[i]
		tr.endpoints(f, n, l.path)
		p.judge(&question{jurisdictions: jurisdictions, voices: p.heard(l.scope, n.set), at: tr.at, trace: tr}, &p.classes[n.class])
	}
	tr.rest(f, &l, &e.Decision)
	e.Vendor, e.Channels = e.Endpoint()
	e.Reasons = tr.reasons
	for i := range e.Reasons {
		e.Reasons[i].Decisive = p.decisive(&e.Reasons[i], &e.Decision)
	}
	return e
}

// Reasons tells all that is weighed for a decision, as Explain does, and decides nothing.
func (p *Policy) Reasons(at time.Time, f *Facts) []Reason { return p.Explain(at, f).Reasons }

// decisive tells whether a reason is one that the decision rests on. Where nothing in particular decided, it is why nothing did.
func (p *Policy) decisive(r *Reason, d *Decision) bool {
	switch d.by.kind {
	case causeRestriction:
		return r.by == d.by && p.bringsAbout(r.state, d.State)
	case causeNone:
		return d.State == OutOfScope && r.Kind == "not-bound" || d.State == NeverBlock && r.Kind == "never-block" ||
			d.State == Unmatched && r.Kind == "default"
	default:
		return r.by == d.by
	}
}

// bringsAbout tells whether what a restriction says of a channel is what the whole came to.
func (p *Policy) bringsAbout(part, whole State) bool {
	return part == whole || whole == Inseparable && p.blocks(part)
}

// trace takes down what judge weighs. A nil trace takes nothing.
type trace struct {
	p       *Policy
	at      int64
	reasons []Reason
}

func (tr *trace) add(r Reason) {
	for i := range tr.reasons { // a path-dependent endpoint is judged once for each outcome
		if o := &tr.reasons[i]; o.Kind == r.Kind && o.ID == r.ID && o.Restriction == r.Restriction && o.Pos == r.Pos && o.Channel == r.Channel && o.Vendor == r.Vendor &&
			(r.Kind != "endpoint" || o.Source == r.Source) {
			return
		}
	}
	tr.reasons = append(tr.reasons, r)
}

// endpoints notes the endpoints that a name matched, by which host or zone.
func (tr *trace) endpoints(f *Facts, n *name, path string) {
	for _, hit := range tr.p.index.Explain(n.host, f.Port, path) {
		kind := "host"
		if hit.Zone {
			kind = "zone"
		}
		tr.endpoint(hit.Entry, kind, hit.Key)
	}
	if n.print {
		for _, id := range tr.p.index.ExplainFingerprint(path) {
			tr.endpoint(id, "fingerprint", path)
		}
	}
}

// endpoint notes an endpoint once for each of its sources: they may be of different grades, and tell of different channels.
func (tr *trace) endpoint(id match.EntryID, kind, key string) {
	e := tr.p.endpoints.list[id]
	r := Reason{Kind: "endpoint", ID: key, Effect: kind, Vendor: tr.p.vendors[e.vendor].id, Pos: e.Pos}
	if len(e.Sources) == 0 {
		tr.add(r)
	}
	for i := range e.Sources {
		r.Source = &e.Sources[i]
		tr.add(r)
	}
}

func (tr *trace) unit(u *unit, r Reason) Reason {
	if u != nil {
		r.Vendor, r.Channel = tr.p.vendors[u.vendor].id, u.channel.String()
	}
	return r
}

func (tr *trace) neverBlock(c *class) {
	if tr == nil {
		return
	}
	tr.add(tr.unit(&c.units[0], Reason{Kind: "never-block", Effect: NeverBlock.String(), state: NeverBlock}))
}

func (tr *trace) notBound(in *instrument, text *view, u *unit) {
	if tr == nil {
		return
	}
	r := Reason{Kind: "not-bound", Restriction: in.ID, Effect: OutOfScope.String(), Pos: in.Pos, state: OutOfScope}
	if text.revision != nil {
		r.Source, r.Pos = &text.revision.Source, text.revision.Pos
	}
	tr.add(tr.unit(u, r))
}

// restriction notes what one restriction says, and by which of its parts.
func (tr *trace) restriction(in *instrument, text *view, u *unit, g *ruling, f finding) {
	if tr == nil {
		return
	}
	rev := text.revision
	r := Reason{
		Kind: "phase", Restriction: in.ID, Effect: f.state.String(), Mode: in.mode.String(),
		Pos: rev.Pos, Source: &rev.Source, by: f.by, state: f.state,
	}
	switch {
	case g.stay != nil:
		r.Kind, r.ID, r.Pos, r.Source = "stay", g.stay.ID, g.stay.Pos, &g.stay.Source
		r.From, r.Until = &g.stay.From, g.stay.Until
		if g.stay.lifted != nil {
			r.Until = &g.stay.lifted.From
		}
	case g.licence != nil:
		r.Kind, r.ID, r.Pos, r.Source = "licence", g.licence.ID, g.licence.Pos, &g.licence.Source
		r.From, r.Until, r.Condition = &g.licence.From, &g.licence.Until, g.licence.Condition
	case g.floor != nil:
		r.Kind, r.Pos, r.From = "floor", g.floor.Pos, &g.floor.AtLeastUntil
		r.Source = cited(g.floor.Source, r.Source)
	case g.state == Exempt:
		r.Kind, r.Pos = "exemption", rev.ExemptPos
	case g.phase != nil:
		r.Pos, r.From, r.Until = g.phase.Pos, &g.phase.From, text.phaseEnd(g.phase, u.channel)
		r.Source = cited(g.phase.Source, r.Source)
	}
	tr.add(tr.unit(u, r))
}

// cited is the source of a part, with the citation of the whole text where it has none of its own.
func cited(part, whole *Source) *Source {
	if part == nil || part.Citation != "" {
		return cmp.Or(part, whole)
	}
	s := *part
	s.Citation = whole.Citation
	return &s
}

// phaseEnd returns when the next phase of the channel begins, or nil.
func (v *view) phaseEnd(p *Phase, c Channel) *Instant {
	var end *Instant
	for i := range v.revision.Phases {
		q := &v.revision.Phases[i]
		if q.Channels.Has(c) && q.From.At.After(p.From.At) && (end == nil || q.From.At.Before(end.At)) {
			end = &q.From
		}
	}
	return end
}

func (tr *trace) rule(i int, phase *Phase, u *unit) {
	if tr == nil {
		return
	}
	rule := &tr.p.op.Rules[i]
	r := Reason{
		Kind: "rule", ID: rule.ID, Effect: "none", Pos: rule.Pos, by: cause{causeRule, int32(i)},
		Source: &Source{Title: rule.Reason, Grade: GradeOperator},
	}
	if phase != nil {
		r.Effect, r.From, r.Pos = phase.Effect.String(), &phase.From, phase.Pos
	}
	tr.add(tr.unit(u, r))
}

func (tr *trace) waiver(i int, u *unit) {
	if tr == nil {
		return
	}
	w := &tr.p.op.Waivers[i]
	tr.add(tr.unit(u, Reason{
		Kind: "waiver", ID: w.ID, Effect: Waived.String(), From: w.From, Until: &w.Until, Pos: w.Pos,
		by: cause{causeWaiver, int32(i)}, state: Waived,
		Source: &Source{Title: w.Reason + ", owned by " + w.Owner, Grade: GradeOperator},
	}))
}

// rest notes what was decided around the endpoints: what stayed unseen, the default, the clock and the record.
func (tr *trace) rest(f *Facts, l *looked, d *Decision) {
	op := tr.p.op
	unseen := l.unseen
	if d.by.kind == causeUnseen {
		unseen = d.by
	}
	if unseen.kind == causeUnseen {
		tr.add(Reason{Kind: "unseen", ID: unseenWords[unseen.index], Effect: d.Verdict.String(), Pos: op.Pos, by: unseen, state: Unseen})
	}
	if d.State == Unmatched {
		tr.add(Reason{Kind: "default", Effect: op.Settings.Default.String(), Pos: op.Pos, by: cause{kind: causeDefault}})
	}
	if f.Clock == ClockUntrusted && l.governed {
		tr.add(Reason{Kind: "clock", Effect: tr.p.opts.ClockFaults.String(), by: cause{kind: causeClock}, state: ClockFault})
	}
	if f.Record == RecordFails && l.governed {
		tr.add(Reason{Kind: "record", Effect: tr.p.opts.RecordFaults.String(), by: cause{kind: causeRecord}, state: RecordFault})
	}
}
