package lint

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

var overlappingSites = check{
	name: "site/overlap", severity: Info, about: "a site within the network of another that other jurisdictions bind",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		op := s.Policy.Operator()
		for _, pair := range enclosed(op.Sites) {
			inner, outer := &op.Sites[pair[0]], &op.Sites[pair[1]]
			if in, out := op.Binding(inner), op.Binding(outer); !slices.Equal(in, out) {
				found(inner.Pos, "the most specific network wins: check that this is meant",
					"site %s (bound by %s) lies in a network of site %s (bound by %s)", inner.Name, tags(in), outer.Name, tags(out))
			}
		}
	},
}

// enclosed lists the sites of which a network lies in one of another site, or in another of their own, each with the one whose network
// is the closest around.
func enclosed(sites []policy.Site) (pairs [][2]int) {
	type network struct {
		netip.Prefix
		site int
	}
	var all, around []network
	for i := range sites {
		for _, n := range sites[i].Networks {
			all = append(all, network{n, i})
		}
	}
	slices.SortFunc(all, func(a, b network) int { // a network behind all that hold it
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	known := map[[2]int]bool{}
	for _, n := range all {
		for len(around) > 0 && !around[len(around)-1].Contains(n.Addr()) {
			around = around[:len(around)-1]
		}
		if len(around) > 0 {
			if pair := [2]int{n.site, around[len(around)-1].site}; !known[pair] {
				known[pair] = true
				pairs = append(pairs, pair)
			}
		}
		around = append(around, n)
	}
	return pairs
}

func tags(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
