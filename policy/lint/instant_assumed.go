package lint

import (
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

var assumedInstant = check{
	name: "instant/assumed", severity: Info, about: "an instant of a block, or of the end of a permission, whose hour or zone its source does not state",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		for _, r := range s.restrictions() {
			look := func(at policy.Pos, what string, in *policy.Instant) {
				if in.Assumed != "" {
					found(r.at(at), "plan for the whole day before and after it, or set the instant yourself with a rule",
						"%s %s an assumed instant, %s: %s", r.ID, what, instant.FormatIn(in.At, in.Zone), in.Assumed)
				}
			}
			if text := s.text(r.Restriction); text != nil {
				for i := range text.Phases {
					if ph := &text.Phases[i]; ph.Effect == policy.EffectBlock {
						look(ph.Pos, "blocks from", &ph.From)
					}
				}
				for i := range text.Floors {
					look(text.Floors[i].Pos, "allows until at least", &text.Floors[i].AtLeastUntil)
				}
			}
			for i := range r.Stays {
				switch st := &r.Stays[i]; {
				case !s.sees(st.Published):
				case st.Lifts != "":
					look(st.Pos, "is no longer stayed ("+st.Lifts+") from", &st.From)
				case st.Until != nil:
					look(st.Pos, "is stayed ("+st.ID+") until", st.Until)
				}
			}
			for i := range r.Licences {
				if l := &r.Licences[i]; s.sees(l.Published) {
					look(l.Pos, "licenses ("+l.ID+") until", &l.Until)
				}
			}
		}
	},
}
