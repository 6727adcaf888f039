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
			text := s.text(r.Restriction)
			if text == nil {
				continue
			}
			for i := range text.Floors {
				f := &text.Floors[i]
				left := f.AtLeastUntil.At.Sub(s.Now)
				if left <= 0 || left > nearBy || unanswered(text, f) == 0 {
					continue
				}
				found(r.at(f.Pos), "look for an extension; settings.after-floor says what happens without one",
					"%s allows until at least %s, in %s, and does not say what comes then",
					r.ID, instant.FormatIn(f.AtLeastUntil.At, f.AtLeastUntil.Zone), days(left))
			}
		}
	},
}

// unanswered are the channels of a floor of which the text does not say what comes at its end: neither exempt, nor under a later floor,
// nor under a phase that begins then.
func unanswered(text *policy.Revision, f *policy.Floor) policy.ChannelSet {
	left := f.Channels &^ text.Exempt
	for i := range text.Floors {
		if text.Floors[i].AtLeastUntil.At.After(f.AtLeastUntil.At) {
			left &^= text.Floors[i].Channels
		}
	}
	for i := range text.Phases {
		if text.Phases[i].From.At.Equal(f.AtLeastUntil.At) {
			left &^= text.Phases[i].Channels
		}
	}
	return left
}
