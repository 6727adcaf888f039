package policy

import (
	"slices"

	"github.com/gracegate/gracegate/policy/match"
)

// voices are rules and waivers of the operator, by their index, in order.
type voices struct{ rules, waivers []int }

// everyone are all rules and waivers.
func (op *Operator) everyone() voices {
	v := voices{rules: make([]int, len(op.Rules)), waivers: make([]int, len(op.Waivers))}
	for i := range v.rules {
		v.rules[i] = i
	}
	for i := range v.waivers {
		v.waivers[i] = i
	}
	return v
}

// whose leaves those of certain targets.
func (v voices) whose(op *Operator, target func(*Target) bool) (left voices) {
	for _, i := range v.rules {
		if target(&op.Rules[i].Target) {
			left.rules = append(left.rules, i)
		}
	}
	for _, i := range v.waivers {
		if target(&op.Waivers[i].Target) {
			left.waivers = append(left.waivers, i)
		}
	}
	return left
}

// byVendor leaves those that pick traffic by vendor and channel, and not by its name.
func (v voices) byVendor(op *Operator) voices {
	return v.whose(op, func(t *Target) bool { return t.Vendor != "" })
}

// about leaves, of those that are heard, the ones that pick one of the units, or name the name.
func (v voices) about(p *Policy, units []unit) voices {
	return v.whose(p.op, func(t *Target) bool { return p.picksAny(t, units) })
}

// within leaves those that hold in a scope.
func (v voices) within(sc *scope) voices {
	return voices{rules: common(v.rules, sc.rules), waivers: common(v.waivers, sc.waivers)}
}

// with adds others.
func (v voices) with(others voices) voices {
	return voices{rules: merge(v.rules, others.rules), waivers: merge(v.waivers, others.waivers)}
}

// heard are those that have a say about names of a set, for clients of a scope: by vendor, or because they name the name.
func (p *Policy) heard(scope uint32, set match.SetID) voices {
	return p.byVendor[scope].with(p.named[set].within(&p.scopes.list[scope]))
}

// bounds are the instants at which they begin or end.
func (v voices) bounds(op *Operator) (list []int64) {
	for _, i := range v.rules {
		for j := range op.Rules[i].Phases {
			list = append(list, nanos(op.Rules[i].Phases[j].From.At))
		}
	}
	for _, i := range v.waivers {
		w := &op.Waivers[i]
		if w.From != nil {
			list = append(list, nanos(w.From.At))
		}
		list = append(list, nanos(w.Until.At))
	}
	return list
}

// picks tells whether a rule or waiver that is heard is about the unit: it names the name, or the unit's vendor and channel. A nil
// unit stands for a name that no endpoint carries.
func (p *Policy) picks(t *Target, u *unit) bool {
	return t.Vendor == "" || u != nil && p.vendors[u.vendor].id == t.Vendor && (t.Channels == 0 || t.Channels.Has(u.channel))
}

func (p *Policy) picksAny(t *Target, units []unit) bool {
	return p.picks(t, nil) || slices.ContainsFunc(units, func(u unit) bool { return p.picks(t, &u) })
}

func common(a, b []int) []int {
	var both []int
	for _, i := range a {
		if _, ok := slices.BinarySearch(b, i); ok {
			both = append(both, i)
		}
	}
	return both
}
