package match

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

// Heap that a catalogue costs for each of its names, the text of the names included.
func TestMemoryPerName(t *testing.T) {
	const n = 200_000
	names := list(n)
	for _, test := range []struct {
		what  string
		entry Entry
	}{
		{"hosts", Entry{Hosts: names}},
		{"zones", Entry{Zones: names}},
		{"zones with ports", Entry{Zones: names, Ports: []PortRange{{80, 443}}}},
	} {
		entries := append(vendors(), test.entry)
		before := heap()
		x, err := NewNames(entries)
		if err != nil {
			t.Fatal(err)
		}
		each := float64(heap()-before) / n
		t.Logf("%s: %.0f bytes a name", test.what, each)
		if each < 20 || each > 120 {
			t.Errorf("%s: %.0f bytes a name, want less than 120", test.what, each)
		}
		runtime.KeepAlive(x)
	}
	runtime.KeepAlive(names)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The index of a policy holds nothing for each name of the catalogue, so a reload is cheap beside a million.
func TestIndexIsSmall(t *testing.T) {
	n, err := NewNames(append(vendors(), Entry{Hosts: list(100_000)}))
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	x, err := NewIndex(n, vendors())
	if err != nil {
		t.Fatal(err)
	}
	if size := heap() - before; size > 1<<20 {
		t.Errorf("the index takes %d bytes", size)
	}
	runtime.KeepAlive(x)
}

func TestNoAllocations(t *testing.T) {
	x := mustIndex(t, append(catalogue(t), vendors()...), catalogue(t))
	s := NewSelections([]Selector{{Zones: hosts("kaspersky.com"), Hosts: hosts("opentip.kaspersky.com")}})
	p := mustPattern(t, "/**.xml")
	var names []host.Name
	for _, test := range ruleTests {
		names = append(names, host.MustParse(test.name))
	}
	for what, f := range map[string]func(){
		"Lookup and Path": func() {
			for i, n := range names {
				x.Path(x.Lookup(n, ruleTests[i].port), ruleTests[i].path)
			}
		},
		"Fingerprint":       func() { x.Fingerprint("/index/u1313g.xml") },
		"Selections.Lookup": func() { s.Lookup(names[0]); s.Lookup(names[1]); s.Lookup(names[2]) },
		"Match":             func() { p.Match("/index/u1313g.xml") },
		"CleanPath":         func() { CleanPath("/.well-known/a/b.c?d=/../") },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var table table
	table.seal()
	if v := table.get(tagOf("a"), "a"); v != 0 {
		t.Errorf("an empty table has %d", v)
	}
	want := make(map[string]uint32)
	for i := range uint32(5000) {
		name := fmt.Sprint("host", i*7919%3000)
		at := table.at(name)
		if *at != want[name] {
			t.Fatalf("%s is %d, want %d", name, *at, want[name])
		}
		*at += i + 1
		want[name] += i + 1
	}
	table.seal()
	if table.used != len(want) {
		t.Errorf("%d names, want %d", table.used, len(want))
	}
	for i := range 6000 {
		name := fmt.Sprint("host", i)
		if got := table.get(tagOf(name), name); got != want[name] {
			t.Errorf("%s is %d, want %d", name, got, want[name])
		}
	}
}
