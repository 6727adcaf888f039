package lint

import (
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

// longest is how far ahead a waiver may end without being told of.
const longest = 365 * 24 * time.Hour

var longWaiver = check{
	name: "waiver/long", severity: Warning, about: "a waiver that ends in more than a year",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		for i := range s.Policy.Operator().Waivers {
			if w := &s.Policy.Operator().Waivers[i]; w.Until.At.Sub(s.Now) > longest {
				found(w.Pos, "let it end sooner, and have its owner ask again", "waiver %s of %s ends at %s, in %s",
					w.ID, w.Owner, instant.FormatIn(w.Until.At, w.Until.Zone), days(w.Until.At.Sub(s.Now)))
			}
		}
	},
}
