package policy

import (
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

func TestKnown(t *testing.T) {
	t.Parallel()
	byPort := hostsOf(Channels(Activation), "port.example")
	byPort.Ports = []PortRange{{First: 27200, Last: 27299}}
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{
		zonesOf(Channels(Signatures), "upd.example"), hostsOf(Channels(Codebase), "a.upd.example", "host.example"),
		hostsOf(Channels(Revocation), "crl.example"), byPort,
	}}}
	op := enforced()
	op.Vendors = []Vendor{{ID: "own", Endpoints: []Endpoint{zonesOf(Channels(Codebase), "own.test", "upd.example"), hostsOf(Channels(Codebase), "192.0.2.7")}}}
	blocking := []Phase{{From: on(soon), Effect: EffectBlock}}
	op.Rules = []Rule{
		{ID: "1", Target: Target{Hosts: names("rule.test", "2001:db8::7")}, Phases: blocking},
		{ID: "2", Target: Target{Zones: names("zone.test")}, Phases: blocking},
	}
	op.Waivers = []Waiver{{ID: "1", Target: Target{Hosts: names("waived.test")}, Until: on(soon)}}
	p := mustCompile(t, vendors, nil, op)
	for _, c := range []struct {
		what string
		got  iter.Seq[host.Name]
		want []string
	}{
		{"hosts", p.KnownHosts(), []string{"192.0.2.7", "2001:db8::7", "a.upd.example", "crl.example", "host.example", "port.example", "rule.test"}},
		{"zones", p.KnownZones(), []string{"own.test", "upd.example", "zone.test"}},
	} {
		var got []string
		for n := range c.got {
			got = append(got, n.String())
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, c.want) {
			t.Errorf("known %s: %s, want %s", c.what, strings.Join(got, " "), strings.Join(c.want, " "))
		}
		for range c.got {
			break // an early end is one
		}
	}
}
