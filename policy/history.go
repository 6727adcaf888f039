package policy

import (
	"fmt"
	"time"
)

// Span is a stretch of time over which a policy says the same of a flow: [From, Until). A zero From stands for always, a zero
// Until for ever.
type Span struct {
	From, Until time.Time
	Decision
}

// History returns what the policy says of a flow over all time, in order and without gaps. Neighbours differ in verdict, state, need,
// in what enforcing everything would say, or in the cause. Each is what Decide says at any instant in it, so that what is told
// about the past and the future cannot differ from what is done.
func (p *Policy) History(f *Facts) []Span {
	spans := []Span{{Decision: p.Decide(time.Time{}, f)}}
	for _, t := range p.turns(f) {
		d := p.Decide(t, f)
		last := &spans[len(spans)-1]
		if last.says(&d) {
			continue
		}
		last.Until = t
		spans = append(spans, Span{From: t, Decision: d})
	}
	return spans
}

// turns returns the instants at which anything that decides about a flow changes.
func (p *Policy) turns(f *Facts) []time.Time {
	var list []int64
	for _, path := range []string{f.Path, f.PathAgain} {
		var l looked
		p.look(f, path, &l)
		for i := range l.n {
			list = append(list, l.names[i].timeline.starts()...)
		}
		if l.toCome {
			list = append(list, p.reach[l.scope].starts()...)
		}
	}
	return instantsOf(merge(list))
}

func (t *timeline) starts() []int64 {
	list := make([]int64, len(t.spans))
	for i := range t.spans {
		list[i] = t.spans[i].from
	}
	return list
}

// says tells whether two decisions are the same to whoever asks about a flow.
func (d *Decision) says(other *Decision) bool {
	return d.Verdict == other.Verdict && d.State == other.State && d.Need == other.Need && d.Would == other.Would && d.by == other.by
}

// Instants returns, in order, every instant at which anything in the policy begins or ends, the beginnings of warnings
// included, whether or not a verdict changes there.
func (p *Policy) Instants() []time.Time { return instantsOf(p.eras) }

// Publications returns, in order, the instants at which any part of the restrictions was published that the policy looks at. They are the
// horizons that differ.
func (p *Policy) Publications() []time.Time {
	var list []int64
	for i := range p.instruments {
		list = append(list, p.instruments[i].publications()...)
	}
	return instantsOf(merge(list))
}

// Concern is what of a policy concerns a flow. The instants are in order, and among those of [Policy.Instants].
type Concern struct {
	Bound string      // what binds its client: equal where the same jurisdictions do
	Law   []time.Time // of the restrictions that name a vendor of its endpoints, whomever they bind
	Texts string      // the rules and waivers that hold for its client and could pick it: equal where the same do
	Own   []time.Time // theirs
}

// Concern tells what concerns a flow. Of two clients of one destination, with the same Bound and Texts, the policy says the same.
func (p *Policy) Concern(f *Facts) Concern {
	var l looked
	p.look(f, f.Path, &l)
	c := Concern{Bound: fmt.Sprintf("%q", p.scopes.list[l.scope].jurisdictions)}
	var law, own []int64
	for i := range l.n {
		units := p.unitsOf(&p.classes[l.names[i].class])
		for k := range units {
			for _, in := range p.vendors[units[k].vendor].instruments {
				law = append(law, p.instruments[in].bounds...)
			}
		}
		texts := p.heard(l.scope, l.names[i].set).about(p, units)
		c.Texts += fmt.Sprint(texts)
		own = append(own, texts.bounds(p.op)...)
	}
	c.Law, c.Own = instantsOf(merge(law)), instantsOf(merge(own))
	return c
}

// instantsOf leaves out what is no instant: always and never.
func instantsOf(list []int64) []time.Time {
	var all []time.Time
	for _, at := range list {
		if t, ok := instantOf(at); ok && at != always {
			all = append(all, t)
		}
	}
	return all
}
