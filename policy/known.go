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
