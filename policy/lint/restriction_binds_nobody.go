package lint

import (
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

var bindsNobody = check{
	name: "restriction/binds-nobody", severity: Warning, about: "a restriction that the policy lists, and that binds no site and no person",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		all := s.Policy.Catalog().Restrictions
		for _, l := range s.Policy.Operator().Restrictions {
			i := slices.IndexFunc(all, func(r policy.Restriction) bool { return r.ID == l.ID })
			if i < 0 || l.Mode == policy.Off || s.binds(&all[i]) {
				continue
			}
			var binds []string
			for j := range all[i].Revisions {
				binds = append(binds, all[i].Revisions[j].Binds...)
			}
			slices.Sort(binds)
			found(l.Pos, "give the jurisdiction to a site or person, or take the restriction out",
				"%s binds %s, and no site or person here has that", l.ID, strings.Join(slices.Compact(binds), ", "))
		}
	},
}
