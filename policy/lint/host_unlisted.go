package lint

import (
	"slices"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

var unlistedHost = check{
	name: "host/unlisted", severity: Info, about: "a rule or waiver for a name that no endpoint lists",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		op := s.Policy.Operator()
		unlisted := map[host.Name]bool{}
		look := func(t *policy.Target) {
			for _, n := range slices.Concat(t.Hosts, t.Zones) {
				if len(s.Policy.EndpointsAt(n, false)) == 0 {
					unlisted[n] = true
				}
			}
		}
		for i := range op.Rules {
			look(&op.Rules[i].Target)
		}
		for i := range op.Waivers {
			look(&op.Waivers[i].Target)
		}
		if len(unlisted) == 0 {
			return
		}
		for n := range s.Policy.Listed() { // what is listed below a zone is what the zone is for
			for up, ok := n, true; ok && !up.IsAddr(); up, ok = up.Parent() {
				delete(unlisted, up)
			}
		}
		tell := func(what, id string, pos policy.Pos, t *policy.Target) {
			for _, n := range slices.Concat(t.Hosts, t.Zones) {
				if unlisted[n] {
					found(pos, "check the spelling; it holds all the same", "%s %s names %s, which no endpoint lists", what, id, n)
				}
			}
		}
		for i := range op.Rules {
			tell("rule", op.Rules[i].ID, op.Rules[i].Pos, &op.Rules[i].Target)
		}
		for i := range op.Waivers {
			tell("waiver", op.Waivers[i].ID, op.Waivers[i].Pos, &op.Waivers[i].Target)
		}
	},
}
