package lint

import (
	"slices"

	"github.com/gracegate/gracegate/policy"
)

var loosensOnly = check{
	name: "rule/loosens", severity: Error, about: "a rule without a block: a rule can only make stricter, so it does nothing",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		for i := range s.Policy.Operator().Rules {
			r := &s.Policy.Operator().Rules[i]
			if !slices.ContainsFunc(r.Phases, func(ph policy.Phase) bool { return ph.Effect == policy.EffectBlock }) {
				found(r.Pos, "to make an exception, write a waiver with its owner, reason and end", "rule %s never blocks, so it changes no decision", r.ID)
			}
		}
	},
}
