package lint

import (
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

var overlappingSites = check{
	name: "site/overlap", severity: Info, about: "a site within the network of another that other jurisdictions bind",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		sites := s.Policy.Operator().Sites
		for i := range sites {
			inner := &sites[i]
			for j := range sites {
				outer := &sites[j]
				if i != j && !slices.Equal(sorted(inner.Jurisdictions), sorted(outer.Jurisdictions)) && within(inner, outer) {
					found(inner.Pos, "the most specific network wins: check that this is meant",
						"site %s (bound by %s) lies in a network of site %s (bound by %s)", inner.Name, tags(inner.Jurisdictions), outer.Name, tags(outer.Jurisdictions))
				}
			}
		}
	},
}

func within(inner, outer *policy.Site) bool {
	for _, n := range inner.Networks {
		for _, o := range outer.Networks {
			if o.Bits() < n.Bits() && o.Contains(n.Addr()) {
				return true
			}
		}
	}
	return false
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func tags(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(sorted(list), ", ")
}
