package timeline_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/source"
	"github.com/gracegate/gracegate/policy/timeline"
)

// embedded is the catalogue, read once.
var embedded = sync.OnceValues(func() (*policy.Catalog, error) { return catalog.Load("", false) })

func compile(tb testing.TB, text string) *policy.Policy {
	tb.Helper()
	c, err := embedded()
	if err != nil {
		tb.Fatal(err)
	}
	op, problems := source.Operator(source.File{Name: "policy.yaml", Data: []byte(text)})
	if err := problems.Err(); err != nil {
		tb.Fatal(err)
	}
	p, err := policy.Compile(c, &op, policy.Options{Revision: "test", ClockFaults: policy.Allow, RecordFaults: policy.Allow})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func build(tb testing.TB, p *policy.Policy, opts *timeline.Options) *timeline.Timeline {
	tb.Helper()
	t, err := timeline.Build(p, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func mustTime(s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return at
}

// randomPolicy enforces, monitors and leaves out restrictions of the catalogue at random, at sites with random jurisdictions, under
// random rules and waivers.
func randomPolicy(tb testing.TB, r *rand.Rand) *policy.Policy {
	tb.Helper()
	c, err := embedded()
	if err != nil {
		tb.Fatal(err)
	}
	one := func(words ...string) string { return words[r.IntN(len(words))] }
	text := "version: 1\nrestrictions:\n  - {id: us-icts-2021-002, mode: " + one("enforce", "monitor") + "}\n"
	for i := range c.Restrictions {
		if id := c.Restrictions[i].ID; id != "us-icts-2021-002" && r.IntN(2) == 0 {
			text += fmt.Sprintf("  - {id: %s, mode: %s}\n", id, one("enforce", "enforce", "monitor", `"off"`))
		}
	}
	text += "sites:\n"
	for i := range 3 {
		text += fmt.Sprintf("  - {name: s%d, networks: [10.%d.0.0/16], jurisdictions: [US, %s, %s]}\n", i, i,
			one("US-federal", "US-app-provider", "DE"), one("US-exporter", "US-fcc-grantee", "AU-commonwealth"))
	}
	text += fmt.Sprintf(`rules:
  - id: r
    %s
    sites: [s%d]
    reason: x
    phases: [{from: 2025-0%d-01T00:00:00Z, effect: block}, {from: 2026-01-01T00:00:00Z, effect: allow}]
waivers:
  - {id: w, sites: [s%d], vendor: kaspersky, channels: [%s], until: 2025-0%d-15T00:00:00Z, owner: a@example.org, reason: x}
settings: {mode: %s, default: %s, after-floor: %s}
`, one("hosts: [www.example.org]", "vendor: dji", "hosts: [my.kaspersky.com]"), r.IntN(3), 1+r.IntN(9), r.IntN(3), one("cloud", "codebase", "signatures"),
		1+r.IntN(9), one("monitor", "enforce", `"off"`), one("allow", "block"), one("warn", "block"))
	return compile(tb, text)
}

// Whatever the policy, what a row in force says of its destinations is what is decided of them, at any instant.
func TestRowsAgreeWithDecide(t *testing.T) {
	t.Parallel()
	asked := 0
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := randomPolicy(t, r)
		tl := build(t, p, &timeline.Options{At: mustTime("2025-01-01T00:00:00Z")})
		for i := range tl.Sites {
			for _, name := range tl.Sites[i].Names {
				a, ok := p.AskerOf(name)
				if !ok {
					t.Fatalf("seed %d: nobody is in site %q", seed, name)
				}
				for j := range tl.Sites[i].Groups {
					asked += checkGroup(t, r, p, &a, &tl.Sites[i].Groups[j])
				}
			}
		}
	}
	if asked < 2_000 {
		t.Errorf("only %d instants were asked about", asked)
	}
}

func checkGroup(t *testing.T, r *rand.Rand, p *policy.Policy, a *policy.Asker, g *timeline.Group) (asked int) {
	t.Helper()
	if g.Hypothetical {
		return 0
	}
	for i := range g.Rows {
		row := &g.Rows[i]
		for k := range row.Destinations {
			f := row.Destinations[k].Facts(a)
			for _, at := range probes(r, row) {
				asked++
				now := &row.Spans[row.Now(at)]
				d := p.Decide(at, &f)
				if c := d.Cause(); d.Verdict != now.Verdict || d.State != now.State || d.Need != now.Need || c.Kind != now.By.Kind || c.ID != now.By.ID {
					t.Fatalf("%s, %s, %s at %s: the row has %s by %s, decided is %s by %s", g.Vendor, row.What(), row.Destinations[k].Host,
						at, now.Label(), now.By.ID, d.State, c.ID)
				}
			}
		}
	}
	return asked
}

// probes are instants around every boundary of a row, and anywhere.
func probes(r *rand.Rand, row *timeline.Row) []time.Time {
	list := []time.Time{{}, mustTime("2015-01-01T00:00:00Z").Add(time.Duration(r.Int64N(int64(20 * 365 * 24 * time.Hour))))}
	for i := range row.Spans {
		if from := row.Spans[i].From; from != nil {
			list = append(list, from.At, from.At.Add(-1))
		}
	}
	return list
}

// Spans follow each other without gaps and differ, each instant is told with its zone, and no channel of a vendor is lost.
func TestRowsAreWhole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		p := randomPolicy(t, rand.New(rand.NewPCG(seed, 2)))
		tl := build(t, p, &timeline.Options{At: mustTime("2025-01-01T00:00:00Z"), Vendors: []string{"kaspersky"}})
		for _, site := range tl.Sites {
			var told policy.ChannelSet
			for _, g := range site.Groups {
				for _, row := range g.Rows {
					checkSpans(t, &row)
					if !g.Hypothetical {
						told |= policy.Channels(row.Channels...)
					}
				}
			}
			if told != policy.AllChannels&^policy.Channels(policy.Connectivity) {
				t.Fatalf("seed %d, %s: told of %v only", seed, site.Title(), told.List())
			}
		}
	}
}

