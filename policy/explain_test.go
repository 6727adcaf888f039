package policy

import (
	"net/netip"
	"slices"
	"testing"
)

func explainLaw(t *testing.T) *Policy {
	t.Helper()
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Signatures, Codebase), "u.example")}}}
	r := restriction("r", "acme", gracePhase("2024-01-01T00:00:00Z", Signatures, Codebase), blockPhase("2024-06-01T00:00:00Z", Signatures))
	r.Revisions[0].Source = Source{Title: "the text", Citation: "1 XX 1", URL: "https://law.example/"}
	r.Revisions[0].Phases[1].Source = &Source{Title: "a notice"}
	r.Licences = []Licence{{
		ID: "l", Published: on(long), From: on("2024-07-01T00:00:00Z"), Until: on("2024-08-01T00:00:00Z"), Channels: AllChannels,
		Condition: "sold before 2020",
	}}
	other := restriction("other", "acme", blockPhase(long, Signatures))
	other.Revisions[0].Binds = []string{"AU"}
	op := enforced()
	op.Sites = []Site{{Name: "berlin", Networks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}}}
	op.Persons = []Person{{Name: "staff", Clients: Clients{Users: []string{"ann"}}, Jurisdictions: []string{"AU"}}}
	op.Waivers = []Waiver{{
		ID: "w", Clients: Clients{Networks: []netip.Prefix{netip.MustParsePrefix("10.9.9.9/32")}},
		Target: Target{Vendor: "acme"}, Until: on("2025-01-01T00:00:00Z"), Owner: "o", Reason: "why",
	}}
	return mustCompile(t, vendors, []Restriction{r, other}, op)
}

// kinds lists the reasons as kind:restriction-or-id:channel, the decisive ones marked.
func kinds(e *Explanation) []string {
	var list []string
	for _, r := range e.Reasons {
		s := r.Kind
		if id := r.Restriction + r.ID; id != "" {
			s += ":" + id
		}
		if r.Channel != "" {
			s += ":" + r.Channel
		}
		if r.Decisive {
			s += "*"
		}
		list = append(list, s)
	}
	return list
}

func TestExplain(t *testing.T) {
	p := explainLaw(t)
	client := func(s string) func(*Facts) { return func(f *Facts) { f.Client = netip.MustParseAddr(s) } }
	for _, c := range []struct {
		name, at string
		facts    func(*Facts)
		state    State
		reasons  []string
	}{
		{
			"the blocked channel decides", "2024-06-15T00:00:00Z", nil, Blocked,
			[]string{"endpoint:u.example", "phase:r:signatures*", "not-bound:other:signatures", "phase:r:codebase", "not-bound:other:codebase"},
		},
		{
			"a licence and its cohort", "2024-07-15T00:00:00Z", nil, Licensed,
			[]string{"endpoint:u.example", "licence:rl:signatures*", "not-bound:other:signatures", "licence:rl:codebase*", "not-bound:other:codebase"},
		},
		{
			"not bound", "2024-06-15T00:00:00Z", client("10.20.1.1"), OutOfScope,
			[]string{"endpoint:u.example", "not-bound:r:signatures*", "not-bound:other:signatures*", "not-bound:r:codebase*", "not-bound:other:codebase*"},
		},
		{
			"a waiver decides, what it overrules is told", "2024-06-15T00:00:00Z", client("10.9.9.9"), Waived,
			[]string{
				"endpoint:u.example", "phase:r:signatures", "not-bound:other:signatures", "waiver:w:signatures*",
				"phase:r:codebase", "not-bound:other:codebase", "waiver:w:codebase*",
			},
		},
		{
			"a person is bound wherever", "2024-06-15T00:00:00Z", func(f *Facts) { client("10.20.1.1")(f); f.User = "ann" }, Blocked,
			[]string{"endpoint:u.example", "not-bound:r:signatures", "phase:other:signatures*", "not-bound:r:codebase", "phase:other:codebase"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := tlsFacts("u.example")
			if c.facts != nil {
				c.facts(f)
			}
			e := p.Explain(mustTime(c.at), f)
			if got := kinds(&e); e.State != c.state || !slices.Equal(got, c.reasons) {
				t.Errorf("got %s, %q\nwant %s, %q", e.State, got, c.state, c.reasons)
			}
		})
	}
}

func TestExplainTellsTheRest(t *testing.T) {
	p := explainLaw(t)
	f := tlsFacts("u.example")
	f.Client, f.User = netip.MustParseAddr("::ffff:10.20.1.1"), "ann"
	e := p.Explain(mustTime("2024-06-15T00:00:00Z"), f)
	if e.Site != "berlin" || !slices.Equal(e.Persons, []string{"staff"}) || !slices.Equal(e.Jurisdictions(), []string{"AU"}) {
		t.Errorf("site %q, persons %q, bound by %q", e.Site, e.Persons, e.Jurisdictions())
	}
	if e.Vendor != "acme" || !slices.Equal(e.Channels, []Channel{Signatures, Codebase}) {
		t.Errorf("vendor %q, channels %v", e.Vendor, e.Channels)
	}
	f.User, f.Client = "", netip.MustParseAddr("10.0.0.1")
	e = p.Explain(mustTime("2024-06-15T00:00:00Z"), f)
	r := e.Reasons[1]
	if r.Source.Title != "a notice" || r.Source.Citation != "1 XX 1" {
		t.Errorf("source %+v: want the phase's own, cited as the whole text", r.Source)
	}
	if r.From == nil || !r.From.At.Equal(mustTime("2024-06-01T00:00:00Z")) || r.Until != nil {
		t.Errorf("from %v until %v", r.From, r.Until)
	}
	cause := e.Cause()
	if cause.Kind != "restriction" || cause.ID != "r" || cause.URL != "https://law.example/" || cause.Mode != Enforce {
		t.Errorf("cause %+v", cause)
	}
}

// TestEndpointHasEverySource asks for an endpoint whose sources differ in grade: each is a reason of its own.
func TestEndpointHasEverySource(t *testing.T) {
	e := hostsOf(Channels(Signatures, Sales), "u.example", "v.example")
	e.Sources = []Source{{Title: "a manual", Grade: GradePrimary}, {Title: "the menu", Grade: GradeInferred, Note: "nobody says so"}}
	p := mustCompile(t, []Vendor{{ID: "acme", Endpoints: []Endpoint{e}}}, nil, enforced())
	f := tlsFacts("u.example")
	x := p.Explain(mustTime("2024-06-15T00:00:00Z"), f)
	var got []string
	for _, r := range x.Reasons {
		if r.Kind == "endpoint" {
			got = append(got, r.ID+", "+r.Source.Title+", "+r.Source.Grade.String()+", "+r.Source.Note)
		}
	}
	if want := []string{"u.example, a manual, primary, ", "u.example, the menu, inferred, nobody says so"}; !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
