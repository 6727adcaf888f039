package lint

import (
	"slices"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

var unlistedHost = check{
	name: "host/unlisted", severity: Info, about: "a rule or waiver for a name that no endpoint lists",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		asker := s.Policy.Askers()[0]
		look := func(what, id string, pos policy.Pos, t *policy.Target) {
			for _, n := range append(append([]host.Name(nil), t.Hosts...), t.Zones...) {
				d := policy.Destination{Host: n, Port: 443}
				f := d.Facts(&asker)
				e := s.Policy.Explain(s.Now, &f)
				if e.Vendor == "" && !lists(s, n) {
					found(pos, "check the spelling; it holds all the same", "%s %s names %s, which no endpoint lists", what, id, n)
				}
			}
		}
		op := s.Policy.Operator()
		for i := range op.Rules {
			look("rule", op.Rules[i].ID, op.Rules[i].Pos, &op.Rules[i].Target)
		}
		for i := range op.Waivers {
			look("waiver", op.Waivers[i].ID, op.Waivers[i].Pos, &op.Waivers[i].Target)
		}
	},
}

// lists tells whether an endpoint lists anything in a zone.
func lists(s *Subject, zone host.Name) bool {
	for _, v := range [][]policy.Vendor{s.Policy.Catalog().Vendors, s.Policy.Operator().Vendors} {
		for i := range v {
			for j := range v[i].Endpoints {
				e := &v[i].Endpoints[j]
				if slices.ContainsFunc(slices.Concat(e.Hosts, e.Zones), func(n host.Name) bool { return n.Within(zone) }) {
					return true
				}
			}
		}
	}
	return false
}
