package policy

// cause names what a verdict rests on.
type cause struct {
	kind  causeKind
	index int32
}

type causeKind uint8

const (
	causeNone causeKind = iota
	causeRestriction
	causeRule
	causeWaiver
	causeDefault
	causeUnseen // index: position in unseenWords
	causeClock
	causeRecord
)

// finding is a verdict on the way: of a channel, an endpoint, a name.
type finding struct {
	verdict Verdict
	state   State
	final   bool // by a final rule
	by      cause
}

// stricter tells whether f outweighs g: a block outweighs a pass, then the state decides.
func (f finding) stricter(g finding) bool {
	if f.verdict != g.verdict {
		return f.verdict == Block
	}
	return f.state > g.state
}

// byRestriction tells whether f is a block that a restriction alone brought about.
func (f finding) byRestriction() bool { return f.verdict == Block && f.by.kind == causeRestriction }

// question is what the law is asked: what binds who asks, which rules and waivers are heard, when, and whether every restriction is
// to be taken as enforced. A trace, if given, takes down the reasons. Strands, if given, know steps one and two.
type question struct {
	jurisdictions []string
	voices
	at      int64
	enforce bool
	trace   *trace
	strands *strands
}

// judge is the law for one name: c is what it means. Steps as in the design: judgeRestriction 1, restrictionsSay 2,
// judgeChannel 3, judgeEndpoint 4 and 5; over names, and what stayed unseen, Decide (6 and 7).
func (p *Policy) judge(q *question, c *class) finding {
	if c.outcomes == nil {
		return p.judgeEndpoint(q, c)
	}
	// The path decides and is not seen. If it cannot change the verdict, the strictest of what it could say holds.
	var strictest finding
	differ := false
	for i, id := range c.outcomes {
		f := p.judgeEndpoint(q, &p.classes[id])
		if f.state == Unmatched && p.op.Settings.Default == Block {
			f.verdict, f.by = Block, cause{kind: causeDefault}
		}
		differ = differ || i > 0 && f.verdict != strictest.verdict
		if i == 0 || f.stricter(strictest) {
			strictest = f
		}
	}
	if differ {
		return finding{verdict: p.op.Settings.Unseen.Request, state: Unseen, by: cause{causeUnseen, unseenRequest}}
	}
	return strictest
}

// judgeEndpoint is steps four and five, for an endpoint whose path is seen or does not matter.
func (p *Policy) judgeEndpoint(q *question, c *class) finding {
	if len(c.units) == 0 {
		return p.operatorsWord(q, nil, finding{verdict: Allow, state: Unmatched})
	}
	findings := make([]finding, len(c.units))
	separable := !c.corporate
	for i := range c.units {
		findings[i] = p.judgeChannel(q, &c.units[i])
		separable = separable || c.units[i].channel == Corporate && findings[i].byRestriction()
	}

	var worst [2]finding // by verdict
	var count [2]int
	final := false
	for _, f := range findings {
		if !separable && f.byRestriction() {
			f.verdict, f.state = Allow, Inseparable
		}
		if count[f.verdict] == 0 || f.stricter(worst[f.verdict]) {
			worst[f.verdict] = f
		}
		count[f.verdict]++
		final = final || f.final
	}
	if c.neverBlock && !final {
		q.trace.neverBlock(c)
		return finding{verdict: Allow, state: NeverBlock}
	}
	if count[Block] > 0 && (!p.op.Settings.AllOf || count[Allow] == 0) {
		return worst[Block]
	}
	return worst[Allow]
}

// judgeChannel is step three: the operator's word, before what the restrictions say.
func (p *Policy) judgeChannel(q *question, u *unit) finding {
	if q.strands != nil {
		return p.operatorsWord(q, u, q.strands.strand(q, u).at(q.at))
	}
	return p.operatorsWord(q, u, p.restrictionsSay(q, u))
}

