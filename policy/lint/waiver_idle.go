package lint

import "github.com/gracegate/gracegate/policy"

var idleWaiver = check{
	name: "waiver/idle", severity: Warning, about: "a waiver that changes no decision",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		for i := range s.Policy.Operator().Waivers {
			if w := &s.Policy.Operator().Waivers[i]; !s.decides("waiver", w.ID) {
				found(w.Pos, "remove it; gracegate explain tells why what it names passes anyhow, or is blocked in spite of it",
					"waiver %s of %s lets nothing pass that would not pass without it, for any client and destination, at any time", w.ID, w.Owner)
			}
		}
	},
}