func checkSpans(t *testing.T, row *timeline.Row) {
	t.Helper()
	for i := range row.Spans {
		s := &row.Spans[i]
		first, last := i == 0, i == len(row.Spans)-1
		if first != (s.From == nil) || last != (s.Until == nil) {
			t.Fatalf("%s: span %d of %d is %v to %v", row.What(), i, len(row.Spans), s.From, s.Until)
		}
		if !first && (s.From != row.Spans[i-1].Until || s.From.Zone == nil) {
			t.Fatalf("%s: span %d does not follow the one before, or has no zone", row.What(), i)
		}
	}
}

// A restriction that is not enforced is told of as what it would do by itself, whatever else the policy does.
func TestHypothesis(t *testing.T) {
	t.Parallel()
	const tail = `
default-site: {jurisdictions: [US]}
waivers:
  - {id: w, vendor: kaspersky, until: 2030-01-01T00:00:00Z, owner: a@example.org, reason: x}
`
	enforced := build(t, compile(t, "version: 1\nrestrictions: [{id: us-icts-2021-002, mode: enforce}]\ndefault-site: {jurisdictions: [US]}\nsettings: {mode: \"off\"}\n"),
		&timeline.Options{Vendors: []string{"kaspersky"}})
	want := rowOf(t, &enforced.Sites[0].Groups[0], policy.Codebase)
	for _, mode := range []string{"monitor", `"off"`} {
		tl := build(t, compile(t, "version: 1\nsettings: {mode: "+mode+"}"+tail), &timeline.Options{})
		g := tl.Sites[0].Groups[len(tl.Sites[0].Groups)-1]
		if !g.Hypothetical || len(g.Restrictions) != 1 || g.Restrictions[0].Enforced {
			t.Fatalf("mode %s: the last group is no hypothesis: %+v", mode, g.Restrictions)
		}
		got := rowOf(t, &g, policy.Codebase)
		if len(got.Spans) != len(want.Spans) {
			t.Fatalf("mode %s: %d spans, want %d", mode, len(got.Spans), len(want.Spans))
		}
		for i := range got.Spans {
			if got.Spans[i].State != want.Spans[i].State || i > 0 && !got.Spans[i].From.At.Equal(want.Spans[i].From.At) {
				t.Errorf("mode %s, span %d: %s, want %s", mode, i, got.Spans[i].Label(), want.Spans[i].Label())
			}
		}
	}
}

