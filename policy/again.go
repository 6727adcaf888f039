package policy

// decideAgain is decide where the path may have a second reading: the stricter of what the two lead to, at every instant. second
// tells that the second one decided. What can differ is the verdict and its state, since at the request nothing more is needed.
func (p *Policy) decideAgain(at int64, f *Facts, l *looked) (d Decision, second bool) {
	var again looked
	if l.path != "" && f.PathAgain != "" {
		p.look(f, f.PathAgain, &again)
	}
	if again.path == "" || again.names == l.names {
		return p.decide(at, f, l), false
	}
	a, b := p.decide(at, f, l), p.decide(at, f, &again)
	d, second = stricterOf(&a, &b)
	// The two change at the same instants as before, but not every change shows. Walk on for as long as there is something to learn.
	d.nextChange, d.nextBlock = never, never
	blocked := d.Verdict == Block
	for d.nextChange == never || d.nextBlock == never {
		next := min(a.nextChange, b.nextChange)
		if next == never {
			break
		}
		a, b = p.decide(next, f, l), p.decide(next, f, &again)
		then, _ := stricterOf(&a, &b)
		if d.nextChange == never && (then.Verdict != d.Verdict || then.State != d.State || then.Need != d.Need) {
			d.nextChange = next
		}
		if d.nextBlock == never && then.Verdict == Block && !blocked {
			d.nextBlock = next
		}
		blocked = then.Verdict == Block
	}
	return d, second
}

// stricterOf is the stricter of two decisions, the first if they are equally strict, with what either says of the flow.
func stricterOf(a, b *Decision) (d Decision, second bool) {
	second = b.Verdict == Block && a.Verdict != Block || a.Verdict == b.Verdict && b.State > a.State
	d = *a
	if second {
		d = *b
	}
	if a.Would == Block || b.Would == Block {
		d.Would = Block
	}
	d.Governed = a.Governed || b.Governed
	return d, second
}
