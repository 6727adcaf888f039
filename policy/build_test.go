package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

// Builders for the tests of this package: law texts without YAML around them.

func mustTime(s string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return at
}

func on(s string) Instant { return Instant{At: mustTime(s), Zone: time.UTC} }

func onPtr(s string) *Instant {
	i := on(s)
	return &i
}

func names(list ...string) []host.Name {
	out := make([]host.Name, len(list))
	for i, s := range list {
		out[i] = host.MustParse(s)
	}
	return out
}

func patterns(list ...string) []match.Pattern {
	var out []match.Pattern
	for _, s := range list {
		p, err := match.ParsePattern(s)
		if err != nil {
			panic(err)
		}
		out = append(out, p)
	}
	return out
}

var someSource = []Source{{ID: "s", Title: "a source"}}

func hostsOf(channels ChannelSet, hosts ...string) Endpoint {
	return Endpoint{Hosts: names(hosts...), Channels: channels, Sources: someSource}
}

func zonesOf(channels ChannelSet, zones ...string) Endpoint {
	return Endpoint{Zones: names(zones...), Channels: channels, Sources: someSource}
}

func blockPhase(from string, channels ...Channel) Phase {
	return Phase{From: on(from), Effect: EffectBlock, Channels: Channels(channels...)}
}

func gracePhase(from string, channels ...Channel) Phase {
	return Phase{From: on(from), Effect: EffectGrace, Channels: Channels(channels...)}
}

// restriction is a prohibition of vendor with one revision that binds US.
func restriction(id, vendor string, phases ...Phase) Restriction {
	return Restriction{ID: id, Title: id, Verified: true, Zone: time.UTC, Revisions: []Revision{{
		Published: on("2024-01-01T00:00:00Z"), Binds: []string{"US"}, Vendors: []string{vendor}, Phases: phases,
	}}}
}

func mustCompile(tb testing.TB, vendors []Vendor, restrictions []Restriction, op *Operator, horizon ...Horizon) *Policy {
	tb.Helper()
	c, err := NewCatalog(vendors, restrictions, []Jurisdiction{{ID: "US"}, {ID: "AU"}}, "digest")
	if err != nil {
		tb.Fatal(err)
	}
	opts := Options{Revision: "test", ClockFaults: Allow, RecordFaults: Allow}
	if len(horizon) > 0 {
		opts.KnownAt = horizon[0]
	}
	p, err := Compile(c, op, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// enforced is an operator's file that enforces everything on everybody, who is bound by US.
func enforced() *Operator {
	s := DefaultSettings()
	s.Mode = Enforce
	return &Operator{DefaultSite: Site{Jurisdictions: []string{"US"}}, Settings: s}
}

func plainFacts(name string) *Facts {
	n := host.MustParse(name)
	return &Facts{
		Client: netip.MustParseAddr("10.0.0.1"), Stage: StageRequest, Method: "GET", Scheme: "http",
		Authority: n, Port: 80, Inner: n, Path: "/",
	}
}

func tlsFacts(name string) *Facts {
	n := host.MustParse(name)
	return &Facts{
		Client: netip.MustParseAddr("10.0.0.1"), Stage: StageHello, Method: "CONNECT", Scheme: "https",
		Authority: n, Port: 443, SNI: n, Hello: HelloWithName,
	}
}
