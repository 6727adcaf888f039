package lint

import (
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

var expiredWaiver = check{
	name: "waiver/expired", severity: Warning, about: "a waiver that has ended",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		for i := range s.Policy.Operator().Waivers {
			if w := &s.Policy.Operator().Waivers[i]; !s.Now.Before(w.Until.At) {
				found(w.Pos, "remove it, or have its owner ask again", "waiver %s of %s ended at %s", w.ID, w.Owner, instant.FormatIn(w.Until.At, w.Until.Zone))
			}
		}
	},
}
