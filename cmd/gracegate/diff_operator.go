package main

import (
	"fmt"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

// aspect is one thing that a text of the operator's says, in words.
type aspect struct{ name, text string }

// compareOperators tells what differs between the texts of two operators.
func compareOperators(a, b *policy.Operator, add func(kind, id, change string)) {
	tell := func(kind string) func(id, change string) {
		return func(id, change string) { add(kind, id, change) }
	}
	compareLists(a.Vendors, b.Vendors, func(v policy.Vendor) string { return v.ID }, tell("vendor"))
	compareAspects(a.Sites, b.Sites, func(s policy.Site) string { return s.Name }, siteAspects, tell("site"))
	compareAspects(a.Persons, b.Persons, func(p policy.Person) string { return p.Name }, personAspects, tell("person"))
	compareAspects(a.Rules, b.Rules, func(r policy.Rule) string { return r.ID }, ruleAspects, tell("rule"))
	compareAspects(a.Waivers, b.Waivers, func(w policy.Waiver) string { return w.ID }, waiverAspects, tell("waiver"))
	compareSettings(a, b, tell("setting"))
}

// compareAspects tells what only one list has, and in which aspects what both have is another.
func compareAspects[T any](old, new []T, id func(T) string, of func(*T) []aspect, tell func(id, change string)) {
	for _, pair := range compareLists(old, new, id, tell) {
		was, is := of(&pair[0]), of(&pair[1])
		for i := range was {
			if was[i] != is[i] {
				tell(id(pair[1]), fmt.Sprintf("%s %s, then %s", is[i].name, orNothing(was[i].text), orNothing(is[i].text)))
			}
		}
	}
}

func orNothing(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func siteAspects(s *policy.Site) []aspect {
	return []aspect{
		{"networks", strings.Join(clientTexts(&policy.Clients{Networks: s.Networks}), ", ")},
		{"jurisdictions", strings.Join(s.Jurisdictions, ", ")},
		{"relay", fmt.Sprint(s.Relay)},
		{"serves", strings.Join(s.Serves, ", ")},
	}
}

func personAspects(p *policy.Person) []aspect {
	return []aspect{
		{"clients", strings.Join(clientTexts(&p.Clients), ", ")},
		{"users", strings.Join(p.Clients.Users, ", ")},
		{"jurisdictions", strings.Join(p.Jurisdictions, ", ")},
	}
}

func ruleAspects(r *policy.Rule) []aspect {
	var phases []string
	for i := range r.Phases {
		phases = append(phases, fmt.Sprintf("%s from %s", r.Phases[i].Effect, zoned(r.Phases[i].From.At, r.Phases[i].From.Zone)))
	}
	return []aspect{
		{"picks", targetText(&r.Target)},
		{"sites", strings.Join(r.Sites, ", ")},
		{"phases", strings.Join(phases, ", ")},
		{"final", fmt.Sprint(r.Final)},
		{"reason", r.Reason},
	}
}

func waiverAspects(w *policy.Waiver) []aspect {
	from := ""
	if w.From != nil {
		from = zoned(w.From.At, w.From.Zone)
	}
	return []aspect{
		{"for", whoText(w)},
		{"passes", targetText(&w.Target)},
		{"from", from},
		{"until", zoned(w.Until.At, w.Until.Zone)},
		{"owner", w.Owner},
		{"reason", w.Reason},
	}
}

// compareSettings tells which settings differ, in the words of the file.
func compareSettings(old, new *policy.Operator, tell func(id, change string)) {
	bound := func(op *policy.Operator) string { return orNothing(strings.Join(op.DefaultSite.Jurisdictions, ", ")) }
	a, b := &old.Settings, &new.Settings
	multi := map[bool]string{false: "any", true: "all"}
	floor := map[policy.Verdict]string{policy.Allow: "warn", policy.Block: "block"}
	for _, s := range []struct {
		id       string
		old, new any
	}{
		{"default-site", bound(old), bound(new)},
		{"mode", a.Mode, b.Mode},
		{"default", a.Default, b.Default},
		{"multi-channel", multi[a.AllOf], multi[b.AllOf]},
		{"after-floor", floor[a.AfterFloor], floor[b.AfterFloor]},
		{"block-page", a.BlockPage, b.BlockPage},
		{"warn-before", a.WarnBefore, b.WarnBefore},
		{"unseen.address", a.Unseen.Address, b.Unseen.Address},
		{"unseen.no-sni", a.Unseen.NoSNI, b.Unseen.NoSNI},
		{"unseen.not-tls", a.Unseen.NotTLS, b.Unseen.NotTLS},
		{"unseen.ech", a.Unseen.ECH, b.Unseen.ECH},
		{"unseen.mismatch", a.Unseen.Mismatch, b.Unseen.Mismatch},
		{"unseen.unreadable", a.Unseen.Unreadable, b.Unseen.Unreadable},
		{"unseen.request", a.Unseen.Request, b.Unseen.Request},
	} {
		if s.old != s.new {
			tell(s.id, fmt.Sprintf("%v, then %v", s.old, s.new))
		}
	}
}
