package policy

import "slices"

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
	would   bool // blocked, were every restriction enforced
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

// judge is the law for one name at one instant: sc says who asks, c what the name means, sel which rules and waivers name it
// themselves. Steps as in the design: judgeRestriction 1, judgeChannel 2 and 3, judgeEndpoint 4 and 5; over names, and what
// stayed unseen, Decide (6 and 7). A trace, if given, takes down the reasons.
func (p *Policy) judge(sc *scope, c *class, sel *selected, at int64, tr *trace) finding {
	if c.outcomes == nil {
		return p.judgeEndpoint(sc, c, sel, at, tr)
	}
	// The path decides and is not seen. If it cannot change the verdict, the strictest of what it could say holds.
	var strictest finding
	differ := false
	for i, id := range c.outcomes {
		f := p.judgeEndpoint(sc, &p.classes[id], sel, at, tr)
		if f.state == Unmatched && p.op.Settings.Default == Block {
			f.verdict, f.would, f.by = Block, true, cause{kind: causeDefault}
		}
		differ = differ || i > 0 && f.verdict != strictest.verdict
		if i == 0 || f.stricter(strictest) {
			f.would = f.would || strictest.would
			strictest = f
		}
	}
	if !differ {
		return strictest
	}
	return finding{
		verdict: p.op.Settings.Unseen.Request, state: Unseen, would: p.op.Settings.Unseen.Request == Block,
		by: cause{causeUnseen, unseenRequest},
	}
}

// judgeEndpoint is steps four and five, for an endpoint whose path is seen or does not matter.
func (p *Policy) judgeEndpoint(sc *scope, c *class, sel *selected, at int64, tr *trace) finding {
	if len(c.units) == 0 {
		return p.operatorsWord(sc, nil, sel, at, finding{verdict: Allow, state: Unmatched}, tr)
	}
	findings := make([]finding, len(c.units))
	separable := !c.corporate
	for i := range c.units {
		findings[i] = p.judgeChannel(sc, &c.units[i], sel, at, tr)
		separable = separable || c.units[i].channel == Corporate && findings[i].byRestriction()
	}

	var worst [2]finding // by verdict
	var count [2]int
	would, final := 0, false
	for _, f := range findings {
		if !separable && f.byRestriction() {
			f.verdict, f.state, f.would = Allow, Inseparable, false
		}
		if count[f.verdict] == 0 || f.stricter(worst[f.verdict]) {
			worst[f.verdict] = f
		}
		count[f.verdict]++
		final = final || f.final
		if f.would {
			would++
		}
	}
	blocked := count[Block] > 0
	wouldBlock := would > 0
	if p.op.Settings.AllOf {
		blocked, wouldBlock = count[Block] == len(findings), would == len(findings)
	}
	f := worst[Allow]
	if blocked {
		f = worst[Block]
	}
	f.would = wouldBlock || blocked
	if c.neverBlock && !final {
		tr.neverBlock(c)
		return finding{verdict: Allow, state: NeverBlock}
	}
	return f
}

// judgeChannel is steps two and three: the strictest over the restrictions that bind the client, then the operator's word.
func (p *Policy) judgeChannel(sc *scope, u *unit, sel *selected, at int64, tr *trace) finding {
	f := finding{verdict: Allow, state: OutOfScope}
	v := &p.vendors[u.vendor]
	for _, i := range v.instruments {
		in := &p.instruments[i]
		text := in.at(at)
		if !text.concerns(v.id, sc.jurisdictions) {
			tr.notBound(in, text, u)
			continue
		}
		g := p.judgeRestriction(in, text, u, at, tr)
		g.would = g.would || f.would
		if g.stricter(f) {
			f = g
		} else {
			f.would = g.would
		}
	}
	return p.operatorsWord(sc, u, sel, at, f, tr)
}

// judgeRestriction is step one, for a restriction that binds the client, and what its mode makes of it.
func (p *Policy) judgeRestriction(in *instrument, text *view, u *unit, at int64, tr *trace) finding {
	r := text.ruling(p.vendors[u.vendor].id, u.channel, at)
	f := finding{verdict: Allow, state: r.state, by: cause{causeRestriction, int32(in.index)}}
	switch {
	case p.blocks(r.state):
		f.would = !u.lowTrust
		switch {
		case in.enforced && u.lowTrust:
			f.state = Monitored
		case in.enforced:
			f.verdict = Block
		default:
			f.state = in.state
		}
	case r.state == Grace:
		next := p.nextBlock(in, text, u, at)
		if next != never && next-at <= int64(p.op.Settings.WarnBefore) {
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
func (p *Policy) operatorsWord(sc *scope, u *unit, sel *selected, at int64, f finding, tr *trace) finding {
	rule, waiver := -1, -1
	for _, i := range sc.rules {
		r := &p.op.Rules[i]
		if !p.picks(&r.Target, u, sel.rules, i) {
			continue
		}
		phase := r.phase(at)
		tr.rule(i, phase, u)
		if phase != nil && phase.Effect == EffectBlock && (rule < 0 || r.Final && !p.op.Rules[rule].Final) {
			rule = i
		}
	}
	for _, i := range sc.waivers {
		w := &p.op.Waivers[i]
		if !p.picks(&w.Target, u, sel.waivers, i) {
			continue
		}
		if holds := (w.From == nil || nanos(w.From.At) <= at) && at < nanos(w.Until.At); holds {
			tr.waiver(i, u)
			if waiver < 0 {
				waiver = i
			}
		}
	}
	switch {
	case rule >= 0 && p.op.Rules[rule].Final:
		return finding{verdict: Block, state: RuleBlocked, would: true, final: true, by: cause{causeRule, int32(rule)}}
	case waiver >= 0:
		return finding{verdict: Allow, state: Waived, by: cause{causeWaiver, int32(waiver)}}
	case rule >= 0:
		return finding{verdict: Block, state: RuleBlocked, would: true, by: cause{causeRule, int32(rule)}}
	}
	return f
}

// picks tells whether a rule or waiver is about the unit: by vendor and channel, or because it named the name itself.
func (p *Policy) picks(t *Target, u *unit, byName []int, i int) bool {
	if t.Vendor == "" {
		return contains(byName, i)
	}
	return u != nil && p.vendors[u.vendor].id == t.Vendor && (t.Channels == 0 || t.Channels.Has(u.channel))
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

func contains(sorted []int, i int) bool {
	return slices.Contains(sorted, i)
}
