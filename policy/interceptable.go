package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

// Interceptable returns the names that a CA for interception must be able to sign for, each standing for all names below it:
// every endpoint's that a restriction or rule could block at any time, for anybody, whatever the modes are now. What is pinned is
// not among them; where it lies below a name that is, Need never asks for it. Nor are addresses, or the names of a list, which may
// be a million: an operator who wants one of those intercepted names it, or its zone, in a rule or an endpoint of its own.
//
// The names are in order, none below another.
func (p *Policy) Interceptable() []host.Name {
	pinned := make(map[host.Name]bool)
	found := make(map[host.Name]bool)
	for i := range p.endpoints.list {
		e := &p.endpoints.list[i]
		names := slices.Concat(e.Hosts, e.Zones)
		switch {
		case e.Pinned:
			for _, n := range names {
				pinned[n] = true
			}
		case e.FromList == "" && p.blockable(e):
			for _, n := range names {
				found[n] = true
			}
		}
	}
	for i := range p.op.Rules {
		for _, n := range slices.Concat(p.op.Rules[i].Target.Hosts, p.op.Rules[i].Target.Zones) {
			found[n] = found[n] || !pinned[n]
		}
	}
	var list []host.Name
	for n, wanted := range found {
		if wanted && !n.IsAddr() && !belowOne(n, found) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b host.Name) int { return cmp.Compare(a.String(), b.String()) })
	return list
}

// belowOne tells whether a name above n is in the set.
func belowOne(n host.Name, set map[host.Name]bool) bool {
	for up, ok := n.Parent(); ok; up, ok = up.Parent() {
		if set[up] {
			return true
		}
	}
	return false
}

// blockable tells whether any restriction or rule blocks a channel of an endpoint at any time.
func (p *Policy) blockable(e *endpointRef) bool {
	vendor := p.vendors[e.vendor].id
	for _, c := range e.Channels.List() {
		for i := range p.op.Rules {
			r := &p.op.Rules[i]
			if r.Target.Vendor == vendor && (r.Target.Channels == 0 || r.Target.Channels.Has(c)) && (r.Final || e.Channels&neverBlock == 0) {
				return true
			}
		}
		if e.Channels&neverBlock != 0 {
			continue
		}
		for i := range p.catalog.Restrictions {
			if slices.ContainsFunc(p.catalog.Restrictions[i].Revisions, func(r Revision) bool { return r.blocks(vendor, c) }) {
				return true
			}
		}
	}
	return false
}

// blocks tells whether a text blocks a vendor's channel at any time, or leaves it to the operator to do so.
func (r *Revision) blocks(vendor string, c Channel) bool {
	if !slices.Contains(r.Vendors, vendor) || r.Exempt.Has(c) {
		return false
	}
	return slices.ContainsFunc(r.Phases, func(ph Phase) bool { return ph.Effect == EffectBlock && ph.Channels.Has(c) }) ||
		slices.ContainsFunc(r.Floors, func(f Floor) bool { return f.Channels.Has(c) })
}

// maxUnmet bounds what Unmet tells of.
const maxUnmet = 100

// Unmet tells of endpoints that the policy would have to see more of than it may, since they are pinned: at some time, for some
// client, the path would decide, or a page is to be shown for a blocked name. In the order of their files, 100 at most.
func (p *Policy) Unmet() []Problem {
	pages := p.op.Settings.BlockPage
	var list []Problem
	for i := range p.endpoints.list {
		e := &p.endpoints.list[i]
		if len(list) == maxUnmet {
			break
		}
		if !e.Pinned || e.fingerprint() {
			continue
		}
		for _, n := range slices.Concat(e.Hosts, e.Zones) {
			unseen, blocked := p.everWanting(p.index.Lookup(n, portOf(e)))
			problem := Problem{Pos: e.Pos}
			switch {
			case unseen:
				problem.Message = fmt.Sprintf("endpoint %s is pinned, and its path would decide at times: unseen.request decides in its place", n)
				problem.Hint = "a rule that names the host decides without its path"
			case blocked && pages:
				problem.Message = fmt.Sprintf("endpoint %s is pinned, and blocked at times: settings.block-page shows no page for it", n)
				problem.Hint = "its clients check the certificate themselves: they get the refusal of the CONNECT"
			default:
				continue
			}
			list = append(list, problem)
			break // one an endpoint
		}
	}
	return list
}

func portOf(e *endpointRef) uint16 {
	if len(e.Ports) > 0 {
		return e.Ports[0].First
	}
	return 443
}

// everWanting tells whether, for any client at any time, the path of a class would decide, or its name is blocked.
func (p *Policy) everWanting(c match.ClassID) (unseen, blocked bool) {
	for _, row := range p.rows {
		for _, s := range p.timelines[row[c]].spans {
			unseen = unseen || s.state == Unseen
			blocked = blocked || s.verdict == Block && s.byName()
		}
	}
	return unseen, blocked
}
