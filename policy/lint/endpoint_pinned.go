package lint

import "github.com/gracegate/gracegate/policy"

var pinnedEndpoint = check{
	name: "endpoint/pinned", severity: Warning, about: "a pinned endpoint that the policy would have to intercept",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		for _, p := range s.Policy.Unmet() {
			found(p.Pos, p.Hint, "%s", p.Message)
		}
	},
}
