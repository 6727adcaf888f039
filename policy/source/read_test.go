package source_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/instant"
	"github.com/gracegate/gracegate/policy/match"
	"github.com/gracegate/gracegate/policy/source"
)

// differs compares what was read with what is wanted, places apart.
func differs(want, got any) string {
	return cmp.Diff(want, got,
		cmp.FilterValues(func(_, _ policy.Pos) bool { return true }, cmp.Ignore()),
		cmp.Comparer(func(a, b host.Name) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b match.Pattern) bool { return a.String() == b.String() }),
		cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() }))
}

func names(list ...string) (out []host.Name) {
	for _, n := range list {
		out = append(out, host.MustParse(n))
	}
	return out
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func at(s string) time.Time {
	t, err := instant.Parse(s)
	if err != nil {
		panic(err)
	}
	return t
}

func zoned(t *testing.T, s, zone string) policy.Instant {
	t.Helper()
	z, err := instant.LoadZone(zone)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Instant{At: at(s), Zone: z}
}

func pattern(t *testing.T, s string) match.Pattern {
	t.Helper()
	p, err := match.ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestVendor(t *testing.T) {
	t.Parallel()
	lists := func(name string) ([]byte, error) {
		if name != "lists/more.txt" {
			t.Errorf("the list %s is asked for", name)
		}
		return []byte("\ufeff# names\nA.example\r\n .b.example # a zone\n\n xn--caf-dma.example"), nil
	}
	got, problems := source.Vendor(source.File{Name: "vendors/acme.yaml", Data: []byte(`
vendor: acme
name: The Acme Company
sources:
  manual: {title: "The manual", url: "https://acme.example/manual", checked: 2026-11-23, grade: primary, note: "page 3"}
  code: {title: "Public code", citation: "C 1", checked: 2026-11-22, grade: observed}
endpoints:
  - host: ["s{08..10}{a,b}.acme.example", Café.example.]
    channels: [codebase, signatures]
    sources: [manual, code]
    pinned: true
    note: for readers
  - zone: upd.acme.example
    ports: [443, 27200-27299]
    paths: ["/v6/**", /a]
    channels: [sales, corporate]
    sources: [{id: manual, grade: inferred, channels: [sales], note: "page 4"}, {id: code, channels: [corporate]}]
  - list: lists/more.txt
    channels: [cloud]
    sources: [code]
fingerprints:
  - {path: "/index/u[0-9].xml", channels: [signatures], confidence: low, sources: [code]}
  - {paths: ["/b", "/c"], channels: [signatures], confidence: high, sources: [code], note: for readers}
`)}, lists)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	manual := policy.Source{ID: "manual", Title: "The manual", URL: "https://acme.example/manual", Checked: "2026-11-23", Note: "page 3"}
	code := policy.Source{ID: "code", Title: "Public code", Citation: "C 1", Checked: "2026-11-22", Grade: policy.GradeObserved}
	page4 := manual
	page4.Grade, page4.Note = policy.GradeInferred, "for sales: page 4"
	corporate := code
	corporate.Note = "for corporate"
	want := policy.Vendor{ID: "acme", Name: "The Acme Company", Endpoints: []policy.Endpoint{
		{
			Hosts: names("s08a.acme.example", "s08b.acme.example", "s09a.acme.example", "s09b.acme.example",
				"s10a.acme.example", "s10b.acme.example", "xn--caf-dma.example"),
			Channels: policy.Channels(policy.Signatures, policy.Codebase), Pinned: true, Sources: []policy.Source{manual, code},
		},
		{
			Zones: names("upd.acme.example"), Ports: []match.PortRange{{First: 443, Last: 443}, {First: 27200, Last: 27299}},
			Paths:    []match.Pattern{pattern(t, "/v6/**"), pattern(t, "/a")},
			Channels: policy.Channels(policy.Sales, policy.Corporate), Sources: []policy.Source{page4, corporate},
		},
		{
			Hosts: names("a.example", "xn--caf-dma.example"), Zones: names("b.example"), FromList: "vendors/lists/more.txt",
			Channels: policy.Channels(policy.Cloud), Sources: []policy.Source{code},
		},
		{
			Paths: []match.Pattern{pattern(t, "/index/u[0-9].xml")}, LowTrust: true,
			Channels: policy.Channels(policy.Signatures), Sources: []policy.Source{code},
		},
		{
			Paths:    []match.Pattern{pattern(t, "/b"), pattern(t, "/c")},
			Channels: policy.Channels(policy.Signatures), Sources: []policy.Source{code},
		},
	}}
	if diff := differs(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if want := (policy.Pos{File: "vendors/acme.yaml", Line: 13, Column: 5}); got.Endpoints[1].Pos != want {
		t.Errorf("the second endpoint stands at %s, want %s", got.Endpoints[1].Pos, want)
	}
}

func TestRestriction(t *testing.T) {
	t.Parallel()
	got, problems := source.Restriction(source.File{Name: "r.yaml", Data: []byte(`
restriction: us-acme
title: >
  An order
  on two lines
strength: directive
verified: false
zone: America/New_York
revisions:
  - published: 2024-06-20
    source: {title: An order, citation: "89 FR 1", url: "https://law.example/1", checked: 2026-11-23, grade: secondary, note: n}
    binds: [US, US-federal]
    vendors: [acme]
    exempt: [training]
    phases:
      - {from: 2024-07-20, effect: grace, channels: [signatures], assumed: "no hour"}
      - {from: 2024-09-29T00:00:00-04:00, effect: block, channels: [signatures], source: {title: A page, checked: 2026-11-23, grade: observed}}
    floors:
      - {at-least-until: {through: 2028-12-31, zone: UTC}, channels: [cloud], assumed: "no zone"}
stays:
  - {id: s1, published: 2024-10-01, from: 2024-09-29, until: {until: 2025-01-01}, channels: [signatures], assumed: "dates", source: {title: A stay, checked: 2026-11-23, grade: primary}}
  - {id: s2, published: 2024-10-02, from: 2024-09-29, source: {title: A stay, checked: 2026-11-23, grade: primary}}
  - {lifts: s2, published: 2024-10-03, source: {title: Lifted, checked: 2026-11-23, grade: primary}}
  - {lifts: s1, published: 2024-10-03, from: 2024-10-05, source: {title: Lifted, checked: 2026-11-23, grade: primary}}
licences:
  - id: l1
    published: 2024-06-21
    from: 2024-06-21
    until: {through: 2024-08-18}
    channels: [codebase]
    vendors: [acme]
    condition: devices of 2018
    assumed: the zone
    source: {title: A licence, checked: 2026-11-23, grade: primary}
`)})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	ny := func(s, assumed string) policy.Instant {
		i := zoned(t, s, "America/New_York")
		i.Assumed = assumed
		return i
	}
	cite := func(title string, g policy.Grade) policy.Source {
		return policy.Source{Title: title, Checked: "2026-11-23", Grade: g}
	}
	page := cite("A page", policy.GradeObserved)
	floor := zoned(t, "2029-01-01T00:00:00Z", "UTC")
	floor.Assumed = "no zone"
	until := ny("2025-01-01T00:00:00-05:00", "dates")
	want := policy.Restriction{
		ID: "us-acme", Title: "An order on two lines", Strength: policy.Directive, Zone: ny("2024-06-20T00:00:00Z", "").Zone,
		Revisions: []policy.Revision{{
			Published: ny("2024-06-20T00:00:00-04:00", ""),
			Source: policy.Source{
				Title: "An order", Citation: "89 FR 1", URL: "https://law.example/1", Checked: "2026-11-23",
				Grade: policy.GradeSecondary, Note: "n",
			},
			Binds: []string{"US", "US-federal"}, Vendors: []string{"acme"}, Exempt: policy.Channels(policy.Training),
			Phases: []policy.Phase{
				{From: ny("2024-07-20T00:00:00-04:00", "no hour"), Effect: policy.EffectGrace, Channels: policy.Channels(policy.Signatures)},
				{From: ny("2024-09-29T04:00:00Z", ""), Effect: policy.EffectBlock, Channels: policy.Channels(policy.Signatures), Source: &page},
			},
			Floors: []policy.Floor{{AtLeastUntil: floor, Channels: policy.Channels(policy.Cloud)}},
		}},
		Stays: []policy.Stay{
			{
				ID: "s1", Published: ny("2024-10-01T00:00:00-04:00", ""), From: ny("2024-09-29T00:00:00-04:00", "dates"), Until: &until,
				Channels: policy.Channels(policy.Signatures), Source: cite("A stay", policy.GradePrimary),
			},
			{
				ID: "s2", Published: ny("2024-10-02T00:00:00-04:00", ""), From: ny("2024-09-29T00:00:00-04:00", ""),
				Channels: policy.AllChannels, Source: cite("A stay", policy.GradePrimary),
			},
			{
				Lifts: "s2", Published: ny("2024-10-03T00:00:00-04:00", ""), From: ny("2024-10-03T00:00:00-04:00", ""),
				Channels: policy.AllChannels, Source: cite("Lifted", policy.GradePrimary),
			},
			{
				Lifts: "s1", Published: ny("2024-10-03T00:00:00-04:00", ""), From: ny("2024-10-05T00:00:00-04:00", ""),
				Channels: policy.AllChannels, Source: cite("Lifted", policy.GradePrimary),
			},
		},
		Licences: []policy.Licence{{
			ID: "l1", Published: ny("2024-06-21T00:00:00-04:00", ""), From: ny("2024-06-21T00:00:00-04:00", "the zone"),
			Until: ny("2024-08-19T00:00:00-04:00", "the zone"), Channels: policy.Channels(policy.Codebase),
			Vendors: []string{"acme"}, Condition: "devices of 2018", Source: cite("A licence", policy.GradePrimary),
		}},
	}
	if diff := differs(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOperator(t *testing.T) {
	t.Parallel()
	got, problems := source.Operator(source.File{Name: "policy.yaml", Data: []byte(`
version: 1
zone: Europe/Berlin
sites:
  - {name: boston, networks: [10.10.0.0/16, "fd00:10::/48"], jurisdictions: [US]}
  - {name: hq, networks: [10.20.5.5, "::ffff:10.30.0.0/112", "::1"], jurisdictions: [], relay: true, serves: [boston]}
default-site: {jurisdictions: [US-federal]}
persons:
  - {name: abroad, users: [jp-desk-4, 'CORP\jo'], clients: [10.30.0.0/16, "mac:00-16-3E-AA-BB-CC"], jurisdictions: [US]}
restrictions:
  - {id: us-acme, mode: enforce}
  - {id: other, mode: off}
vendors:
  - vendor: own
    endpoints:
      - {host: [192.0.2.1, mirror.example], channels: [signatures]}
  - vendor: cited
    sources: {note: {title: A note}}
    endpoints:
      - {zone: cited.example, channels: [signatures], sources: [note]}
rules:
  - id: no-codebase
    vendor: acme
    channels: [codebase]
    sites: [boston]
    reason: why
    final: true
    phases: [{from: 2024-09-01, effect: block}, {from: {on-or-after: 2024-10-01, zone: UTC}, effect: allow}]
  - {id: names, hosts: "a{1,2}.example", zones: [b.example, c.example], reason: why, phases: [{from: 2024-09-01T00:00:00+02:00, effect: block}]}
waivers:
  - id: CHG-1042
    clients: [10.10.9.9]
    users: [jo]
    sites: [boston]
    vendor: acme
    channels: [signatures]
    from: 2024-01-01
    until: 2024-12-31T00:00:00Z
    owner: ops@example.org
    reason: replacement scheduled
settings:
  mode: enforce
  default: block
  multi-channel: all
  after-floor: block
  block-page: true
  warn-before: 1d12h
  unseen: {address: block, no-sni: block, not-tls: block, ech: block, mismatch: block, unreadable: allow, request: block}
`)})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	berlin := func(s string) policy.Instant { return zoned(t, s, "Europe/Berlin") }
	from := berlin("2024-01-01T00:00:00+01:00")
	want := policy.Operator{
		Sites: []policy.Site{
			{Name: "boston", Networks: prefixes("10.10.0.0/16", "fd00:10::/48"), Jurisdictions: []string{"US"}},
			{Name: "hq", Networks: prefixes("10.20.5.5/32", "10.30.0.0/16", "::1/128"), Relay: true, Serves: []string{"boston"}},
		},
		DefaultSite: policy.Site{Jurisdictions: []string{"US-federal"}},
		Persons: []policy.Person{{
			Name: "abroad", Jurisdictions: []string{"US"},
			Clients: policy.Clients{
				Networks: prefixes("10.30.0.0/16"), MACs: []string{"00:16:3e:aa:bb:cc"}, Users: []string{"jp-desk-4", `CORP\jo`},
			},
		}},
		Restrictions: []policy.Listing{{ID: "us-acme", Mode: policy.Enforce}, {ID: "other", Mode: policy.Off}},
		Vendors: []policy.Vendor{
			{ID: "own", Name: "own", Endpoints: []policy.Endpoint{{
				Hosts: names("192.0.2.1", "mirror.example"), Channels: policy.Channels(policy.Signatures),
				Sources: []policy.Source{{Title: "policy.yaml", Grade: policy.GradeOperator}},
			}}},
			{ID: "cited", Name: "cited", Endpoints: []policy.Endpoint{{
				Zones: names("cited.example"), Channels: policy.Channels(policy.Signatures),
				Sources: []policy.Source{{ID: "note", Title: "A note", Grade: policy.GradeOperator}},
			}}},
		},
		Rules: []policy.Rule{
			{
				ID: "no-codebase", Target: policy.Target{Vendor: "acme", Channels: policy.Channels(policy.Codebase)},
				Sites: []string{"boston"}, Reason: "why", Final: true,
				Phases: []policy.Phase{
					{From: berlin("2024-09-01T00:00:00+02:00"), Effect: policy.EffectBlock, Channels: policy.AllChannels},
					{From: zoned(t, "2024-10-01T00:00:00Z", "UTC"), Effect: policy.EffectAllow, Channels: policy.AllChannels},
				},
			},
			{
				ID: "names", Target: policy.Target{Hosts: names("a1.example", "a2.example"), Zones: names("b.example", "c.example")},
				Reason: "why",
				Phases: []policy.Phase{
					{From: berlin("2024-09-01T00:00:00+02:00"), Effect: policy.EffectBlock, Channels: policy.AllChannels},
				},
			},
		},
		Waivers: []policy.Waiver{{
			ID: "CHG-1042", Clients: policy.Clients{Networks: prefixes("10.10.9.9/32"), Users: []string{"jo"}}, Sites: []string{"boston"},
			Target: policy.Target{Vendor: "acme", Channels: policy.Channels(policy.Signatures)},
			From:   &from, Until: berlin("2024-12-31T00:00:00Z"), Owner: "ops@example.org", Reason: "replacement scheduled",
		}},
		Settings: policy.Settings{
			Mode: policy.Enforce, Default: policy.Block, AllOf: true, AfterFloor: policy.Block, BlockPage: true,
			WarnBefore: 36 * time.Hour, Unseen: policy.UnseenSettings{Unreadable: policy.Allow},
		},
	}
	if diff := differs(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestDefaults reads the shortest policy there is.
func TestDefaults(t *testing.T) {
	t.Parallel()
	got, problems := source.Operator(source.File{Name: "policy.yaml", Data: []byte("\ufeffversion: 1\r\nsettings:\r\nsites:\r\n")})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := differs(policy.Operator{Settings: policy.DefaultSettings()}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSpokenZone reads instants in a file without a zone: each keeps the offset that it is written with.
func TestSpokenZone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2024-09-29T00:00:00-04:00":                     "2024-09-29T00:00:00-04:00",
		"2024-09-29T04:00:00Z":                          "2024-09-29T04:00:00Z",
		"2024-09-29T04:00:00+00:00":                     "2024-09-29T04:00:00Z",
		"2024-09-29T09:30:00.5+05:30":                   "2024-09-29T09:30:00.5+05:30",
		"{by: 2025-04-01, zone: Australia/Sydney}":      "2025-04-01T00:00:00+11:00",
		"{through: 2019-08-19, zone: Europe/Berlin}":    "2019-08-20T00:00:00+02:00",
		`{until: "2024-09-29T12:00", zone: Asia/Tokyo}`: "2024-09-29T12:00:00+09:00",
	} {
		op, problems := source.Operator(source.File{Name: "policy.yaml", Data: []byte(`
version: 1
waivers: [{id: w, vendor: v, owner: o, reason: r, until: ` + text + `}]`)})
		if err := problems.Err(); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		until := op.Waivers[0].Until
		if got := instant.FormatIn(until.At, until.Zone); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "30d": 720 * time.Hour, "36h": 36 * time.Hour, "1d12h30m": 36*time.Hour + 30*time.Minute, "1.5h": 90 * time.Minute,
		"3650d": 3650 * 24 * time.Hour,
		"30":    -1, "-30d": -1, "-1h": -1, "d": -1, "1h1d": -1, "1w": -1, "4000d": -1, "99999d999999999h": -1, "1d-1h": -1, "1e3h": -1, " 1h": -1,
	} {
		op, problems := source.Operator(source.File{Name: "policy.yaml", Data: []byte("version: 1\nsettings: {warn-before: \"" + text + "\"}")})
		got := op.Settings.WarnBefore
		if len(problems) > 0 {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %s, want %s: %v", text, got, want, problems)
		}
	}
}
