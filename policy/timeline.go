package policy

import (
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

// compileTimelines runs the law at every instant at which anything can change, for every scope, set and class.
func (p *Policy) compileTimelines() {
	p.cells = make([]int32, 0, len(p.scopes.list)*len(p.selected)*len(p.classes))
	p.reach = make([]timeline, len(p.scopes.list))
	for s := range p.scopes.list {
		sc := &p.scopes.list[s]
		from := len(p.cells)
		for set := range p.selected {
			for c := range p.classes {
				t := p.newTimeline(sc, &p.classes[c], &p.selected[set])
				if n := len(p.timelines); n > 0 && slices.Equal(p.timelines[n-1].spans, t.spans) && p.timelines[n-1].governed == t.governed {
					p.cells = append(p.cells, int32(n-1))
					continue
				}
				p.cells = append(p.cells, int32(len(p.timelines)))
				p.timelines = append(p.timelines, t)
			}
		}
		p.reach[s] = p.newReach(p.cells[from:])
	}
}

// timeline returns the one of a scope, set and class.
func (p *Policy) timeline(scope uint32, set match.SetID, c match.ClassID) *timeline {
	return &p.timelines[p.cells[(int(scope)*len(p.selected)+int(set))*len(p.classes)+int(c)]]
}

func (p *Policy) newTimeline(sc *scope, c *class, sel *selected) timeline {
	bounds := p.boundaries(sc, c, sel)
	var t timeline
	for _, at := range bounds {
		x := p.cellAt(sc, c, sel, at)
		t.governed = t.governed || x.state > OutOfScope
		if n := len(t.spans); n == 0 || t.spans[n-1].cell != x {
			t.spans = append(t.spans, span{from: at, cell: x})
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
func (p *Policy) cellAt(sc *scope, c *class, sel *selected, at int64) cell {
	f := p.judge(sc, c, sel, at, nil)
	x := cell{verdict: f.verdict, state: f.state, would: Allow, by: f.by}
	if f.would {
		x.would = Block
	}
	byName := f.verdict == Block && p.op.Settings.BlockPage
	if (f.state == Unseen || byName) && !c.pinned {
		x.need = NeedRequest
	}
	return x
}

// boundaries returns, in order and from always on, every instant at which the law can say something else of a class.
func (p *Policy) boundaries(sc *scope, c *class, sel *selected) []int64 {
	list := []int64{always}
	units := c.units
	for _, id := range c.outcomes {
		units = append(slices.Clip(units), p.classes[id].units...)
	}
	for i, u := range units {
		if !slices.ContainsFunc(units[:i], func(v unit) bool { return v.vendor == u.vendor }) {
			for _, in := range p.vendors[u.vendor].instruments {
				list = append(list, p.instruments[in].bounds...)
			}
		}
	}
	for _, i := range sc.rules {
		if r := &p.op.Rules[i]; p.picksAny(&r.Target, units, sel.rules, i) {
			for j := range r.Phases {
				list = append(list, nanos(r.Phases[j].From.At))
			}
		}
	}
	for _, i := range sc.waivers {
		if w := &p.op.Waivers[i]; p.picksAny(&w.Target, units, sel.waivers, i) {
			if w.From != nil {
				list = append(list, nanos(w.From.At))
			}
			list = append(list, nanos(w.Until.At))
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if list[len(list)-1] == never {
		list = list[:len(list)-1]
	}
	return list
}

func (p *Policy) picksAny(t *Target, units []unit, byName []int, i int) bool {
	return p.picks(t, nil, byName, i) || slices.ContainsFunc(units, func(u unit) bool { return p.picks(t, &u, byName, i) })
}

// newReach joins the timelines of a scope into one: whether any name at all is blocked, so that a hello could tell one.
func (p *Policy) newReach(ids []int32) timeline {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
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
