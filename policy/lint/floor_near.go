package lint

import (
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

// nearBy is how long before its end a floor is told of.
const nearBy = 90 * 24 * time.Hour

var nearFloor = check{
	name: "floor/near", severity: Warning, about: "a floor (until at least) that ends within 90 days, with nothing known of what comes after",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		for _, r := range s.restrictions() {
			floors := r.Revisions[len(r.Revisions)-1].Floors
			for i := range floors {
				left := floors[i].AtLeastUntil.At.Sub(s.Now)
				if left <= 0 || left > nearBy {
					continue
				}
				at := r.at
				if s.Catalog {
					at = floors[i].Pos
				}
				found(at, "look for an extension; settings.after-floor says what happens without one",
					"%s allows until at least %s, in %d days, and does not say what comes then",
					r.ID, instant.FormatIn(floors[i].AtLeastUntil.At, floors[i].AtLeastUntil.Zone), int(left.Hours()/24))
			}
		}
	},
}
