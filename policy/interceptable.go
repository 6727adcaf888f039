package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

// Interceptable lists the names for which the policy may come to need the request: what a restriction or rule could block, at
// whatever instant, in whatever mode, as known at whatever horizon. They are for the name constraints of a CA, so that another
// date, mode or block-page takes no new CA; another rule, vendor, default or revision of a restriction may. What every text
// exempts is not in the list.
//
// Each stands for itself and every name below it, whether a host or a zone lists it, as a DNS constraint does (RFC 5280,
// section 4.2.1.10). None lies below another. They are sorted; addresses are not among them.
//
// What only pinned endpoints carry is not in the list, nor is what nothing but a final rule could block, without one. But a
// pinned host may lie below a name that is in it: constraints cannot carve it out without excluded subtrees, so the CA could sign
// for it. It never does, since Need is never NeedRequest for a pinned name.
//
// It takes time in proportion to the number of listed names (a second or two for a million), and is for start-up and reloads.
func (p *Policy) Interceptable() []host.Name {
	found := make(map[host.Name]struct{})
	// A rule that names a zone reaches into it also where the zone as such is pinned or protected.
	var within []*Rule
	for i := range p.op.Rules {
		r := &p.op.Rules[i]
		if !r.couldBlock() {
			continue
		}
		for _, n := range r.Target.Hosts {
			if !n.IsAddr() && p.couldName(p.index.At(n, false), r) {
				found[n] = struct{}{}
			}
		}
		for _, n := range r.Target.Zones {
			if p.couldName(p.index.At(n, true), r) {
				found[n] = struct{}{}
			} else if !slices.Contains(within, r) {
				within = append(within, r)
			}
		}
	}
	reachable := p.reachableClasses()
	for l := range p.index.Listed() {
		could := false
		for c := range p.index.Classes(l) {
			could = could || reachable[c]
		}
		if !could && len(within) == 0 {
			continue
		}
		n := l.Name()
		could = could || slices.ContainsFunc(within, func(r *Rule) bool {
			return slices.ContainsFunc(r.Target.Zones, n.Within) && p.couldName(l, r)
		})
		if could && !n.IsAddr() {
			found[n] = struct{}{}
		}
	}
	return outermost(found)
}

// outermost drops the names that lie below others, and sorts the rest.
func outermost(names map[host.Name]struct{}) []host.Name {
	list := slices.Collect(maps.Keys(names))
	list = slices.DeleteFunc(list, func(n host.Name) bool {
		for zone, ok := n.Parent(); ok; zone, ok = zone.Parent() {
			if _, listed := names[zone]; listed {
				return true
			}
		}
		return false
	})
	slices.SortFunc(list, func(a, b host.Name) int { return strings.Compare(a.String(), b.String()) })
	return list
}

// reachableClasses tells, by class, whether the request could be needed for it without a rule that names the name itself.
func (p *Policy) reachableClasses() []bool {
	restricted := make([]ChannelSet, len(p.vendors))
	for v := range p.vendors {
		restricted[v] = p.catalog.blocks(p.vendors[v].id)
	}
	blockable := func(c *class, u *unit) bool {
		if restricted[u.vendor].Has(u.channel) && !c.neverBlock {
			return true
		}
		return slices.ContainsFunc(p.op.Rules, func(r Rule) bool {
			return r.Target.Vendor != "" && r.couldBlock() && (r.Final || !c.neverBlock) && p.picks(&r.Target, u)
		})
	}
	// Whether it is an endpoint at all can matter, too: elsewhere the default may block.
	byDefault := p.op.Settings.Default == Block
	reachable := make([]bool, len(p.classes))
	for i := range p.classes {
		c := &p.classes[i]
		reachable[i] = !c.pinned && (byDefault && slices.Contains(c.outcomes, match.Unmatched) || slices.ContainsFunc(p.meanings(c), func(m *class) bool {
			return slices.ContainsFunc(m.units, func(u unit) bool { return blockable(m, &u) })
		}))
	}
	return reachable
}

// couldName tells whether a rule that names a name can call for the request there.
func (p *Policy) couldName(l match.Listed, r *Rule) bool {
	for id := range p.index.Classes(l) {
		c := &p.classes[id]
		if !c.pinned && slices.ContainsFunc(p.meanings(c), func(m *class) bool { return r.Final || !m.neverBlock }) {
			return true
		}
	}
	return false
}

// meanings lists what a class can come to once the path is seen.
func (p *Policy) meanings(c *class) []*class {
	if c.outcomes == nil {
		return []*class{c}
	}
	list := make([]*class, len(c.outcomes))
	for i, id := range c.outcomes {
		list[i] = &p.classes[id]
	}
	return list
}

// couldBlock tells whether any phase of the rule blocks.
func (r *Rule) couldBlock() bool {
	return slices.ContainsFunc(r.Phases, func(ph Phase) bool { return ph.Effect == EffectBlock })
}

// blocks returns the channels of a vendor that any revision of any restriction blocks at some time, or leaves to the operator
// after a floor, whether or not the policy looks at it.
func (c *Catalog) blocks(vendor string) (all ChannelSet) {
	for i := range c.Restrictions {
		for j := range c.Restrictions[i].Revisions {
			r := &c.Restrictions[i].Revisions[j]
			if !slices.Contains(r.Vendors, vendor) {
				continue
			}
			var blocked ChannelSet
			for k := range r.Phases {
				if r.Phases[k].Effect == EffectBlock {
					blocked |= r.Phases[k].Channels
				}
			}
			for k := range r.Floors {
				blocked |= r.Floors[k].Channels
			}
			all |= blocked &^ r.Exempt
		}
	}
	return all
}
