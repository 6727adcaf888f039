package lint

import (
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

var bindsNobody = check{
	name: "restriction/binds-nobody", severity: Warning, about: "a restriction that is enforced, and binds no site and no person",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		op := s.Policy.Operator()
		bound := slices.Clone(op.DefaultSite.Jurisdictions)
		for i := range op.Sites {
			bound = append(bound, op.Sites[i].Jurisdictions...)
		}
		for i := range op.Persons {
			bound = append(bound, op.Persons[i].Jurisdictions...)
		}
		for _, l := range op.Restrictions {
			if l.Mode == policy.Off {
				continue
			}
			all := s.Policy.Catalog().Restrictions
			i := slices.IndexFunc(all, func(r policy.Restriction) bool { return r.ID == l.ID })
			if i < 0 {
				continue
			}
			var binds []string
			for j := range all[i].Revisions {
				binds = append(binds, all[i].Revisions[j].Binds...)
			}
			slices.Sort(binds)
			binds = slices.Compact(binds)
			if !slices.ContainsFunc(binds, func(tag string) bool { return slices.Contains(bound, tag) }) {
				found(l.Pos, "give the jurisdiction to a site or person, or take the restriction out",
					"%s binds %s, and no site or person here has that", l.ID, strings.Join(binds, ", "))
			}
		}
	},
}
