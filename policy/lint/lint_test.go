package lint_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/lint"
	"github.com/gracegate/gracegate/policy/source"
)

// A small catalogue: a text with everything that can be assumed, near, old or exempt, and a vendor whose names come from a list, by
// port, by path and as a zone.
var files = map[string]string{
	"jurisdictions.yaml": "jurisdictions: [{id: A, name: a}, {id: B, name: b}, {id: C, name: c}]\n",
	"vendors/acme.yaml": `vendor: acme
sources: {s: {title: s, url: "https://s.example/", checked: 2026-01-01, grade: primary}}
endpoints:
  - {zone: upd.acme.example, channels: [codebase], sources: [s]}
  - {host: crl.acme.example, channels: [revocation], sources: [s]}
  - {host: port.acme.example, ports: [8443], channels: [codebase], sources: [s]}
  - {list: list.txt, channels: [signatures], sources: [s]}
`,
	"vendors/list.txt": "deep.listed.example\n.io\n",
	"restrictions/r.yaml": `restriction: r
title: r
strength: prohibition
zone: UTC
revisions:
  - published: 2020-01-01T00:00:00Z
    source: {title: whole, url: "https://w.example/", checked: 2026-01-01, grade: primary}
    binds: [A]
    vendors: [acme]
    exempt: [training]
    phases:
      - {from: 2020-01-01, effect: notice, channels: [codebase], assumed: notices do not matter}
      - {from: 2021-01-01, effect: block, channels: [sales], assumed: block}
      - {from: 2026-05-20T00:00:00Z, effect: block, channels: [portal], source: {title: part, url: "https://p.example/", checked: 2025-06-01, grade: primary}}
    floors:
      - {at-least-until: {until: 2026-06-01}, channels: [codebase], assumed: floor}
      - {at-least-until: {until: 2026-05-01}, channels: [training], assumed: exempt}
      - {at-least-until: {until: 2026-05-20}, channels: [portal], assumed: answered}
      - {at-least-until: {until: 2026-05-15}, channels: [codebase], assumed: earlier}
stays:
  - {id: stay, published: 2022-01-01T00:00:00Z, from: 2022-01-01T00:00:00Z, until: {until: 2023-01-01}, channels: [sales], assumed: stay, source: {title: stay, url: "https://t.example/", checked: 2026-01-01, grade: primary}}
  - {lifts: stay, published: 2022-06-01T00:00:00Z, from: 2022-06-01, assumed: lift, source: {title: lift, checked: 2026-01-01, grade: primary}}
licences:
  - {id: licence, published: 2022-01-01T00:00:00Z, from: 2022-01-01T00:00:00Z, until: {until: 2024-01-01}, channels: [sales], assumed: licence, source: {title: licence, citation: "1 FR 1", checked: 2026-01-01, grade: primary}}
`,
}

const head = "version: 1\ndefault-site: {jurisdictions: [A]}\n"

