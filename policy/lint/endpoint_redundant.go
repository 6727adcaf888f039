package lint

import (
	"cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

var redundantEndpoint = check{
	name: "endpoint/redundant", severity: Warning, about: "an endpoint of which another already says the same",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		vendors := s.vendors()
		for i := range vendors {
			for j := range vendors[i].Endpoints {
				e := policy.OwnedEndpoint{Endpoint: &vendors[i].Endpoints[j], Vendor: vendors[i].ID}
				if by := s.instead(&e); by != nil {
					found(e.Pos, "remove it", "endpoint %s of %s says what the endpoint at %s says already", nameOf(e.Endpoint), e.Vendor, by.Pos)
				}
			}
		}
	},
}

// instead finds the endpoint by which every name of e would mean the same without e, the first where there are several; or nil. Those
// that are told by ports or paths, and lists, are not looked at.
func (s *Subject) instead(e *policy.OwnedEndpoint) (by *policy.OwnedEndpoint) {
	if !plain(e.Endpoint) || e.FromList != "" {
		return nil
	}
	for _, n := range e.Hosts {
		other := s.without(e, n, false)
		if other == nil {
			return nil
		}
		by = cmp.Or(by, other)
	}
	for _, n := range e.Zones {
		other := s.without(e, n, true)
		if other == nil {
			return nil
		}
		by = cmp.Or(by, other)
	}
	return by
}

// without finds the endpoint by which a name of e would mean the same without e.
func (s *Subject) without(e *policy.OwnedEndpoint, n host.Name, zone bool) *policy.OwnedEndpoint {
	here := s.Policy.EndpointsAt(n, zone) // e is plain, so all are of this very name
	alone, behind := true, false
	for i := range here {
		o := &here[i]
		if o.Endpoint == e.Endpoint {
			behind = true
			continue
		}
		alone = false
		// Endpoints of one name unite. Of two that say the same, the later one is told of.
		if plain(o.Endpoint) && kin(o, e) && e.Channels&^o.Channels == 0 && (!behind || o.Channels != e.Channels) {
			return o
		}
	}
	if !alone || n.IsAddr() {
		return nil
	}
	wider := n
	if zone {
		var ok bool
		if wider, ok = n.Parent(); !ok {
			return nil
		}
	}
	around := s.Policy.EndpointsAt(wider, true)
	for i := range around {
		if o := &around[i]; !plain(o.Endpoint) || !kin(o, e) || o.Channels != e.Channels {
			return nil
		}
	}
	if len(around) == 0 {
		return nil
	}
	return &around[0]
}

// plain tells that names alone tell an endpoint.
func plain(e *policy.Endpoint) bool { return len(e.Ports)+len(e.Paths) == 0 }

// kin tells that two endpoints differ in their channels at most.
func kin(a, b *policy.OwnedEndpoint) bool {
	return a.Vendor == b.Vendor && a.Pinned == b.Pinned
}

func nameOf(e *policy.Endpoint) string {
	if len(e.Hosts) > 0 {
		return e.Hosts[0].String()
	}
	return e.Zones[0].String()
}
