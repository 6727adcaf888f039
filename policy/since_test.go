package policy

import (
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// TestSince pins what a page tells people: since when they are refused.
func TestSince(t *testing.T) {
	const first, second, third = "2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z", "2025-01-01T00:00:00Z"
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{
		hostsOf(Channels(Signatures), "u.example"), hostsOf(Channels(Codebase), "c.example"),
		{Hosts: names("p.example"), Paths: patterns("/v6/**"), Channels: Channels(Signatures), Sources: someSource},
	}}}
	law := []Restriction{
		restriction("r", "acme", gracePhase(first, Signatures, Codebase), blockPhase(second, Signatures)),
		restriction("s", "acme", blockPhase(third, Signatures)), // which changes nothing any more
	}
	op := enforced()
	op.Settings.WarnBefore = 0
	op.Settings.Unseen.NoSNI = Block
	op.Rules = []Rule{{ID: "own", Target: Target{Hosts: names("c.example")}, Phases: []Phase{{From: on(third), Effect: EffectBlock}}}}
	p := mustCompile(t, vendors, law, op)
	for _, c := range []struct {
		host, at, since string
		noName          bool
	}{
		{host: "u.example", at: "2023-01-01T00:00:00Z"},
		{host: "u.example", at: "2024-05-01T00:00:00Z", since: first},
		{host: "u.example", at: second, since: second},
		{host: "u.example", at: "2030-01-01T00:00:00Z", since: second},
		{host: "u.example", at: "2030-01-01T00:00:00Z", since: second, noName: true}, // blocked by name
		{host: "c.example", at: "2024-07-01T00:00:00Z", since: first},
		{host: "c.example", at: "2030-01-01T00:00:00Z", since: third},
		{host: "c.example", at: "2024-07-01T00:00:00Z", noName: true}, // blocked by a setting
		{host: "p.example", at: "2030-01-01T00:00:00Z"},               // the request is unseen: a setting
		{host: "other.example", at: "2030-01-01T00:00:00Z"},
	} {
		f := tlsFacts(c.host)
		if c.noName {
			f.Hello, f.SNI = HelloNoName, host.Name{}
		}
		var want time.Time
		if c.since != "" {
			want = mustTime(c.since)
		}
		d := p.Decide(mustTime(c.at), f)
		if got, ok := d.Since(); !got.Equal(want) || ok != (c.since != "") {
			t.Errorf("%s at %s: %s (%s) since %s, %t; want %q", c.host, c.at, d.Verdict, d.State, got, ok, c.since)
		}
	}
}

// TestSinceOnRandomLaw asks about one name at a time: from Since on the decision is what it is, and just before it was another.
func TestSinceOnRandomLaw(t *testing.T) {
	alike := func(a, b *Decision) bool {
		return a.Verdict == b.Verdict && a.State == b.State && a.Need == b.Need && a.by == b.by
	}
	told := 0
	for seed := range uint64(60) {
		w := newWorld(seed)
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		probes := w.dull().probes()
		for range 4 {
			f := w.facts()
			f.SNI, f.Inner, f.Stage, f.ECH = f.Authority, f.Authority, StageHello, false
			f.Hello = HelloWithName
			for i, at := range probes {
				d := p.Decide(at, f)
				since, ok := d.Since()
				if d.by.kind > causeWaiver {
					if ok {
						t.Fatalf("seed %d, at %s: %s since %s", seed, at, d.by.kind, since)
					}
					continue
				}
				for j := i - 1; j >= 0 && (!ok || !probes[j].Before(since)); j-- {
					if then := p.Decide(probes[j], f); !alike(&then, &d) {
						t.Fatalf("seed %d, at %s: since %s, %t; but at %s it was %s (%s)", seed, at, since, ok, probes[j], then.Verdict, then.State)
					}
				}
				if !ok {
					continue
				}
				told++
				if before := p.Decide(since.Add(-1), f); since.After(at) || alike(&before, &d) {
					t.Fatalf("seed %d, at %s: since %s, but it was so before", seed, at, since)
				}
			}
		}
	}
	if told < 300 {
		t.Errorf("only %d decisions had a beginning", told)
	}
}

// TestSinceLooksPastWould: what would be said were more enforced is not what a decision is.
func TestSinceLooksPastWould(t *testing.T) {
	const first, second, third = "2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z", "2025-01-01T00:00:00Z"
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Signatures, Codebase), "u.example")}}}
	op := enforced()
	op.Settings.Mode, op.Settings.AllOf = Monitor, true
	p := mustCompile(t, vendors, []Restriction{restriction("r", "acme", blockPhase(first, Signatures), blockPhase(second, Codebase))}, op)
	for at, would := range map[string]Verdict{first: Allow, third: Block} {
		d := p.Decide(mustTime(at), tlsFacts("u.example"))
		if since, ok := d.Since(); d.State != Monitored || d.Would != would || !ok || !since.Equal(mustTime(first)) {
			t.Errorf("at %s: %s, would %s, since %s, %t; want monitored, would %s, since %s", at, d.State, d.Would, since, ok, would, first)
		}
	}
}
