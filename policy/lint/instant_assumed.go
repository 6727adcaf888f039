package lint

import (
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

var assumedInstant = check{
	name: "instant/assumed", severity: Info, about: "an instant whose hour or zone its source does not state",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		const hint = "plan for the whole day before and after it, or set the instant yourself with a rule"
		for _, r := range s.restrictions() {
			rev := r.Revisions[len(r.Revisions)-1]
			for i := range rev.Phases {
				if ph := &rev.Phases[i]; ph.From.Assumed != "" && ph.Effect == policy.EffectBlock {
					at := r.at
					if s.Catalog {
						at = ph.Pos
					}
					found(at, hint, "%s blocks from an assumed instant, %s: %s", r.ID, instant.FormatIn(ph.From.At, ph.From.Zone), ph.From.Assumed)
				}
			}
		}
	},
}
