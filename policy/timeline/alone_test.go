package timeline_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/timeline"
)

// aloneText has a rule, a waiver and a site's client that say something else than the restrictions.
const aloneText = `version: 1
default-site: {jurisdictions: [AU-commonwealth]}
restrictions: [{id: us-icts-2021-002, mode: "off"}]
rules: [{id: no, vendor: kaspersky, reason: "no", phases: [{from: 2020-01-01T00:00:00Z, effect: block}]}]
waivers: [{id: yes, vendor: kaspersky, until: 2030-01-01T00:00:00Z, owner: o, reason: r}]
settings: {mode: enforce, default: block}
`

// A restriction alone says what it does where it is all that a policy has, whatever the policy that was asked has.
func TestRestrictionAlone(t *testing.T) {
	t.Parallel()
	p := compile(t, aloneText)
	all := p.Catalog().Restrictions
	for i := range all {
		r := &all[i]
		tl := build(t, p, &timeline.Options{Restriction: r.ID, Sites: []string{"nosuch"}})
		if len(tl.Sites) != 1 || len(tl.Sites[0].Names) != 0 || len(tl.Sites[0].Groups) == 0 {
			t.Fatalf("%s: the sites are %+v", r.ID, tl.Sites)
		}
		site := &tl.Sites[0]
		for j := range site.Groups {
			g := &site.Groups[j]
			if g.Hypothetical || len(g.Restrictions) != 1 || g.Restrictions[0].ID != r.ID {
				t.Errorf("%s: %s is said by others: %+v", r.ID, g.Vendor, g.Restrictions)
			}
			for k := range g.Rows {
				for _, s := range g.Rows[k].Spans {
					if s.By.Kind == "rule" || s.By.Kind == "waiver" || s.By.Kind == "default" {
						t.Errorf("%s: %s by %+v", r.ID, g.Rows[k].What(), s.By)
					}
				}
			}
		}
		for _, text := range r.Revisions {
			for _, id := range text.Binds {
				if !slices.Contains(site.Jurisdictions, id) {
					t.Errorf("%s: it does not bind %s, but %v", r.ID, id, site.Jurisdictions)
				}
			}
		}
	}

	kaspersky := build(t, p, &timeline.Options{Restriction: "us-icts-2021-002"}).Sites[0].Groups[0]
	row := rowOf(t, &kaspersky, policy.Signatures)
	if last := row.Spans[len(row.Spans)-1]; last.State != policy.Blocked || !last.From.At.Equal(mustTime("2024-09-29T04:00:00Z")) {
		t.Errorf("signatures end with %s from %v", last.State, last.From)
	}
	if _, err := timeline.Build(p, &timeline.Options{Restriction: "nosuch"}); err == nil || !strings.Contains(err.Error(), `unknown restriction "nosuch"`) {
		t.Errorf("an unknown restriction: %v", err)
	}
}

// A picture without a present is as long as what happens in it, and has no line of today.
func TestWithoutPresent(t *testing.T) {
	t.Parallel()
	got := draw(t, compile(t, aloneText), &timeline.Options{Restriction: "us-huawei-entity-list"})
	if !bytes.Contains(got, []byte(">Apr 2019</text>")) || bytes.Contains(got, []byte("now, ")) || bytes.Contains(got, []byte("; at ")) {
		t.Errorf("the picture is\n%s", got)
	}
	checkPlaces(t, 0, got)
}