// Each check is told of the same world, with what makes it speak, and what just does not.
func TestChecks(t *testing.T) {
	t.Parallel()
	const enforce = "restrictions: [{id: r, mode: enforce}]\n"
	endpoints := func(list ...string) string {
		return "vendors:\n  - vendor: own\n    endpoints:\n      - " + strings.Join(list, "\n      - ") +
			"\n  - vendor: other\n    endpoints: [{zone: other.example, channels: [codebase]}]\n"
	}
	rule := func(what string) string { return "rules: [{id: x, reason: r, " + what + "}]\n" }
	const block = ", phases: [{from: 2020-01-01T00:00:00Z, effect: block}]"
	waivers := func(list ...string) string {
		for i := range list {
			list[i] = "  - {owner: o, reason: r, " + list[i] + "}\n"
		}
		return "waivers:\n" + strings.Join(list, "")
	}
	for _, c := range []struct {
		check, name, at, policy string
		want                    []string
	}{
		{"endpoint/redundant", "twice", "", endpoints("{host: a.own.example, channels: [codebase]}", "{host: a.own.example, channels: [codebase]}"), []string{"7: endpoint a.own.example; yaml:6:9"}},
		{"endpoint/redundant", "less", "", endpoints("{host: a.own.example, channels: [codebase]}", "{host: a.own.example, channels: [codebase, cloud]}"), []string{"6: endpoint a.own.example; yaml:7:9"}},
		{"endpoint/redundant", "in a zone", "", endpoints("{zone: b.own.example, channels: [codebase]}", "{zone: own.example, channels: [codebase]}"), []string{"6: endpoint b.own.example; yaml:7:9"}},
		{"endpoint/redundant", "a host of its zone's name", "", endpoints("{zone: own.example, channels: [codebase]}", "{host: own.example, channels: [codebase]}"), []string{"7: endpoint own.example; yaml:6:9"}},
		{"endpoint/redundant", "more", "", endpoints("{zone: own.example, channels: [codebase]}", "{host: a.own.example, channels: [codebase, cloud]}"), nil},
		{"endpoint/redundant", "less than the zone", "", endpoints("{zone: own.example, channels: [codebase, cloud]}", "{host: a.own.example, channels: [codebase]}"), nil},
		{"endpoint/redundant", "a closer zone", "", endpoints("{zone: own.example, channels: [codebase]}", "{zone: b.own.example, channels: [cloud]}", "{host: a.b.own.example, channels: [codebase]}"), nil},
		{"endpoint/redundant", "a zone that says more", "", endpoints("{zone: own.example, channels: [codebase]}", "{zone: own.example, channels: [cloud]}", "{host: a.own.example, channels: [codebase]}"), nil},
		{"endpoint/redundant", "paths of the zone", "", endpoints("{zone: own.example, channels: [codebase]}", "{zone: own.example, paths: [\"/x/**\"], channels: [cloud]}", "{host: a.own.example, channels: [codebase]}"), nil},
		{"endpoint/redundant", "paths alone of the zone", "", endpoints("{zone: own.example, paths: [\"/x/**\"], channels: [codebase]}", "{host: a.own.example, channels: [codebase]}"), nil},
		{"endpoint/redundant", "another vendor", "", endpoints("{host: a.other.example, channels: [codebase]}"), nil},
		{"endpoint/redundant", "pinned", "", endpoints("{zone: own.example, channels: [codebase]}", "{host: a.own.example, channels: [codebase], pinned: true}"), nil},
		{"endpoint/redundant", "half", "", endpoints("{zone: a.own.example, channels: [codebase]}", "{host: \"{a,b}.own.example\", channels: [codebase]}"), nil},
		{"endpoint/redundant", "all of two", "", endpoints("{zone: own.example, channels: [codebase]}", "{host: \"{a,b}.own.example\", channels: [codebase]}"), []string{"7: endpoint a.own.example; yaml:6:9"}},
		{"endpoint/redundant", "a port", "", endpoints("{zone: own.example, channels: [codebase]}", "{host: a.own.example, ports: [80], channels: [codebase]}"), nil},

		{"floor/near", "90 days before", "2026-03-03T00:00:00Z", enforce, []string{"3: 2026-06-01T00:00:00Z, in 90 days"}},
		{"floor/near", "longer before", "2026-03-02T23:59:59Z", enforce, nil},
		{"floor/near", "the last day but one", "2026-05-30T23:59:59Z", enforce, []string{"3: 2026-06-01T00:00:00Z, in 1 day"}},
		{"floor/near", "a second before", "2026-05-31T23:59:59Z", enforce, []string{"3: 2026-06-01T00:00:00Z, in 0 days"}},
		{"floor/near", "at its end", "2026-06-01T00:00:00Z", enforce, nil},
		{"floor/near", "of nobody", "2026-03-03T00:00:00Z", "settings: {mode: enforce}\nsites: [{name: b, networks: [10.0.0.0/8], jurisdictions: [B]}]\n", []string{"1: 2026-06-01T00:00:00Z, in 90 days"}},
		{"floor/near", "of nobody, by settings.mode", "2026-03-03T00:00:00Z", strings.Replace(head, "[A]", "[B]", 1) + "settings: {mode: enforce}\n", nil},
		{"floor/near", "monitored", "2026-03-03T00:00:00Z", "restrictions: [{id: r, mode: monitor}]\n", nil},

		{"instant/assumed", "", "", enforce, []string{
			"3: allows until at least; 2026-05-01; exempt", "3: allows until at least; 2026-05-15; earlier", "3: allows until at least; 2026-05-20; answered",
			"3: allows until at least; 2026-06-01; floor", "3: blocks from; 2021-01-01; block", "3: is no longer stayed (stay) from; 2022-06-01; lift",
			"3: is stayed (stay) until; 2023-01-01; stay", "3: licenses (licence) until; 2024-01-01; licence",
		}},

		{"restriction/binds-nobody", "a person", "", enforce, nil},
		{"restriction/binds-nobody", "nobody", "", strings.Replace(head, "[A]", "[B]", 1) + enforce, []string{"3: r binds A,"}},
		{"restriction/binds-nobody", "nobody, monitored", "", strings.Replace(head, "[A]", "[B]", 1) + "restrictions: [{id: r, mode: monitor}]\n", []string{"3: r binds A,"}},
		{"restriction/binds-nobody", "off", "", strings.Replace(head, "[A]", "[B]", 1) + "restrictions: [{id: r, mode: \"off\"}]\n", nil},
		{"restriction/binds-nobody", "a site", "", strings.Replace(head, "[A]", "[B]", 1) + enforce + "sites: [{name: s, networks: [10.0.0.0/8], jurisdictions: [A]}]\n", nil},
		{"restriction/binds-nobody", "a person alone", "", strings.Replace(head, "[A]", "[B]", 1) + enforce + "persons: [{name: p, users: [u], jurisdictions: [A]}]\n", nil},

		{"site/overlap", "the closest", "", "sites:\n  - {name: o, networks: [10.0.0.0/8], jurisdictions: [A]}\n  - {name: m, networks: [10.1.0.0/16], jurisdictions: [B]}\n" +
			"  - {name: i, networks: [10.1.1.0/24, 10.1.2.0/24], jurisdictions: [A]}\n", []string{"5: site m (bound by B); site o (bound by A)", "6: site i (bound by A); site m (bound by B)"}},
		{"site/overlap", "the same", "", "sites:\n  - {name: o, networks: [10.0.0.0/8], jurisdictions: [A, B]}\n  - {name: i, networks: [10.1.0.0/16], jurisdictions: [B, A]}\n", nil},
		{"site/overlap", "beside", "", "sites:\n  - {name: o, networks: [10.1.0.0/16], jurisdictions: [A]}\n  - {name: i, networks: [10.2.0.0/16], jurisdictions: [B]}\n", nil},
		{"site/overlap", "a relay", "", "sites:\n  - {name: o, networks: [10.0.0.0/8], jurisdictions: [A]}\n  - {name: i, networks: [10.1.1.1], relay: true, serves: [o]}\n", nil},

		{"source/old", "", "2026-01-01T00:00:00Z", enforce, []string{"3: nobody can find: \"lift\""}},
		{"source/old", "365 days", "2026-06-01T00:00:00Z", enforce, []string{"3: nobody can find: \"lift\""}},
		{"source/old", "a second more", "2026-06-01T00:00:01Z", enforce, []string{"3: nobody can find: \"lift\"", "3: last checked on 2025-06-01: \"part\""}},

		{"source/old", "the operator's", "2027-01-01T00:00:01Z", "vendors:\n  - vendor: own\n    sources: {s: {title: s, url: \"https://s.example/\", grade: primary}, o: {title: o}, c: {title: c, citation: c, checked: 2026-01-01, grade: observed}}\n" +
			"    endpoints: [{host: a.example, channels: [cloud], sources: [s, o, c]}]\n", []string{"6: own; last checked on 2026-01-01: \"c\"", "6: own; without the day on which it was checked: \"s\""}},

		{"waiver/expired", "at its end", "2026-01-01T00:00:00Z", waivers("id: w, vendor: acme, until: 2026-01-01T00:00:00Z"), []string{"4: waiver w of o ended at 2026-01-01T00:00:00Z"}},
		{"waiver/expired", "before", "2025-12-31T23:59:59Z", waivers("id: w, vendor: acme, until: 2026-01-01T00:00:00Z"), nil},
		{"waiver/long", "a year", "2026-01-01T00:00:00Z", waivers("id: w, vendor: acme, until: 2027-01-01T00:00:00Z"), nil},
		{"waiver/long", "more", "2026-01-01T00:00:00Z", waivers("id: w, vendor: acme, until: 2027-01-01T00:00:01Z"), []string{"4: waiver w of o ends at 2027-01-01T00:00:01Z, in 365 days"}},
		{"waiver/idle", "", "", enforce + waivers(
			"id: of-use, vendor: acme, channels: [sales], until: 2030-01-01T00:00:00Z", "id: again, vendor: acme, channels: [sales], until: 2030-01-01T00:00:00Z",
			"id: exempt, vendor: acme, channels: [training], until: 2030-01-01T00:00:00Z", "id: host, hosts: [sell.own.example], until: 2030-01-01T00:00:00Z",
		) + endpoints("{host: x.own.example, channels: [codebase]}") + "  - vendor: acme\n    endpoints: [{host: sell.acme.example, channels: [sales]}]\n", []string{"6: waiver again", "7: waiver exempt", "8: waiver host"}},
		{"waiver/idle", "monitored", "", "restrictions: [{id: r, mode: monitor}]\n" + waivers("id: w, vendor: acme, channels: [sales], until: 2030-01-01T00:00:00Z") +
			"vendors:\n  - vendor: acme\n    endpoints: [{host: sell.acme.example, channels: [sales]}]\n", nil},

		{"rule/loosens", "", "", rule("vendor: acme, phases: [{from: 2020-01-01T00:00:00Z, effect: grace}]"), []string{"3: rule x never blocks"}},
		{"rule/loosens", "a block later", "", rule("vendor: acme, phases: [{from: 2020-01-01T00:00:00Z, effect: grace}, {from: 2021-01-01T00:00:00Z, effect: block}]"), nil},
		{"rule/shadowed", "by another", "", "rules:\n  - {id: x, vendor: acme, reason: r" + block + "}\n  - {id: y, vendor: acme, reason: r" + block + "}\n", []string{"5: rule y is never"}},
		{"rule/shadowed", "for a while only", "", "rules:\n  - {id: x, vendor: acme, reason: r" + block + "}\n  - {id: y, vendor: acme, reason: r, phases: [{from: 2019-12-31T23:59:59Z, effect: block}]}\n", nil},
		{"rule/never-block", "a channel", "", rule("vendor: acme, channels: [revocation]" + block), []string{"3: the channel revocation"}},
		{"rule/never-block", "a host", "", rule("hosts: [crl.acme.example]" + block), []string{"3: names crl.acme.example,"}},
		{"rule/never-block", "final", "", rule("hosts: [crl.acme.example], final: true" + block), nil},
		{"rule/never-block", "a channel, final", "", rule("vendor: acme, channels: [revocation], final: true" + block), nil},
		{"rule/never-block", "another channel", "", rule("vendor: acme, channels: [codebase]" + block), nil},
		{"rule/never-block", "all of a vendor", "", rule("vendor: acme" + block), nil},

		{"host/unlisted", "", "", rule("hosts: [nothing.example, x.upd.acme.example, port.acme.example]" + block), []string{"3: nothing.example"}},
		{"host/unlisted", "a zone", "", rule("zones: [acme.example, listed.example, empty.example]" + block), []string{"3: empty.example"}},
		{"host/unlisted", "addresses", "", rule("hosts: [192.0.2.1]" + block), []string{"3: 192.0.2.1"}},

		{"zone/public-suffix", "", "", rule("zones: [com, co.uk, github.io, corp, kaspersky.co.uk]" + block), []string{"3: zone co.uk,", "3: zone com,", "3: zone github.io,"}},
		{"zone/public-suffix", "of a waiver", "", waivers("id: w, zones: [org], until: 2030-01-01T00:00:00Z"), []string{"4: waiver w names the zone org,"}},
		{"zone/public-suffix", "of an endpoint", "", endpoints("{zone: net, channels: [codebase]}"), []string{"6: an endpoint of own names the zone net,"}},
	} {
		text := c.policy
		if !strings.HasPrefix(text, "version") {
			text = head + text
		}
		found := run(t, text, func(s *lint.Subject) {
			if c.at != "" {
				s.Now = at(t, c.at)
			}
		}, c.check)
		if len(found) != len(c.want) {
			t.Errorf("%s, %s: %d findings, want %d: %+v", c.check, c.name, len(found), len(c.want), found)
			continue
		}
		for i, want := range c.want {
			line, words, _ := strings.Cut(want, ": ")
			for word := range strings.SplitSeq(words, "; ") {
				if got := &found[i]; strconv.Itoa(got.Pos.Line) != line || !strings.Contains(got.Message, word) {
					t.Errorf("%s, %s: got %s %q, want line %s and %q", c.check, c.name, got.Pos, got.Message, line, word)
				}
			}
		}
	}
}