func rowOf(t *testing.T, g *timeline.Group, c policy.Channel) *timeline.Row {
	t.Helper()
	for i := range g.Rows {
		if slices.Contains(g.Rows[i].Channels, c) && g.Rows[i].Only == "" {
			return &g.Rows[i]
		}
	}
	t.Fatalf("%s has no row of %s", g.Vendor, c)
	return nil
}

// A channel without an endpoint is told as one would be treated that the operator adds.
func TestStandInSaysWhatAnEndpointWould(t *testing.T) {
	t.Parallel()
	const head = "version: 1\nrestrictions: [{id: us-pafaca, mode: enforce}]\ndefault-site: {jurisdictions: [US-app-provider]}\nsettings: {mode: \"off\"}\n"
	lacking := build(t, compile(t, head), &timeline.Options{Vendors: []string{"bytedance"}})
	added := build(t, compile(t, head+"vendors: [{vendor: bytedance, name: ByteDance, endpoints: [{host: app.example, channels: [codebase]}]}]\n"),
		&timeline.Options{Vendors: []string{"bytedance"}})
	got, want := rowOf(t, &lacking.Sites[0].Groups[0], policy.Codebase), rowOf(t, &added.Sites[0].Groups[0], policy.Codebase)
	if got.Known() || !got.NotSeparable || !want.Known() || want.NotSeparable {
		t.Errorf("known %t, not separable %t; with an endpoint %t, %t", got.Known(), got.NotSeparable, want.Known(), want.NotSeparable)
	}
	if len(got.Spans) != len(want.Spans) || len(got.Spans) < 4 {
		t.Fatalf("%d spans, and %d with an endpoint", len(got.Spans), len(want.Spans))
	}
	for i := range got.Spans {
		if got.Spans[i].Label() != want.Spans[i].Label() {
			t.Errorf("span %d: %s, and %s with an endpoint", i, got.Spans[i].Label(), want.Spans[i].Label())
		}
	}
	if n := len(lacking.Sites[0].Groups[0].Marks); n != 5 {
		t.Errorf("%d stays, want 5", n)
	}
}

// A client of a site is in it, and is of those that persons and waivers single out least.
func TestSitesThatAreTreatedAlikeAreJoined(t *testing.T) {
	t.Parallel()
	p := compile(t, `version: 1
sites:
  - {name: boston, networks: [10.10.0.0/16], jurisdictions: [US]}
  - {name: tiny, networks: [10.10.1.0/24], jurisdictions: [US]}
  - {name: berlin, networks: [10.20.0.0/16], jurisdictions: []}
persons:
  - {name: guest, clients: [10.10.0.0/24], jurisdictions: [US-federal]}
restrictions: [{id: us-icts-2021-002, mode: enforce}]
settings: {mode: "off"}
`)
	tl := build(t, p, &timeline.Options{})
	var titles []string
	for i := range tl.Sites {
		titles = append(titles, tl.Sites[i].Title())
	}
	want := []string{"default site, site berlin, bound by none", "site boston, site tiny, bound by US"}
	if !slices.Equal(titles, want) {
		t.Errorf("sites %q, want %q", titles, want)
	}
	a, ok := p.AskerOf("boston")
	if !ok || a.Site != "boston" || len(a.Persons) > 0 || !netip.MustParsePrefix("10.10.0.0/16").Contains(a.Client) {
		t.Errorf("asker of boston: %+v", a)
	}
}
