package policy

import (
	"iter"

	"github.com/gracegate/gracegate/policy/host"
)

// KnownHosts yields the hosts that endpoints of the catalogue and the operator list, or rules name, addresses among them, in no
// order and perhaps more than once. The ports and paths of endpoints do not matter, nor does what the policy makes of them.
//
// It takes time in proportion to the number of listed names.
func (p *Policy) KnownHosts() iter.Seq[host.Name] {
	return p.known(false, func(t *Target) []host.Name { return t.Hosts })
}

// KnownZones is [Policy.KnownHosts] for the zones.
func (p *Policy) KnownZones() iter.Seq[host.Name] {
	return p.known(true, func(t *Target) []host.Name { return t.Zones })
}

// Listed yields the hosts and zones that endpoints of the catalogue and the operator list, as KnownHosts and KnownZones do.
func (p *Policy) Listed() iter.Seq[host.Name] {
	return func(yield func(host.Name) bool) {
		for l := range p.index.Listed() {
			if !yield(l.Name()) {
				return
			}
		}
	}
}

// OwnedEndpoint is an endpoint, and whose it is.
type OwnedEndpoint struct {
	*Endpoint
	Vendor string
}

// EndpointsAt returns the endpoints that can match a host, or the names below a zone that nothing lists more closely, whatever the
// port and path, in the order of the files. Those of wider zones are among them unless closer ones always match.
func (p *Policy) EndpointsAt(n host.Name, zone bool) []OwnedEndpoint {
	var list []OwnedEndpoint
	for _, id := range p.index.Candidates(p.index.At(n, zone)) {
		e := p.endpoints.list[id]
		list = append(list, OwnedEndpoint{e.Endpoint, p.vendors[e.vendor].id})
	}
	return list
}

func (p *Policy) known(zones bool, of func(*Target) []host.Name) iter.Seq[host.Name] {
	return func(yield func(host.Name) bool) {
		for i := range p.op.Rules {
			for _, n := range of(&p.op.Rules[i].Target) {
				if !yield(n) {
					return
				}
			}
		}
		for l := range p.index.Listed() {
			if l.Zone == zones && !yield(l.Name()) {
				return
			}
		}
	}
}
