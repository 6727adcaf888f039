package lint

import (
	"slices"

	"github.com/gracegate/gracegate/policy"
)

var shadowedRule = check{
	name: "rule/shadowed", severity: Warning, about: "a rule that blocks, and never decides, since others always do",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		for i := range s.Policy.Operator().Rules {
			r := &s.Policy.Operator().Rules[i]
			blocks := slices.ContainsFunc(r.Phases, func(ph policy.Phase) bool { return ph.Effect == policy.EffectBlock })
			if blocks && !s.decides("rule", r.ID) {
				found(r.Pos, "gracegate explain tells what decides instead; remove the rule, or order it before (final: true)",
					"rule %s is never what decides, for any client and destination, at any time", r.ID)
			}
		}
	},
}
