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
	vendor := func(v policy.Vendor) string { return v.ID }
	compareLists(old.Catalog().Vendors, new.Catalog().Vendors, vendor, func(id, change string) { add("vendor", id, change) })
	compareOperators(old.Operator(), new.Operator(), add)
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
