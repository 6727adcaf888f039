package main

import (
	"fmt"
	"slices"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

// textChange is something that one policy has and the other has not, or has otherwise.
type textChange struct {
	Kind   string `json:"kind"` // restriction, site, person, vendor, rule, waiver, setting
	ID     string `json:"id"`
	Change string `json:"change"` // added, removed, or what is different
}

// compareTexts lists what differs between the texts, whether or not it makes a difference.
func compareTexts(old, new *policy.Policy) []textChange {
	var list []textChange
	add := func(kind, id, change string) { list = append(list, textChange{kind, id, change}) }
	restrictions := compareLists(old.Catalog().Restrictions, new.Catalog().Restrictions, func(r policy.Restriction) string { return r.ID }, func(id, change string) {
		add("restriction", id, change)
	})
	for _, pair := range restrictions {
		for _, change := range revised(&pair[0], &pair[1]) {
			add("restriction", pair[0].ID, change)
		}
		a, _ := old.Mode(pair[0].ID)
		if b, _ := new.Mode(pair[0].ID); a != b {
			add("restriction", pair[0].ID, fmt.Sprintf("mode %s, then %s", a, b))
		}
	}
	same := func(kind string) func(id, change string) {
		return func(id, change string) { add(kind, id, change) }
	}
	a, b := old.Operator(), new.Operator()
	compareLists(old.Catalog().Vendors, new.Catalog().Vendors, func(v policy.Vendor) string { return v.ID }, same("vendor"))
	compareLists(a.Sites, b.Sites, func(s policy.Site) string { return s.Name }, same("site"))
	compareLists(a.Persons, b.Persons, func(p policy.Person) string { return p.Name }, same("person"))
	compareLists(a.Rules, b.Rules, func(r policy.Rule) string { return r.ID }, same("rule"))
	compareLists(a.Waivers, b.Waivers, func(w policy.Waiver) string { return w.ID }, same("waiver"))
	compareSettings(&a.Settings, &b.Settings, same("setting"))
	return list
}

// compareLists tells which ids only one list has, and returns what both have, in the order of the new one.
func compareLists[T any](old, new []T, id func(T) string, tell func(id, change string)) (both [][2]T) {
	was, is := map[string]T{}, map[string]bool{}
	for _, x := range new {
		is[id(x)] = true
	}
	for _, x := range old {
		if was[id(x)] = x; !is[id(x)] {
			tell(id(x), "removed")
		}
	}
	for _, x := range new {
		if before, known := was[id(x)]; known {
			both = append(both, [2]T{before, x})
		} else {
			tell(id(x), "added")
		}
	}
	return both
}

// revised tells what was published of a restriction in one catalogue and not in the other.
func revised(old, new *policy.Restriction) []string {
	var list []string
	published := func(r *policy.Restriction) (all []string) {
		for i := range r.Revisions {
			all = append(all, "text of "+instant.Format(r.Revisions[i].Published.At))
		}
		for i := range r.Stays {
			all = append(all, "stay "+r.Stays[i].ID+r.Stays[i].Lifts+" of "+instant.Format(r.Stays[i].Published.At))
		}
		for i := range r.Licences {
			all = append(all, "licence "+r.Licences[i].ID+" of "+instant.Format(r.Licences[i].Published.At))
		}
		return all
	}
	a, b := published(old), published(new)
	for _, text := range a {
		if !slices.Contains(b, text) {
			list = append(list, text+" removed")
		}
	}
	for _, text := range b {
		if !slices.Contains(a, text) {
			list = append(list, text+" added")
		}
	}
	return list
}

// compareSettings tells which settings differ, in the words of the file.
func compareSettings(a, b *policy.Settings, tell func(id, change string)) {
	multi := map[bool]string{false: "any", true: "all"}
	floor := map[policy.Verdict]string{policy.Allow: "warn", policy.Block: "block"}
	for _, s := range []struct {
		id       string
		old, new any
	}{
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
