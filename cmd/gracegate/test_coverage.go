package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

// coverage is which parts of policies cases rest on: phases, floors, stays, licences and exemptions of restrictions that are not off,
// rules and waivers. A part is one however many policies have it.
type coverage struct {
	parts map[string]bool // by what people call it; whether a case rests on it
}

// expect adds the parts of a policy, as known at its horizon.
func (c *coverage) expect(p *policy.Policy) {
	if c.parts == nil {
		c.parts = map[string]bool{}
	}
	add := func(kind string, pos policy.Pos, name string) {
		if key := partKey(kind, pos, name); !c.has(key) {
			c.parts[key] = false
		}
	}
	known := func(at policy.Instant) bool { return p.KnownAt().Sees(at.At) }
	for i := range p.Catalog().Restrictions {
		r := &p.Catalog().Restrictions[i]
		if mode, _ := p.Mode(r.ID); mode == policy.Off {
			continue
		}
		for j := range r.Revisions {
			rev := &r.Revisions[j]
			if !known(rev.Published) {
				continue
			}
			for k := range rev.Phases {
				add("phase", rev.Phases[k].Pos, r.ID)
			}
			for k := range rev.Floors {
				add("floor", rev.Floors[k].Pos, r.ID)
			}
			if rev.Exempt != 0 {
				add("exemption", rev.ExemptPos, r.ID)
			}
		}
		for j := range r.Stays {
			if r.Stays[j].Lifts == "" && known(r.Stays[j].Published) {
				add("stay", r.Stays[j].Pos, r.ID)
			}
		}
		for j := range r.Licences {
			if known(r.Licences[j].Published) {
				add("licence", r.Licences[j].Pos, r.ID)
			}
		}
	}
	for i := range p.Operator().Rules {
		rule := &p.Operator().Rules[i]
		for j := range rule.Phases {
			add("rule", rule.Phases[j].Pos, rule.ID)
		}
	}
	for i := range p.Operator().Waivers {
		add("waiver", p.Operator().Waivers[i].Pos, p.Operator().Waivers[i].ID)
	}
}

func partKey(kind string, pos policy.Pos, name string) string {
	return fmt.Sprintf("%s of %s, %s", kind, name, pos)
}

// rests notes what an answer rests on, decisive or not.
func (c *coverage) rests(reasons []policy.Reason) {
	for i := range reasons {
		r := &reasons[i]
		name := r.Restriction
		if name == "" {
			name = r.ID
		}
		if key := partKey(r.Kind, r.Pos, name); c.has(key) {
			c.parts[key] = true
		}
	}
}

func (c *coverage) has(key string) bool {
	_, ok := c.parts[key]
	return ok
}

// percentage is how many parts of a hundred cases rest on; all, where there are none.
func (c *coverage) percentage() float64 {
	if len(c.parts) == 0 {
		return 100
	}
	n := 0
	for _, rests := range c.parts {
		if rests {
			n++
		}
	}
	return 100 * float64(n) / float64(len(c.parts))
}

func (c *coverage) writeText(b *strings.Builder) {
	fmt.Fprintf(b, "coverage %.1f %% of %d parts of the policy\n", c.percentage(), len(c.parts))
	for _, part := range slices.Sorted(maps.Keys(c.parts)) {
		if !c.parts[part] {
			fmt.Fprintf(b, "  no case rests on the %s\n", part)
		}
	}
}
