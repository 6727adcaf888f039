package lint

import (
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

var publicSuffix = check{
	name: "zone/public-suffix", severity: Error, about: "a zone below which anybody can have a name, such as com or co.uk",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		look := func(pos policy.Pos, what string, zones []host.Name) {
			for _, z := range zones {
				suffix, official := publicsuffix.PublicSuffix(z.String())
				listed := official || strings.Contains(suffix, ".") // a name of one label that the list does not have is somebody's own
				if listed && suffix == z.String() {
					found(pos, "name the zones of those who are meant", "%s names the zone %s, below which anybody can have a name", what, z)
				}
			}
		}
		vendors := s.vendors()
		for i := range vendors {
			for j := range vendors[i].Endpoints {
				look(vendors[i].Endpoints[j].Pos, "an endpoint of "+vendors[i].ID, vendors[i].Endpoints[j].Zones)
			}
		}
		if s.Catalog {
			for z := range s.Policy.KnownZones() { // those of lists are kept nowhere else
				for _, e := range s.Policy.EndpointsAt(z, true) {
					if e.FromList != "" {
						look(e.Pos, e.FromList+", a list of "+e.Vendor+",", []host.Name{z})
					}
				}
			}
		}
		op := s.Policy.Operator()
		for i := range op.Rules {
			look(op.Rules[i].Pos, "rule "+op.Rules[i].ID, op.Rules[i].Target.Zones)
		}
		for i := range op.Waivers {
			look(op.Waivers[i].Pos, "waiver "+op.Waivers[i].ID, op.Waivers[i].Target.Zones)
		}
	},
}
