package catalog_test

import (
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
)

// whom names what each restriction in the binary binds. A new one adds its row. One on the bodies, the devices or the
// contractors of a government binds a tag of theirs, never that of their country: otherwise it would hold for everybody there.
var whom = map[string][]string{
	"au-pspf-002-2025":           {"AU-commonwealth"},
	"ca-treasury-board-2023":     {"CA-government-device"},
	"de-bsi-2022":                {"DE"},
	"gb-ncsc-2017":               {"GB-national-security"},
	"us-bod-17-01":               {"US-federal"},
	"us-fcc-drones":              {"US-fcc-grantee"},
	"us-fcc-kaspersky":           {"US-fcc-grantee", "US-fcc-recipient"},
	"us-fcc-rip-and-replace":     {"US-fcc-recipient"},
	"us-fcc-routers":             {"US-fcc-grantee"},
	"us-huawei-entity-list":      {"US-exporter"},
	"us-icts-2021-002":           {"US"},
	"us-icts-connected-vehicles": {"US-vehicle-maker"},
	"us-ndaa-2018-1634":          {"US-contractor", "US-federal"},
	"us-pafaca":                  {"US-app-provider"},
	"us-tiktok-2020":             {"US-app-provider"},
	"us-wechat-2020":             {"US-app-provider"},
}

func TestRestrictionsBindWhomTheySay(t *testing.T) {
	t.Parallel()
	c := load(t, "", false)
	got := map[string][]string{}
	for _, r := range c.Restrictions {
		for _, rev := range r.Revisions {
			got[r.ID] = append(got[r.ID], rev.Binds...)
		}
		slices.Sort(got[r.ID])
		got[r.ID] = slices.Compact(got[r.ID])
	}
	if diff := cmp.Diff(whom, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, id := range []string{"US", "US-federal", "US-contractor", "AU-commonwealth", "CA-government-device"} {
		if !slices.ContainsFunc(c.Jurisdictions, func(j policy.Jurisdiction) bool { return j.ID == id && j.Name != "" }) {
			t.Errorf("jurisdiction %s is not known from the start", id)
		}
	}
}

// TestEveryFactHasItsSource looks at each endpoint and each text in the binary: no host without a source that somebody can look
// up, of a grade that says how well it is founded.
func TestEveryFactHasItsSource(t *testing.T) {
	t.Parallel()
	c := load(t, "", false)
	names := map[string]bool{}
	for _, v := range c.Vendors {
		if file := strings.TrimSuffix(path.Base(v.Pos.File), ".yaml"); file != v.ID {
			t.Errorf("vendor %s stands in %s", v.ID, v.Pos.File)
		}
		for _, e := range v.Endpoints {
			for _, n := range slices.Concat(e.Hosts, e.Zones) {
				names[n.String()] = true
			}
			if len(e.Sources) == 0 {
				t.Errorf("%s: an endpoint without a source", e.Pos)
			}
			for i := range e.Sources {
				founded(t, e.Pos, &e.Sources[i])
			}
		}
	}
	if len(names) != c.Domains() || len(names) < 300 {
		t.Errorf("%d names have sources, of %d in the index", len(names), c.Domains())
	}
	for _, r := range c.Restrictions {
		for i := range r.Revisions {
			rev := &r.Revisions[i]
			founded(t, rev.Pos, &rev.Source)
			for j := range rev.Phases {
				if s := rev.Phases[j].Source; s != nil {
					founded(t, rev.Phases[j].Pos, s)
				}
			}
		}
		for i := range r.Stays {
			founded(t, r.Stays[i].Pos, &r.Stays[i].Source)
		}
		for i := range r.Licences {
			founded(t, r.Licences[i].Pos, &r.Licences[i].Source)
		}
	}
}

func founded(t *testing.T, at policy.Pos, s *policy.Source) {
	t.Helper()
	_, err := time.Parse(time.DateOnly, s.Checked)
	switch {
	case strings.TrimSpace(s.Title) == "":
		t.Errorf("%s: a source without a title", at)
	case err != nil:
		t.Errorf("%s: source %q: %v", at, s.Title, err)
	case s.Grade > policy.GradeInferred:
		t.Errorf("%s: source %q has the grade %s, which is none of a catalogue", at, s.Title, s.Grade)
	case s.Grade < policy.GradeObserved && s.URL == "":
		t.Errorf("%s: source %q is %s, and has no address to read it at", at, s.Title, s.Grade)
	}
}
