package policy

import (
	"slices"
	"time"
)

// Era tells the period of the whole policy that an instant lies in, by a number: within it no text, rule or waiver says anything
// else than at its beginning.
func (p *Policy) Era(at time.Time) int {
	n, found := slices.BinarySearch(p.eras, nanos(at))
	if found {
		n++
	}
	return n
}

// findEras collects every instant at which anything can change, in order.
func (p *Policy) findEras() {
	list := p.op.everyone().bounds(p.op)
	for i := range p.instruments {
		list = append(list, p.instruments[i].bounds...)
	}
	slices.Sort(list)
	p.eras = slices.Clip(slices.Compact(list))
}
