package policy

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// TestDefault: with `default: block`, nobody gets out by a name of their own making: neither by a path that looks like an
// update, nor by a waiver for another name of the same flow.
func TestDefault(t *testing.T) {
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{
		hostsOf(Channels(Signatures), "u.example"),
		{Paths: patterns("/index/u[0-9].xml"), Channels: Channels(Signatures), LowTrust: true, Sources: someSource},
	}}}
	op := enforced()
	op.Settings.Default = Block
	op.Waivers = []Waiver{{ID: "w", Target: Target{Hosts: names("ok.example")}, Until: on("2100-01-01T00:00:00Z"), Owner: "o", Reason: "r"}}
	p := mustCompile(t, vendors, []Restriction{restriction("r", "acme", blockPhase(soon, Signatures))}, op)
	both := func(authority, sni string) *Facts {
		f := tlsFacts(authority)
		f.SNI = host.MustParse(sni)
		return f
	}
	print := plainFacts("evil.example")
	print.Path = "/index/u1.xml"
	for _, c := range []struct {
		name    string
		facts   *Facts
		verdict Verdict
		state   State
	}{
		{"unknown", plainFacts("evil.example"), Block, Unmatched},
		{"unknown, with a path like an update's", print, Block, Unmatched},
		{"waived by name", tlsFacts("ok.example"), Allow, Waived},
		{"waived and unknown", both("ok.example", "evil.example"), Block, Unmatched},
		{"unknown and waived", both("evil.example", "ok.example"), Block, Unmatched},
		{"known and unknown", both("u.example", "evil.example"), Allow, Open},
	} {
		if d := p.Decide(mustTime(then), c.facts); d.Verdict != c.verdict || d.State != c.state {
			t.Errorf("%s: got %s (%s), want %s (%s)", c.name, d.Verdict, d.State, c.verdict, c.state)
		}
	}
}

// TestRelays: a relay is bound by all whom it serves, also through another relay.
func TestRelays(t *testing.T) {
	prefix := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	op := enforced()
	op.DefaultSite.Jurisdictions = nil
	op.Sites = []Site{
		{Name: "outer", Networks: prefix("10.1.0.1/32"), Relay: true, Serves: []string{"inner"}},
		{Name: "inner", Networks: prefix("10.2.0.1/32"), Relay: true, Serves: []string{"boston", "outer"}},
		{Name: "boston", Networks: prefix("10.3.0.0/16"), Jurisdictions: []string{"US"}},
		{Name: "berlin", Networks: prefix("10.4.0.0/16"), Jurisdictions: []string{}},
	}
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Signatures), "u.example")}}}
	p := mustCompile(t, vendors, []Restriction{restriction("r", "acme", blockPhase(long, Signatures))}, op)
	for client, want := range map[string]Verdict{"10.1.0.1": Block, "10.2.0.1": Block, "10.3.1.1": Block, "10.4.1.1": Allow, "10.9.9.9": Allow} {
		f := tlsFacts("u.example")
		f.Client = netip.MustParseAddr(client)
		if d := p.Decide(mustTime(then), f); d.Verdict != want {
			t.Errorf("%s: %s, want %s", client, d.Verdict, want)
		}
	}
}

// TestFloorThenPhase: what a text says from a floor on is known, and no longer unknown.
func TestFloorThenPhase(t *testing.T) {
	r := restriction("r", "acme", gracePhase(long, Codebase))
	rev := &r.Revisions[0]
	rev.Floors = []Floor{{AtLeastUntil: on("2026-03-01T00:00:00Z"), Channels: Channels(Codebase)}}
	rev.Phases = append(rev.Phases, Phase{From: on("2026-06-01T00:00:00Z"), Effect: EffectAllow, Channels: Channels(Codebase)})
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Codebase), "u.example")}}}
	p := mustCompile(t, vendors, []Restriction{r}, enforced())
	for at, want := range map[string]State{
		"2026-02-28T23:59:59.999999999Z": Grace, "2026-03-01T00:00:00Z": AfterFloor,
		"2026-05-31T23:59:59.999999999Z": AfterFloor, "2026-06-01T00:00:00Z": Open,
	} {
		if d := p.Decide(mustTime(at), tlsFacts("u.example")); d.State != want {
			t.Errorf("at %s: %s, want %s", at, d.State, want)
		}
	}
}

// TestLongGrace: a grace period longer than a Duration can tell is no warning.
func TestLongGrace(t *testing.T) {
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Codebase), "u.example")}}}
	law := []Restriction{restriction("r", "acme", gracePhase("1700-01-01T00:00:00Z", Codebase), blockPhase("2100-01-01T00:00:00Z", Codebase))}
	p := mustCompile(t, vendors, law, enforced())
	if d := p.Decide(time.Date(1700, 6, 1, 0, 0, 0, 0, time.UTC), tlsFacts("u.example")); d.State != Grace {
		t.Errorf("%s, want grace", d.State)
	}
}

// TestLongestLicence: of two licences the one that ends last is told.
func TestLongestLicence(t *testing.T) {
	r := restriction("r", "acme", blockPhase(long, Codebase))
	for _, until := range []string{"2030-01-01T00:00:00Z", "2032-01-01T00:00:00Z", "2031-01-01T00:00:00Z"} {
		r.Licences = append(r.Licences, Licence{ID: until, Published: on(long), From: on(long), Until: on(until), Channels: AllChannels})
	}
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Codebase), "u.example")}}}
	e := mustCompile(t, vendors, []Restriction{r}, enforced()).Explain(mustTime(then), tlsFacts("u.example"))
	if !slices.ContainsFunc(e.Reasons, func(r Reason) bool { return r.Decisive && r.ID == "2032-01-01T00:00:00Z" }) {
		t.Errorf("reasons %+v, want the licence until 2032", e.Reasons)
	}
}
