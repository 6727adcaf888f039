package policy

import "time"

// NextBlocks gives, for each restriction that the operator enforces, the first instant after at at which it blocks a channel
// that it did not block before, whoever is bound. Restrictions that will not are left out.
func (p *Policy) NextBlocks(at time.Time) map[string]time.Time {
	now := nanos(at)
	blocks := make(map[string]time.Time)
	for i := range p.instruments {
		in := &p.instruments[i]
		text := in.at(now)
		if !in.enforced || text.revision == nil {
			continue
		}
		next := int64(never)
		for v := range p.vendors {
			for c := Signatures; c <= Local; c++ {
				u := unit{vendor: v, channel: c}
				if text.names(p.vendors[v].id) && !p.blocks(text.ruling(p.vendors[v].id, c, now).state) {
					next = min(next, p.nextBlock(in, text, &u, now))
				}
			}
		}
		if t, ok := instantOf(next); ok {
			blocks[in.ID] = t
		}
	}
	return blocks
}
