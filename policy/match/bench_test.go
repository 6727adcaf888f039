package match

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

// list returns n names of the kind that block lists have, of 2 to 5 labels.
func list(n int) []host.Name {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	names := make([]host.Name, n)
	for i := range names {
		sub := []string{"", "www.", fmt.Sprintf("cdn%d.", r.IntN(100)), fmt.Sprintf("a%d.edge.", r.IntN(100))}[r.IntN(4)]
		names[i] = host.MustParse(fmt.Sprintf("%s%s%d.example%d.com", sub, []string{"updates", "dl", "files"}[r.IntN(3)], i, r.IntN(n)))
	}
	return names
}

// vendors returns entries as a catalogue has them beside its lists: several hundred hosts and zones, some with ports.
func vendors() []Entry {
	var entries []Entry
	for i := range 200 {
		e := Entry{Meaning: uint32(10 + i%40)}
		e.Hosts = append(e.Hosts, host.MustParse(fmt.Sprintf("portal%d.vendor%d.com", i, i)))
		e.Zones = append(e.Zones, host.MustParse(fmt.Sprintf("upd.vendor%d.com", i)), host.MustParse(fmt.Sprintf("vendor%d.net", i)))
		entries = append(entries, e)
		if i%20 == 0 {
			e.Hosts, e.Meaning, e.Ports = nil, e.Meaning+1, []PortRange{{27200, 27299}}
			entries = append(entries, e)
		}
	}
	p, err := ParsePattern("/index/u[0-9][0-9][0-9][0-9]g.xml")
	if err != nil {
		panic(err)
	}
	return append(entries, Entry{Paths: []Pattern{p}, Meaning: 1000})
}

func mustIndex(tb testing.TB, base, extra []Entry) *Index {
	tb.Helper()
	n, err := NewNames(base)
	if err != nil {
		tb.Fatal(err)
	}
	x, err := NewIndex(n, extra)
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// spread returns 65,536 of the names in random order, their texts side by side as if they had just been read.
func spread(names []host.Name) []host.Name {
	r := rand.New(rand.NewPCG(2, 3))
	out := make([]host.Name, 1<<16)
	for i := range out {
		out[i] = host.MustParse(strings.Clone(names[r.IntN(len(names))].String()))
	}
	return out
}

func unmatched() []host.Name {
	out := make([]host.Name, 1<<16)
	for i := range out {
		out[i] = host.MustParse(fmt.Sprintf("a%d.b.c%d.unknown%d.org", i, i%100, i%5000))
	}
	return out
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		names := list(n)
		for _, as := range []string{"hosts", "zones"} {
			e := Entry{Meaning: 1, Hosts: names}
			if as == "zones" {
				e = Entry{Meaning: 1, Zones: names}
			}
			x := mustIndex(b, append(vendors(), e), []Entry{{Zones: []host.Name{host.MustParse("own.example")}, Meaning: 2}})
			matched, unmatched := spread(names), unmatched()
			run := func(what string, queries []host.Name, mask int) {
				b.Run(fmt.Sprintf("%s=%d/%s", as, n, what), func(b *testing.B) {
					b.ReportAllocs()
					i := 0
					for b.Loop() {
						x.Lookup(queries[i&mask], 443)
						i++
					}
				})
			}
			run("matched/hot", matched, 15)
			run("matched/spread", matched, 1<<16-1)
			run("unmatched/hot", unmatched, 15)
			run("unmatched/spread", unmatched, 1<<16-1)
		}
	}
}

// A flow of which authority, SNI and inner host are three names: one by host, one by zone and port, one unmatched.
func BenchmarkThreeNames(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		names := list(n)
		x := mustIndex(b, append(vendors(), Entry{Meaning: 1, Hosts: names}), nil)
		one, two, three := names[n/2], host.MustParse("s20.upd.vendor20.com"), host.MustParse("a1.b.c1.unknown1.org")
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.Lookup(one, 443)
				x.Lookup(two, 27250)
				x.Lookup(three, 443)
			}
		})
	}
}

// What it costs to load a million names, and to build the index of a policy beside them. The second list is the harder:
// with ports, it stops no search, so what lies around each name matters.
func BenchmarkBuild(b *testing.B) {
	names := list(1_000_000)
	for _, bench := range []struct {
		what string
		list Entry
	}{
		{"hosts", Entry{Hosts: names, Meaning: 1}},
		{"zones with ports", Entry{Zones: names, Ports: []PortRange{{80, 443}}, Meaning: 1}},
	} {
		entries := append(vendors(), bench.list)
		n, err := NewNames(entries)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(bench.what+"/names", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := NewNames(entries); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bench.what+"/index", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := NewIndex(n, vendors()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPath(b *testing.B) {
	for _, bench := range []struct{ name, pattern, path string }{
		{"prefix fits", "/v6/**", "/v6/index/u1313g.xml"},
		{"prefix differs", "/v6/**", "/index/u1313g.xml"},
		{"classes", "/index/u[0-9][0-9][0-9][0-9]g.xml", "/index/u1313g.xml"},
		{"suffix", "/**.cab", "/msdownload/update/v3/static/trustedr/en/authrootstl.cab"},
	} {
		p, err := ParsePattern(bench.pattern)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				p.Match(bench.path)
			}
		})
	}
}
