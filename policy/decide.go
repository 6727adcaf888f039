package policy

import (
	"time"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

// Decide says what becomes of a flow at an instant. It is total: any facts, at any instant, get a decision. Instants outside
// the years 1678 to 2262 count as those years' ends. It does not allocate.
func (p *Policy) Decide(at time.Time, f *Facts) Decision {
	var l looked
	p.look(f, f.Path, &l)
	if f.PathAgain != "" {
		d, _ := p.decideAgain(nanos(at), f, &l)
		return d
	}
	return p.decide(nanos(at), f, &l)
}

// looked is what the facts mean, whatever the instant.
type looked struct {
	scope     uint32
	path      string // empty: not seen
	names     [3]name
	n         int
	unseen    cause // the setting that blocks for something that stayed unseen, if any
	toCome    bool  // the hello is still to come
	governed  bool
	pinned    bool // a name's clients check certificates themselves
	unmatched bool // no endpoint matched any name
}

type name struct {
	timeline *timeline
	set      match.SetID
	class    match.ClassID
	host     host.Name
	print    bool // matched by a fingerprint
}

// look finds the scope, and the timeline of each name that was observed, with the path read in one of its ways.
func (p *Policy) look(f *Facts, path string, l *looked) {
	l.scope = p.scopes.index(f)
	if f.Stage == StageRequest {
		l.path = path
	}
	p.lookUp(f, l, f.Authority)
	if f.Stage >= StageHello && f.Hello == HelloWithName && f.SNI != f.Authority {
		p.lookUp(f, l, f.SNI)
	}
	if f.Stage == StageRequest && !f.Inner.IsZero() && f.Inner != f.Authority && (f.Hello != HelloWithName || f.Inner != f.SNI) {
		p.lookUp(f, l, f.Inner)
	}
	l.unmatched = true
	for i := range l.n {
		l.unmatched = l.unmatched && l.names[i].class == match.Unmatched
	}
	if l.unmatched && l.path != "" {
		if c := p.index.Fingerprint(l.path); c != match.Unmatched {
			l.names[0].class, l.names[0].print = c, true
			l.names[0].timeline = p.timeline(l.scope, l.names[0].set, c)
		}
	}
	for i := range l.n {
		l.governed = l.governed || l.names[i].timeline.governed
		l.pinned = l.pinned || p.classes[l.names[i].class].pinned
	}
	l.unseen = p.judgeUnseen(f, l)
	l.toCome = f.Stage == StageAuthority && f.Scheme != "http"
}

func (p *Policy) lookUp(f *Facts, l *looked, n host.Name) {
	class := p.index.Lookup(n, f.Port)
	if l.path != "" {
		class = p.index.Path(class, l.path)
	}
	var set match.SetID
	if len(p.named) > 1 {
		set = p.selections.Lookup(n)
	}
	to := &l.names[l.n]
	to.timeline, to.set, to.class, to.host = p.timeline(l.scope, set, class), set, class, n
	l.n++
}

// The settings of `unseen`, by the index that a cause carries.
const (
	unseenAddress int32 = iota
	unseenNoSNI
	unseenNotTLS
	unseenECH
	unseenMismatch
	unseenUnreadable
	unseenRequest
)

var unseenWords = []string{"address", "no-sni", "not-tls", "ech", "mismatch", "unreadable", "request"}

// judgeUnseen is step seven: each thing that stayed unseen, whatever names were seen beside it. It returns the first setting
// that blocks. What only the request could tell is judged with the endpoint, since it depends on the instant.
func (p *Policy) judgeUnseen(f *Facts, l *looked) cause {
	s := &p.op.Settings.Unseen
	first := &l.names[0]
	switch {
	case s.Address == Block && (first.class == match.Unmatched || first.print) && first.set == 0 && f.Authority.IsAddr() && !l.named(f):
		return cause{causeUnseen, unseenAddress}
	case f.Stage == StageAuthority:
		return cause{}
	case f.Hello == HelloUnreadable && s.Unreadable == Block:
		return cause{causeUnseen, unseenUnreadable}
	case f.Hello == HelloNotTLS && s.NotTLS == Block:
		return cause{causeUnseen, unseenNotTLS}
	case f.Hello == HelloNoName && s.NoSNI == Block:
		return cause{causeUnseen, unseenNoSNI}
	case f.ECH && s.ECH == Block:
		return cause{causeUnseen, unseenECH}
	case s.Mismatch == Block && !l.governed && f.Hello == HelloWithName && f.SNI != f.Authority && !f.Authority.IsAddr():
		return cause{causeUnseen, unseenMismatch}
	}
	return cause{}
}

// named tells whether a transparent flow has a name after all, by its hello or its request, so that its address stands in place of none.
func (l *looked) named(f *Facts) bool {
	if !f.Transparent {
		return false
	}
	for i := range l.n {
		if !l.names[i].host.IsAddr() {
			return true
		}
	}
	return false
}

// decide looks up what holds at an instant, and when that changes.
func (p *Policy) decide(at int64, f *Facts, l *looked) Decision {
	var idx [3]int
	for i := range l.n {
		idx[i] = l.names[i].timeline.at(at)
	}
	reach, r := &p.reach[l.scope], 0
	if l.toCome {
		r = reach.at(at)
	}
	now, by := p.combine(f, l, &idx, reach.spans[r].verdict)
	d := Decision{
		Verdict: now.verdict, State: now.state, Need: now.need, Would: now.would, Governed: l.governed,
		by: now.by, nextChange: never, nextBlock: never, since: always, policy: p, scope: l.scope, class: l.names[by].class,
	}
	if now.by.kind <= causeWaiver {
		d.since = l.names[by].timeline.spans[idx[by]].since
	}

	// While nothing blocks but names, the next block is the first of theirs. It is known from the compilation.
	blocked := now.verdict == Block
	known := !blocked && p.op.Settings.Default == Allow
	if known {
		for i := range l.n {
			d.nextBlock = min(d.nextBlock, l.names[i].timeline.spans[idx[i]].nextBlock)
		}
	}
	// Walk the boundaries ahead of all names together, as far as there is something left to learn.
	for changed := false; !changed || !known; {
		next := int64(never)
		for i := range l.n {
			next = min(next, l.names[i].timeline.until(idx[i]))
		}
		if l.toCome {
			next = min(next, reach.until(r))
		}
		if next == never {
			break
		}
		for i := range l.n {
			if l.names[i].timeline.until(idx[i]) == next {
				idx[i]++
			}
		}
		if l.toCome && reach.until(r) == next {
			r++
		}
		then, _ := p.combine(f, l, &idx, reach.spans[r].verdict)
		if !changed && (then.verdict != now.verdict || then.state != now.state || then.need != now.need) {
			d.nextChange, changed = next, true
		}
		if !known && then.verdict == Block && !blocked {
			d.nextBlock, known = next, true
		}
		blocked = then.verdict == Block
	}
	return d
}

// combine is step six, the strictest over the names, and step seven's last word. by is the name that decided.
func (p *Policy) combine(f *Facts, l *looked, idx *[3]int, reach Verdict) (x cell, by int) {
	s := &p.op.Settings
	var needed Need
	would := false
	for i := range l.n {
		c := l.names[i].timeline.spans[idx[i]].cell
		if l.unmatched && s.Default == Block && c.verdict == Allow && c.state != Waived {
			c = cell{verdict: Block, state: Unmatched, would: Block, by: cause{kind: causeDefault}}
		}
		needed = max(needed, c.need)
		would = would || c.would == Block
		if i == 0 || c.verdict != x.verdict && c.verdict == Block || c.verdict == x.verdict && c.state > x.state {
			x, by = c, i
		}
	}
	if l.unseen.kind != causeNone {
		would = true
		if x.verdict == Allow {
			x.verdict, x.state, x.by = Block, Unseen, l.unseen
		}
	}
	if l.governed && x.verdict == Allow {
		switch {
		case f.Clock == ClockUntrusted && p.opts.ClockFaults == Block:
			x.verdict, x.state, x.by = Block, ClockFault, cause{kind: causeClock}
		case f.Record == RecordFails && p.opts.RecordFaults == Block:
			x.verdict, x.state, x.by = Block, RecordFault, cause{kind: causeRecord}
		}
	}
	x.would = Allow
	if would || x.verdict == Block {
		x.would = Block
	}
	if x.verdict == Allow {
		x.need = needed
	}
	if x.need == NeedRequest && (f.Stage == StageRequest || l.pinned || x.state > Unseen && !x.byName()) {
		x.need = NeedNothing
	}
	if x.verdict == Allow && x.need == NeedNothing && l.toCome && (reach == Block || s.Unseen.helloCouldBlock()) {
		x.need = NeedHello
	}
	return x, by
}

// byName tells whether a name is blocked, so that a page could be shown for it.
func (x *cell) byName() bool {
	return x.state == Blocked || x.state == RuleBlocked || x.state == AfterFloor
}

func (s *UnseenSettings) helloCouldBlock() bool {
	return s.NoSNI == Block || s.NotTLS == Block || s.ECH == Block || s.Mismatch == Block || s.Unreadable == Block
}
