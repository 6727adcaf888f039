package policy

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// bigLaw has n listed names beside a few that are governed, and 100 restrictions: 20 on the governed vendor, the rest on others.
func bigLaw(tb testing.TB, n int) *Policy {
	tb.Helper()
	listed := Endpoint{Channels: Channels(Codebase), Sources: someSource, FromList: "list.txt", Hosts: make([]host.Name, n)}
	for i := range listed.Hosts {
		listed.Hosts[i] = host.MustParse(fmt.Sprintf("updates-%07d.cdn.vendor-%d.example", i, i%977))
	}
	vendors := []Vendor{
		{ID: "big", Endpoints: []Endpoint{listed}},
		{ID: "acme", Endpoints: []Endpoint{
			zonesOf(Channels(Signatures, Codebase), "upd.acme.example", "geo.acme.example"),
			hostsOf(Channels(Cloud), "cloud.acme.example"),
		}},
	}
	var restrictions []Restriction
	for i := range 100 {
		vendor := "acme"
		if i >= 20 {
			vendor = fmt.Sprintf("v%d", i)
			vendors = append(vendors, Vendor{ID: vendor, Endpoints: []Endpoint{hostsOf(Channels(Codebase), "u."+vendor+".example")}})
		}
		start := time.Date(2020, 1, 1+i, 0, 0, 0, 0, time.UTC)
		phase := func(years int, e Effect) Phase {
			return Phase{From: Instant{At: start.AddDate(years, 0, 0)}, Effect: e, Channels: Channels(Signatures, Codebase, Cloud)}
		}
		restrictions = append(restrictions, restriction(fmt.Sprintf("r%d", i), vendor, phase(0, EffectNotice), phase(2, EffectGrace), phase(5, EffectBlock)))
	}
	return mustCompile(tb, vendors, restrictions, enforced())
}

// flows are what the benchmarks ask about: nothing known, one governed name, and three governed names that differ.
func benchFlows() map[string]*Facts {
	three := tlsFacts("s01.upd.acme.example")
	three.Stage, three.SNI, three.Inner, three.Path = StageRequest, host.MustParse("dnl-02.geo.acme.example"), host.MustParse("cloud.acme.example"), "/x"
	return map[string]*Facts{"unmatched": tlsFacts("www.nothing.example.org"), "governed": tlsFacts("s01.upd.acme.example"), "three": three}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	p := bigLaw(t, 1000)
	for name, f := range benchFlows() {
		for _, at := range []string{"2019-01-01T00:00:00Z", "2023-06-01T00:00:00Z", "2030-01-01T00:00:00Z"} {
			at := mustTime(at)
			if n := testing.AllocsPerRun(100, func() { p.Decide(at, f) }); n != 0 {
				t.Errorf("%s at %s: %v allocations", name, at, n)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		p := bigLaw(b, n)
		for _, flow := range []string{"unmatched", "governed", "three"} {
			f := benchFlows()[flow]
			b.Run(fmt.Sprintf("names=%d/%s", n, flow), func(b *testing.B) {
				at := mustTime("2023-06-01T00:00:00Z")
				b.ReportAllocs()
				for b.Loop() {
					p.Decide(at, f)
				}
			})
		}
	}
}

// BenchmarkCompile is a reload that changes the policy file alone: the catalogue and its index stay.
func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{10, 1_000_000} {
		p := bigLaw(b, n)
		b.Run(fmt.Sprintf("names=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Compile(p.Catalog(), p.Operator(), Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompileLarge is a reload of a large operator's file: 100 restrictions on one vendor, six sites, 50 waivers and 10
// rules that name hosts.
func BenchmarkCompileLarge(b *testing.B) {
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{
		zonesOf(Channels(Signatures, Codebase), "upd.acme.example"), zonesOf(Channels(Cloud), "cloud.acme.example"),
		hostsOf(Channels(Corporate, Sales), "www.acme.example"), hostsOf(Channels(Activation), "act.acme.example"),
		{Hosts: names("p.acme.example"), Paths: patterns("/v6/**"), Channels: Channels(Integration), Sources: someSource},
	}}}
	var restrictions []Restriction
	for i := range 100 {
		from := func(years int) Instant { return Instant{At: time.Date(2020+years, 1, 1+i, 0, 0, 0, 0, time.UTC)} }
		restrictions = append(restrictions, restriction(fmt.Sprintf("r%d", i), "acme",
			Phase{From: from(0), Effect: EffectNotice, Channels: AllChannels}, Phase{From: from(2), Effect: EffectGrace, Channels: AllChannels},
			Phase{From: from(5), Effect: EffectBlock, Channels: AllChannels}))
	}
	op := enforced()
	for i := range 6 {
		op.Sites = append(op.Sites, Site{
			Name: fmt.Sprint("s", i), Networks: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16)},
			Jurisdictions: [][]string{{"US"}, {"AU"}, {"US", "AU"}}[i%3],
		})
	}
	for i := range 50 {
		op.Waivers = append(op.Waivers, Waiver{
			ID: fmt.Sprint("w", i), Target: Target{Hosts: names(fmt.Sprintf("h%d.upd.acme.example", i))}, Until: on(soon), Owner: "o", Reason: "r",
			Clients: Clients{Networks: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i)}), 24)}},
		})
	}
	for i := range 10 {
		op.Rules = append(op.Rules, Rule{
			ID: fmt.Sprint("o", i), Target: Target{Zones: names(fmt.Sprintf("z%d.upd.acme.example", i))},
			Phases: []Phase{{From: on(then), Effect: EffectBlock, Channels: AllChannels}},
		})
	}
	c, err := NewCatalog(vendors, restrictions, []Jurisdiction{{ID: "US"}, {ID: "AU"}}, "")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Compile(c, op, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNameMemory keeps the cost of a listed name bounded, its text included.
func TestNameMemory(t *testing.T) {
	const n = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := bigLaw(t, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	perName := float64(after.HeapAlloc-before.HeapAlloc) / n
	runtime.KeepAlive(p)
	t.Logf("%.0f bytes of heap a name", perName)
	if perName > 120 {
		t.Errorf("%.0f bytes of heap a name, want at most 120", perName)
	}
}
