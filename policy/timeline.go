package policy

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/gracegate/gracegate/policy/match"
)

// timeline is what becomes of one class for one scope, over all time. Its first span begins always.
type timeline struct {
	spans []span
	// governed: at some time a restriction, rule or waiver has a say.
	governed bool
}

// span is a stretch of a timeline, until the next one begins.
type span struct {
	from int64
	cell
	since     int64 // since when verdict, state, need and cause are these: earlier than from where only would changed there
	nextBlock int64 // the first instant after this span at which a later span blocks, or never
}

// cell is a finding, packed.
type cell struct {
	verdict Verdict
	state   State
	need    Need
	would   Verdict
	by      cause
}

// alike tells whether two cells say the same, whatever would be said were more enforced.
func (x *cell) alike(y *cell) bool {
	return x.verdict == y.verdict && x.state == y.state && x.need == y.need && x.by == y.by
}

// at returns the index of the span that holds at an instant.
func (t *timeline) at(at int64) int {
	lo, hi := 0, len(t.spans) // the span begins by at; the span at hi does not
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); t.spans[mid].from <= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// until returns the instant at which span i ends, or never.
func (t *timeline) until(i int) int64 {
	if i+1 < len(t.spans) {
		return t.spans[i+1].from
	}
	return never
}

// compileTimelines runs the law at every instant at which anything can change, for every scope, set and class. What cannot
// differ is worked out once: scopes and sets for which the same texts count share a row of classes.
func (p *Policy) compileTimelines() {
	st := &strands{p: p, done: map[strandKey]strand{}, tracks: map[trackKey]strand{}}
	var rows, timelines interner
	p.rowAt = make([]uint32, 0, len(p.scopes.list)*len(p.named))
	p.reach = make([]timeline, len(p.scopes.list))
	for s := range p.scopes.list {
		sc := &p.scopes.list[s]
		first := len(p.rowAt)
		for set := range p.named {
			named := p.named[set].within(sc)
			if set > 0 && len(named.rules)+len(named.waivers) == 0 {
				p.rowAt = append(p.rowAt, p.rowAt[first])
				continue
			}
			q := question{jurisdictions: sc.jurisdictions, voices: p.byVendor[s].with(named), strands: st}
			id, isNew := rows.id(fmt.Sprintf("%q %v", q.jurisdictions, q.voices)) // all that the verdicts of a row depend on
			if isNew {
				p.rows = append(p.rows, p.newRow(&q, &timelines))
			}
			p.rowAt = append(p.rowAt, id)
		}
		p.reach[s] = p.newReach(p.rowAt[first:])
	}
}

// newRow makes the timelines of all classes, for one scope and set.
func (p *Policy) newRow(q *question, known *interner) []uint32 {
	row := make([]uint32, len(p.classes))
	for c := range p.classes {
		t := p.newTimeline(*q, &p.classes[c])
		id, isNew := known.id(t.key())
		if isNew {
			p.timelines = append(p.timelines, t)
		}
		row[c] = id
	}
	return row
}

// key is equal for equal timelines.
func (t *timeline) key() string {
	b := make([]byte, 0, 1+20*len(t.spans))
	if t.governed {
		b = append(b, 1)
	}
	for _, s := range t.spans {
		b = binary.LittleEndian.AppendUint64(b, uint64(s.from)) //nolint:gosec // G115: any one-to-one form will do
		b = append(b, byte(s.verdict), byte(s.state), byte(s.need), byte(s.would), byte(s.by.kind))
		b = binary.LittleEndian.AppendUint32(b, uint32(s.by.index)) //nolint:gosec // G115: likewise
	}
	return string(b)
}

// timeline returns the one of a scope, set and class.
func (p *Policy) timeline(scope uint32, set match.SetID, c match.ClassID) *timeline {
	return &p.timelines[p.rows[p.rowAt[int(scope)*len(p.named)+int(set)]][c]]
}

func (p *Policy) newTimeline(q question, c *class) timeline {
	var t timeline
	for _, q.at = range p.boundaries(&q, c) {
		x := p.cellAt(q, c)
		t.governed = t.governed || x.state > OutOfScope
		if n := len(t.spans); n == 0 || t.spans[n-1].cell != x {
			since := q.at
			if n > 0 && t.spans[n-1].alike(&x) {
				since = t.spans[n-1].since
			}
			t.spans = append(t.spans, span{from: q.at, since: since, cell: x})
		}
	}
	next := int64(never)
	for i := len(t.spans) - 1; i >= 0; i-- {
		t.spans[i].nextBlock = next
		if t.spans[i].verdict == Block {
			next = t.spans[i].from
		}
	}
	return t
}

// cellAt is the law for one name at an instant, with the stage that would have to be seen to know better.
func (p *Policy) cellAt(q question, c *class) cell {
	f := p.judge(&q, c)
	q.enforce = true
	x := cell{verdict: f.verdict, state: f.state, would: p.judge(&q, c).verdict, by: f.by}
	byName := f.verdict == Block && p.op.Settings.BlockPage
	if (f.state == Unseen || byName) && !c.pinned {
		x.need = NeedRequest
	}
	return x
}

// boundaries returns, in order and from always on, every instant at which the law can say something else of a class.
func (p *Policy) boundaries(q *question, c *class) []int64 {
	units := p.unitsOf(c)
	list := append([]int64{always}, q.about(p, units).bounds(p.op)...)
	for i := range units {
		for _, enforce := range []bool{false, true} {
			for _, s := range q.strands.strand(&question{jurisdictions: q.jurisdictions, enforce: enforce}, &units[i]) {
				list = append(list, s.from)
			}
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if list[len(list)-1] == never {
		list = list[:len(list)-1]
	}
	return list
}

// unitsOf are those of a class, and of what the path can make of it.
func (p *Policy) unitsOf(c *class) []unit {
	units := c.units
	for _, id := range c.outcomes {
		units = append(slices.Clip(units), p.classes[id].units...)
	}
	return units
}

// newReach joins the timelines of a scope into one: whether any name at all is blocked, so that a hello could tell one.
func (p *Policy) newReach(rowAt []uint32) timeline {
	var ids []uint32
	for _, row := range merge(rowAt) {
		ids = append(ids, p.rows[row]...)
	}
	ids = merge(ids)
	bounds := []int64{always}
	for _, id := range ids {
		for _, s := range p.timelines[id].spans {
			bounds = append(bounds, s.from)
		}
	}
	slices.Sort(bounds)
	var t timeline
	for _, at := range slices.Compact(bounds) {
		x := cell{verdict: Allow}
		for _, id := range ids {
			tl := &p.timelines[id]
			if tl.spans[tl.at(at)].verdict == Block {
				x.verdict = Block
				break
			}
		}
		if n := len(t.spans); n == 0 || t.spans[n-1].cell != x {
			t.spans = append(t.spans, span{from: at, cell: x})
		}
	}
	return t
}