// What is not published yet is not told of, and the catalogue is told of where it is written.
func TestHorizonAndCatalog(t *testing.T) {
	t.Parallel()
	const enforce = head + "restrictions: [{id: r, mode: enforce}]\n"
	known := func(h policy.Horizon, now string) (n int) {
		return len(run(t, enforce, func(s *lint.Subject) {
			p, err := s.Policy.WithHorizon(h)
			if err != nil {
				t.Fatal(err)
			}
			s.Policy, s.Now = p, at(t, now)
		}, "instant/assumed"))
	}
	for name, got := range map[string][2]int{
		"all":                {known(policy.Horizon{}, "2019-01-01T00:00:00Z"), 8},
		"before":             {known(policy.Horizon{At: at(t, "2019-12-31T23:59:59Z")}, "2026-01-01T00:00:00Z"), 0},
		"at the text":        {known(policy.Horizon{At: at(t, "2020-01-01T00:00:00Z")}, "2026-01-01T00:00:00Z"), 5},
		"with stays":         {known(policy.Horizon{At: at(t, "2022-01-01T00:00:00Z")}, "2026-01-01T00:00:00Z"), 7},
		"by the clock":       {known(policy.Horizon{Clock: true}, "2022-01-01T00:00:00Z"), 7},
		"by the clock, late": {known(policy.Horizon{Clock: true}, "2026-01-01T00:00:00Z"), 8},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d assumed instants, want %d", name, got[0], got[1])
		}
	}
	var places []string
	for _, f := range run(t, enforce, func(s *lint.Subject) { s.Catalog = true }, "zone/public-suffix", "source/old") {
		places = append(places, filepath.Base(f.Pos.File)+" "+f.Message[strings.LastIndex(f.Message, "/")+1:])
	}
	want := []string{
		`r.yaml r has a source that nobody can find: "lift"`,
		"acme.yaml list.txt, a list of acme, names the zone io, below which anybody can have a name",
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOldCatalog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		now    string
		maxAge time.Duration
		want   int
	}{
		{"2026-01-11T00:00:00Z", 10 * 24 * time.Hour, 0}, {"2026-01-11T00:00:01Z", 10 * 24 * time.Hour, 1}, {"2100-01-01T00:00:00Z", 0, 0},
	} {
		if got := len(run(t, head, func(s *lint.Subject) { s.Now, s.MaxAge = at(t, c.now), c.maxAge }, "catalog/old")); got != c.want {
			t.Errorf("at %s, for %s: %d findings, want %d", c.now, c.maxAge, got, c.want)
		}
	}
}

// run runs checks on a policy with the small catalogue, on January 1, 2026 unless set says otherwise.
func run(t *testing.T, text string, set func(*lint.Subject), checks ...string) []lint.Finding {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := catalog.Load(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	op, problems := source.Operator(source.File{Name: "policy.yaml", Data: []byte(text)})
	if err := problems.Err(); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	p, err := policy.Compile(c, &op, policy.Options{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	s := &lint.Subject{Policy: p, Now: at(t, "2026-01-01T00:00:00Z")}
	set(s)
	return lint.Run(s, func(check string) bool { return slices.Contains(checks, check) })
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}
