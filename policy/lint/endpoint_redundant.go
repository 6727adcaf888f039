package lint

import (
	"slices"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

var redundantEndpoint = check{
	name: "endpoint/redundant", severity: Warning, about: "an endpoint of which another already says the same",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		all := plainEndpoints(slices.Concat(s.Policy.Catalog().Vendors, s.Policy.Operator().Vendors))
		for _, e := range plainEndpoints(s.vendors()) {
			var by *owned
			covered := true
			for _, n := range e.Hosts {
				covered = covered && coveredBy(all, &e, n, false, &by)
			}
			for _, n := range e.Zones {
				covered = covered && coveredBy(all, &e, n, true, &by)
			}
			if covered && by != nil {
				found(e.Pos, "remove it", "endpoint %s of %s says what the endpoint at %s says already", nameOf(&e), e.vendor, by.Pos)
			}
		}
	},
}

// owned is an endpoint with its vendor.
type owned struct {
	*policy.Endpoint
	vendor string
}

// plainEndpoints are those that names alone tell, without ports and paths.
func plainEndpoints(vendors []policy.Vendor) (list []owned) {
	for i := range vendors {
		for j := range vendors[i].Endpoints {
			e := &vendors[i].Endpoints[j]
			if e.FromList == "" && len(e.Ports)+len(e.Paths) == 0 && len(e.Hosts)+len(e.Zones) > 0 {
				list = append(list, owned{e, vendors[i].ID})
			}
		}
	}
	return list
}

// coveredBy finds what would match a name were e not there, and tells whether that means the same.
func coveredBy(all []owned, e *owned, n host.Name, zone bool, by **owned) bool {
	closest := -1
	same := false
	for i := range all {
		o := &all[i]
		if o.Endpoint == e.Endpoint {
			continue
		}
		if !zone && slices.Contains(o.Hosts, n) {
			closest, same, *by = 1<<16, alike(o, e), o
		}
		for _, z := range o.Zones {
			if length := len(z.String()); n.Within(z) && length > closest {
				closest, same, *by = length, alike(o, e), o
			}
		}
	}
	return same
}

func alike(a, b *owned) bool {
	return a.vendor == b.vendor && a.Channels == b.Channels && a.Pinned == b.Pinned && a.LowTrust == b.LowTrust
}

func nameOf(e *owned) string {
	if len(e.Hosts) > 0 {
		return e.Hosts[0].String()
	}
	return e.Zones[0].String()
}
