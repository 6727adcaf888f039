package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy/bundle"
	"github.com/gracegate/gracegate/policy/source"
)

func TestCheckLimits(t *testing.T) {
	t.Parallel()
	waivers, problems := source.Waivers(source.File{Name: "w.yaml", Data: []byte(`waivers:
  - {id: always, vendor: a, until: 2026-12-31T00:00:00Z, owner: me, reason: x}
  - {id: right, vendor: a, from: 2026-12-01T00:00:00Z, until: 2026-12-31T00:00:00Z, owner: me, reason: x}
  - {id: long, vendor: a, from: 2026-12-01T00:00:00Z, until: 2026-12-31T00:00:01Z, owner: me, reason: x}
`)})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	day := int64(24 * time.Hour / time.Second)
	for _, tt := range []struct {
		name string
		b    *bundle.Bundle
		want []string
	}{
		{"no bundle", nil, nil},
		{"no limit", &bundle.Bundle{Manifest: bundle.Manifest{Version: 7}}, nil},
		{"30 days", &bundle.Bundle{Manifest: bundle.Manifest{Version: 7, Limits: bundle.Limits{MaxSeconds: 30 * day}}}, []string{
			`w.yaml:2:5: waiver "always" has no beginning, and version 7 of the bundle lets a waiver last 30d (add from:)`,
			`w.yaml:4:5: waiver "long" lasts 30d1s, and version 7 of the bundle lets a waiver last 30d (end it earlier; who signs the bundle may put it in there)`,
		}},
		{"none", &bundle.Bundle{Manifest: bundle.Manifest{Version: 7, Limits: bundle.Limits{Forbidden: true}}}, []string{
			`w.yaml:2:5: waiver "always": version 7 of the bundle allows no waivers beside its own (take it out; who signs the bundle may put it in there)`,
			`w.yaml:3:5: waiver "right": version 7 of the bundle allows no waivers beside its own (take it out; who signs the bundle may put it in there)`,
			`w.yaml:4:5: waiver "long": version 7 of the bundle allows no waivers beside its own (take it out; who signs the bundle may put it in there)`,
		}},
	} {
		var got []string
		for _, p := range checkLimits(tt.b, waivers) {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
}