// restrictionsSay is step two: the strictest over the restrictions that bind the client.
func (p *Policy) restrictionsSay(q *question, u *unit) finding {
	f := finding{verdict: Allow, state: OutOfScope}
	v := &p.vendors[u.vendor]
	for _, i := range v.instruments {
		in := &p.instruments[i]
		text := in.at(q.at)
		if !text.concerns(v.id, q.jurisdictions) {
			q.trace.notBound(in, text, u)
			continue
		}
		if g := p.judgeRestriction(in, text, u, q.at, q.enforce, q.trace); g.stricter(f) {
			f = g
		}
	}
	return f
}

// judgeRestriction is step one, for a restriction that binds the client, and what its mode makes of it.
func (p *Policy) judgeRestriction(in *instrument, text *view, u *unit, at int64, enforce bool, tr *trace) finding {
	r := text.ruling(p.vendors[u.vendor].id, u.channel, at)
	f := finding{verdict: Allow, state: r.state, by: cause{causeRestriction, int32(in.index)}}
	switch enforced := in.enforced || enforce; {
	case p.blocks(r.state) && enforced && u.lowTrust:
		f.state = Monitored
	case p.blocks(r.state) && enforced:
		f.verdict = Block
	case p.blocks(r.state):
		f.state = in.state
	case r.state == Grace:
		if next := p.nextBlock(in, text, u, at); next != never && at >= next-int64(p.op.Settings.WarnBefore) {
			f.state = Warn
		}
	}
	tr.restriction(in, text, u, &r, f)
	return f
}

// blocks tells whether a ruling is a block, where it is enforced.
func (p *Policy) blocks(s State) bool {
	return s == Blocked || s == AfterFloor && p.op.Settings.AfterFloor == Block
}

// nextBlock returns the first instant after at, at which this text blocks the channel, or never.
func (p *Policy) nextBlock(in *instrument, text *view, u *unit, at int64) int64 {
	for _, b := range in.bounds {
		if b > at && p.blocks(text.ruling(p.vendors[u.vendor].id, u.channel, b).state) {
			return b
		}
	}
	return never
}

// operatorsWord is step three: final rule, then waiver, then rule that blocks, then what the restrictions say. A nil unit
// stands for a name that no endpoint carries.
func (p *Policy) operatorsWord(q *question, u *unit, f finding) finding {
	rule, waiver := -1, -1
	for _, i := range q.rules {
		r := &p.op.Rules[i]
		if !p.picks(&r.Target, u) {
			continue
		}
		phase := r.phase(q.at)
		q.trace.rule(i, phase, u)
		if phase != nil && phase.Effect == EffectBlock && (rule < 0 || r.Final && !p.op.Rules[rule].Final) {
			rule = i
		}
	}
	for _, i := range q.waivers {
		w := &p.op.Waivers[i]
		if !p.picks(&w.Target, u) {
			continue
		}
		if holds := (w.From == nil || nanos(w.From.At) <= q.at) && q.at < nanos(w.Until.At); holds {
			q.trace.waiver(i, u)
			if waiver < 0 {
				waiver = i
			}
		}
	}
	switch {
	case rule >= 0 && p.op.Rules[rule].Final:
		return finding{verdict: Block, state: RuleBlocked, final: true, by: cause{causeRule, int32(rule)}}
	case waiver >= 0:
		return finding{verdict: Allow, state: Waived, by: cause{causeWaiver, int32(waiver)}}
	case rule >= 0:
		return finding{verdict: Block, state: RuleBlocked, by: cause{causeRule, int32(rule)}}
	}
	return f
}

// phase returns the rule's phase at an instant: the latest that has begun.
func (r *Rule) phase(at int64) *Phase {
	var last *Phase
	for i := range r.Phases {
		ph := &r.Phases[i]
		if nanos(ph.From.At) <= at && (last == nil || ph.From.At.After(last.From.At)) {
			last = ph
		}
	}
	return last
}
