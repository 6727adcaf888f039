package policy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gracegate/gracegate/policy/match"
)

// maxUnmet bounds what Unmet returns.
const maxUnmet = 100

// Unmet tells what the policy would need to see but must not: each pinned endpoint whose names are, at some instant and for some
// client, judged by a path that stays unseen, or, with block-page, blocked by name without a page. There is one problem an
// endpoint, by place, of at most 100; one more tells how many are left out. Like Interceptable, it is for start-up and reloads.
func (p *Policy) Unmet() []Problem {
	u := &unmet{p: p, known: make(map[unmetKey]unmetBy), found: make(map[match.EntryID]unmetBy)}
	for l := range p.index.Listed() {
		u.look(l)
	}
	for i := range p.op.Rules {
		for _, n := range p.op.Rules[i].Target.Hosts {
			u.look(p.index.At(n, false))
		}
		for _, n := range p.op.Rules[i].Target.Zones {
			u.look(p.index.At(n, true))
		}
	}
	return u.problems()
}

// unmetBy says why a pinned endpoint would have to be seen.
type unmetBy uint8

const (
	unmetPath unmetBy = 1 << iota
	unmetPage
)

type unmetKey struct {
	set   match.SetID
	class match.ClassID
}

type unmet struct {
	p     *Policy
	known map[unmetKey]unmetBy
	found map[match.EntryID]unmetBy
}

// look finds the pinned endpoints of a host, or below a zone, that would have to be seen there.
func (u *unmet) look(l match.Listed) {
	for id := range u.p.index.Classes(l) {
		c := &u.p.classes[id]
		if !c.pinned {
			continue
		}
		key := unmetKey{class: id}
		if l.Zone {
			key.set = u.p.selections.Below(l.Name())
		} else {
			key.set = u.p.selections.Lookup(l.Name())
		}
		if by := u.by(key); by != 0 {
			u.mark(l, c, by)
		}
	}
}

// by tells why names of a set and class would have to be seen, over all instants and scopes.
func (u *unmet) by(key unmetKey) (by unmetBy) {
	by, ok := u.known[key]
	if ok {
		return by
	}
	var last *timeline
	for scope := range u.p.scopes.list {
		t := u.p.timeline(uint32(scope), key.set, key.class)
		if t == last {
			continue
		}
		last = t
		for i := range t.spans {
			switch x := &t.spans[i].cell; {
			case x.state == Unseen:
				by |= unmetPath
			case x.byName() && x.verdict == Block && u.p.op.Settings.BlockPage:
				by |= unmetPage
			}
		}
	}
	u.known[key] = by
	return by
}

// mark notes the pinned endpoints that give a class its meaning at a name.
func (u *unmet) mark(l match.Listed, c *class, by unmetBy) {
	endpoints := u.p.endpoints.list
	for _, id := range u.p.index.Candidates(l) {
		if endpoints[id].Pinned && slices.Contains(c.pinnedBy, endpoints[id].meaning) {
			u.found[id] |= by
		}
	}
}

// problems puts what was found into words.
func (u *unmet) problems() []Problem {
	var list Problems
	for _, id := range slices.Sorted(maps.Keys(u.found)) {
		e := u.p.endpoints.list[id]
		if u.found[id]&unmetPath != 0 {
			list.Add(e.Pos, "give it one verdict by name, with a rule or a waiver for its hosts; until then settings.unseen.request decides",
				"endpoint %q is pinned and judged by its path at times: it is never intercepted, so the path stays unseen (request: %s)",
				e.label(), u.p.op.Settings.Unseen.Request)
		} else {
			list.Add(e.Pos, "its clients see a refused connection; drop pinned only if they accept the gateway's certificates",
				"endpoint %q is pinned and blocked by name at times: it is never intercepted, so no page is shown", e.label())
		}
	}
	list = list.sorted()
	if left := len(list) - maxUnmet; left > 0 {
		list = append(list[:maxUnmet], Problem{
			Pos: u.p.op.Pos, Message: fmt.Sprintf("%d more endpoints are pinned and would have to be intercepted at times", left),
		})
	}
	return list
}

// label is what people call an endpoint: its first name, or its list.
func (e *Endpoint) label() string {
	switch {
	case e.FromList != "":
		return e.FromList
	case len(e.Hosts) > 0:
		return e.Hosts[0].String()
	case len(e.Zones) > 0:
		return e.Zones[0].String()
	}
	return ""
}
