package match

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

func hosts(names ...string) []host.Name {
	var list []host.Name
	for _, n := range names {
		list = append(list, host.MustParse(n))
	}
	return list
}

func patterns(tb testing.TB, texts ...string) []Pattern {
	tb.Helper()
	var list []Pattern
	for _, s := range texts {
		list = append(list, mustPattern(tb, s))
	}
	return list
}

// The meanings of the catalogue in the tests below.
const (
	corporate uint32 = iota
	updates
	intelligence
	portal
	activation
	integration
	anyPort
	mail
	own
	fingerprint
)

func catalogue(tb testing.TB) []Entry {
	tb.Helper()
	return []Entry{
		{Zones: hosts("kaspersky.com"), Meaning: corporate},
		{Zones: hosts("upd.kaspersky.com", "geo.kaspersky.com"), Meaning: updates},
		{Hosts: hosts("opentip.kaspersky.com"), Meaning: intelligence},
		{Zones: hosts("ksc.kaspersky.com"), Ports: []PortRange{{443, 443}, {23100, 23199}}, Meaning: portal},
		{Zones: hosts("ksc.kaspersky.com"), Ports: []PortRange{{27200, 27299}}, Meaning: activation},
		{Hosts: hosts("kav8.zonealarm.com"), Paths: patterns(tb, "/v6/**", "/version.txt"), Meaning: integration},
		{Zones: hosts("zonealarm.com"), Ports: []PortRange{{80, 80}}, Paths: patterns(tb, "/v6/index/**"), Meaning: updates},
		{Zones: hosts("zonealarm.com"), Ports: []PortRange{{80, 80}}, Meaning: corporate},
		{Zones: hosts("zonealarm.com"), Paths: patterns(tb, "/mail/**"), Meaning: mail},
		{Zones: hosts("zonealarm.com"), Meaning: anyPort},
		// The same name as a host and as a zone.
		{Hosts: hosts("both.example"), Meaning: portal},
		{Zones: hosts("both.example"), Meaning: updates},
		// Equals unite.
		{Hosts: hosts("two.example"), Meaning: portal},
		{Hosts: hosts("two.example"), Meaning: mail},
		{Hosts: hosts("two.example"), Ports: []PortRange{{81, 90}}, Meaning: updates},
		{Hosts: hosts("two.example"), Ports: []PortRange{{85, 95}}, Meaning: mail},
		// Only a path, and nothing around it.
		{Hosts: hosts("path.example"), Paths: patterns(tb, "/a/**"), Meaning: updates},
		{Hosts: hosts("path.example"), Paths: patterns(tb, "/a/b/**"), Meaning: mail},
		// Many levels of which none ends the search, and a zone of very many labels.
		{Zones: hosts("v.w.x.y.z", "w.x.y.z", "x.y.z", "y.z"), Ports: []PortRange{{80, 80}}, Meaning: updates},
		{Zones: hosts("z"), Meaning: corporate},
		{Zones: hosts(strings.Repeat("a.", 70) + "z"), Meaning: mail},
		{Paths: patterns(tb, "/index/u[0-9][0-9][0-9][0-9]g.xml"), Meaning: fingerprint},
	}
}

var ruleTests = []struct {
	name string
	port uint16
	path string
	want []uint32
}{
	// Zones, on label boundaries.
	{"kaspersky.com", 443, "/", []uint32{corporate}},
	{"www.kaspersky.com", 443, "/", []uint32{corporate}},
	{"notkaspersky.com", 443, "/", nil},
	{"com", 443, "/", nil},
	{"kaspersky.com.evil.example", 443, "/", nil},
	{"s01.upd.kaspersky.com", 443, "/", []uint32{updates}},
	{"s20.upd.kaspersky.com", 443, "/", []uint32{updates}},
	{"a.b.s20.upd.kaspersky.com", 443, "/", []uint32{updates}},
	{"upd.kaspersky.com", 443, "/", []uint32{updates}},
	{"xupd.kaspersky.com", 443, "/", []uint32{corporate}},
	{"s01.upd.kaspersky.com.evil.example", 443, "/", nil},
	// A host is that name only.
	{"opentip.kaspersky.com", 443, "/", []uint32{intelligence}},
	{"a.opentip.kaspersky.com", 443, "/", []uint32{corporate}},
	{"both.example", 443, "/", []uint32{portal}},
	{"a.both.example", 443, "/", []uint32{updates}},
	// Ports; what does not fit is skipped, and the search goes on outward.
	{"ksc.kaspersky.com", 443, "/", []uint32{portal}},
	{"ksc.kaspersky.com", 23099, "/", []uint32{corporate}},
	{"ksc.kaspersky.com", 23100, "/", []uint32{portal}},
	{"s1.ksc.kaspersky.com", 23199, "/", []uint32{portal}},
	{"s1.ksc.kaspersky.com", 23200, "/", []uint32{corporate}},
	{"ksc.kaspersky.com", 27199, "/", []uint32{corporate}},
	{"ksc.kaspersky.com", 27200, "/", []uint32{activation}},
	{"ksc.kaspersky.com", 27299, "/", []uint32{activation}},
	{"ksc.kaspersky.com", 27300, "/", []uint32{corporate}},
	{"ksc.kaspersky.com", 0, "/", []uint32{corporate}},
	{"ksc.kaspersky.com", 65535, "/", []uint32{corporate}},
	// Paths, from the host outward; at the zone port and path before port before path before plain.
	{"kav8.zonealarm.com", 80, "/v6/index/u1313g.xml", []uint32{integration}},
	{"kav8.zonealarm.com", 443, "/version.txt", []uint32{integration}},
	{"kav8.zonealarm.com", 80, "/version.txt/", []uint32{corporate}},
	{"kav9.zonealarm.com", 80, "/v6/index/u1313g.xml", []uint32{updates}},
	{"kav9.zonealarm.com", 80, "/v6/", []uint32{corporate}},
	{"kav9.zonealarm.com", 80, "/mail/a", []uint32{corporate}},
	{"kav9.zonealarm.com", 81, "/mail/a", []uint32{mail}},
	{"kav9.zonealarm.com", 81, "/v6/index/", []uint32{anyPort}},
	{"path.example", 80, "/a/x", []uint32{updates}},
	{"path.example", 80, "/a/b/x", []uint32{updates, mail}},
	{"path.example", 80, "/b/", nil},
	// Equals unite.
	{"two.example", 80, "/", []uint32{portal, mail}},
	{"two.example", 81, "/", []uint32{updates}},
	{"two.example", 85, "/", []uint32{updates, mail}},
	{"two.example", 95, "/", []uint32{mail}},
	// Many levels.
	{"u.v.w.x.y.z", 80, "/", []uint32{updates}},
	{"u.v.w.x.y.z", 443, "/", []uint32{corporate}},
	{strings.Repeat("a.", 69) + "z", 443, "/", []uint32{corporate}},
	{strings.Repeat("a.", 70) + "z", 443, "/", []uint32{mail}},
	{strings.Repeat("a.", 120) + "z", 443, "/", []uint32{mail}},
	// Addresses.
	{"192.0.2.7", 80, "/", nil},
	{"2001:db8::7", 80, "/", nil},
}

func TestRule(t *testing.T) {
	t.Parallel()
	entries := catalogue(t)
	x := mustIndex(t, entries, nil)
	for _, test := range ruleTests {
		n := host.MustParse(test.name)
		c := x.Path(x.Lookup(n, test.port), test.path)
		if got := twin(entries).meanings(x.Class(c).Entries); !slices.Equal(got, test.want) {
			t.Errorf("%s:%d%s: got %v, want %v", n, test.port, test.path, got, test.want)
		}
		twin(entries).compare(t, x, n, test.port, test.path)
	}
	if c := x.Lookup(host.Name{}, 443); c != Unmatched {
		t.Errorf("no name: class %d", c)
	}
	if hits := x.Explain(host.Name{}, 443, "/"); hits != nil {
		t.Errorf("no name: %v", hits)
	}
}

func TestOwnEntries(t *testing.T) {
	t.Parallel()
	entries := catalogue(t)
	extra := []Entry{
		{Zones: hosts("dl.upd.kaspersky.com"), Meaning: own},                                      // inside a zone of the catalogue
		{Hosts: hosts("opentip.kaspersky.com"), Meaning: own},                                     // an equal
		{Zones: hosts("kaspersky.com"), Paths: patterns(t, "/own/**"), Meaning: own},              // more specific at the same zone
		{Zones: hosts("example"), Ports: []PortRange{{80, 80}}, Meaning: own},                     // around open hosts of the catalogue
		{Hosts: hosts("192.0.2.7", "2001:db8::7"), Meaning: own},                                  // addresses
		{Zones: hosts("com"), Meaning: own},                                                       // around everything
		{Hosts: hosts("ksc.kaspersky.com"), Ports: []PortRange{{27200, 27200}}, Meaning: updates}, // before the zone
	}
	n, err := NewNames(entries)
	if err != nil {
		t.Fatal(err)
	}
	x, err := NewIndex(n, extra)
	if err != nil {
		t.Fatal(err)
	}
	all := twin(slices.Concat(entries, extra))
	for _, test := range []struct {
		name string
		port uint16
		path string
		want []uint32
	}{
		{"a.dl.upd.kaspersky.com", 443, "/", []uint32{own}},
		{"a.upd.kaspersky.com", 443, "/", []uint32{updates}},
		{"opentip.kaspersky.com", 443, "/", []uint32{intelligence, own}},
		{"www.kaspersky.com", 443, "/own/a", []uint32{own}},
		{"www.kaspersky.com", 443, "/", []uint32{corporate}},
		{"s1.ksc.kaspersky.com", 80, "/own/a", []uint32{own}},
		{"s1.ksc.kaspersky.com", 443, "/own/a", []uint32{portal}},
		{"ksc.kaspersky.com", 27200, "/", []uint32{updates}},
		{"ksc.kaspersky.com", 27201, "/", []uint32{activation}},
		{"path.example", 80, "/b/", []uint32{own}},
		{"path.example", 81, "/b/", nil},
		{"other.example", 80, "/", []uint32{own}},
		{"192.0.2.7", 443, "/", []uint32{own}},
		{"2001:db8::7", 443, "/", []uint32{own}},
		{"192.0.2.8", 443, "/", nil},
		{"notkaspersky.com", 443, "/", []uint32{own}},
	} {
		name := host.MustParse(test.name)
		c := x.Path(x.Lookup(name, test.port), test.path)
		if got := all.meanings(x.Class(c).Entries); !slices.Equal(got, test.want) {
			t.Errorf("%s:%d%s: got %v, want %v", name, test.port, test.path, got, test.want)
		}
		all.compare(t, x, name, test.port, test.path)
	}

	alone, err := NewIndex(nil, extra)
	if err != nil {
		t.Fatal(err)
	}
	twin(extra).compare(t, alone, host.MustParse("www.kaspersky.com"), 443, "/own/a")
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	entries := catalogue(t)
	x := mustIndex(t, entries, nil)
	outcomes := func(name string, port uint16) [][]uint32 {
		var list [][]uint32
		for _, c := range x.Class(x.Lookup(host.MustParse(name), port)).Outcomes {
			list = append(list, twin(entries).meanings(x.Class(c).Entries))
		}
		slices.SortFunc(list, slices.Compare)
		return list
	}
	for _, test := range []struct {
		name string
		port uint16
		want [][]uint32
	}{
		{"upd.kaspersky.com", 80, nil},
		{"kav8.zonealarm.com", 80, [][]uint32{{corporate}, {updates}, {integration}}},
		{"kav8.zonealarm.com", 81, [][]uint32{{integration}, {anyPort}, {mail}}},
		{"path.example", 80, [][]uint32{{}, {updates}, {updates, mail}, {mail}}},
	} {
		if got := outcomes(test.name, test.port); !slices.EqualFunc(got, test.want, slices.Equal) {
			t.Errorf("%s:%d: outcomes %v, want %v", test.name, test.port, got, test.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	entries := append(catalogue(t), Entry{Paths: patterns(t, "/index/**"), Meaning: mail})
	x := mustIndex(t, entries, []Entry{{Paths: patterns(t, "/index/u13*"), Meaning: own}, {Paths: patterns(t, "/own"), Meaning: own}})
	all := twin(append(entries, make([]Entry, 2)...))
	all[len(entries)].Meaning, all[len(entries)+1].Meaning = own, own
	for path, want := range map[string][]uint32{
		"/index/u1313g.xml": {mail, own, fingerprint},
		"/index/u0607g.xml": {mail, fingerprint},
		"/index/":           {mail},
		"/own":              {own},
		"/":                 nil,
	} {
		if got := all.meanings(x.Class(x.Fingerprint(path)).Entries); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	if got := x.Lookup(host.MustParse("dnl-01.example"), 80); got != Unmatched {
		t.Errorf("a fingerprint gives a name the class %d", got)
	}
}

// However many entries and names there are, those that mean the same under the same conditions have one class.
func TestClassesAreFew(t *testing.T) {
	t.Parallel()
	var entries []Entry
	for i, n := range list(3000) {
		e := Entry{Hosts: []host.Name{n}, Meaning: uint32(i % 3)}
		switch i % 4 {
		case 1:
			e.Ports = []PortRange{{80, 443}}
		case 2:
			e.Paths = patterns(t, "/a/**", "/b")
		case 3:
			e.Paths = patterns(t, "/b", "/a/**", "/b")
		}
		entries = append(entries, e)
	}
	// Unmatched, three meanings, and each by path.
	if x := mustIndex(t, entries, nil); x.NumClasses() != 7 {
		t.Errorf("%d classes, want 7", x.NumClasses())
	}
}

// The numbers of classes do not hang on the seed of the hash, so two processes agree. Not parallel: it changes the seed.
func TestNumbersAreStable(t *testing.T) {
	numbers := func() []ClassID {
		seed = maphash.MakeSeed()
		x := mustIndex(t, slices.Concat(catalogue(t), vendors()), catalogue(t))
		list := []ClassID{ClassID(x.NumClasses())}
		for _, test := range ruleTests {
			c := x.Lookup(host.MustParse(test.name), test.port)
			list = append(list, c, x.Path(c, test.path))
		}
		return list
	}
	want := numbers()
	for range 5 {
		if got := numbers(); !slices.Equal(got, want) {
			t.Fatalf("got %v, and before %v", got, want)
		}
	}
}

func TestEntryErrors(t *testing.T) {
	t.Parallel()
	overlapping := func(n int) []Entry {
		var list []Entry
		for i := range n {
			list = append(list, Entry{Hosts: hosts("h.example"), Paths: patterns(t, "/"+strings.Repeat("*/", i)+"**"), Meaning: uint32(i)})
		}
		return list
	}
	for _, test := range []struct {
		entries []Entry
		want    string
	}{
		{[]Entry{{Hosts: []host.Name{{}}}}, "entry 0: a host without a name"},
		{[]Entry{{}, {Zones: []host.Name{{}}}}, "entry 1: a zone without a name"},
		{[]Entry{{Zones: hosts("192.0.2.7")}}, "entry 0: zone 192.0.2.7 is an address: list it as a host"},
		{[]Entry{{Hosts: hosts("a"), Ports: []PortRange{{2, 1}}}}, "entry 0: the port range 2-1 goes downwards"},
		{[]Entry{{Hosts: hosts("a"), Paths: []Pattern{{}}}}, "entry 0: a path pattern that ParsePattern did not make"},
		{[]Entry{{Paths: patterns(t, "/a"), Ports: []PortRange{{1, 2}}}}, "entry 0: a fingerprint with ports: it is matched by its path alone"},
		{
			[]Entry{{Zones: hosts("::1")}, {Ports: []PortRange{{2, 1}}}},
			"entry 0: zone ::1 is an address: list it as a host\nentry 1: the port range 2-1 goes downwards",
		},
		{overlapping(8), ""},
		{overlapping(9), "entries 0, 1, 2, 3, 4, 5, 6, 7, 8: the paths of 9 entries for host h.example overlap in more than 247 ways"},
	} {
		_, err := NewNames(test.entries)
		if got := message(err); got != test.want {
			t.Errorf("NewNames: got %q, want %q", got, test.want)
		}
		_, err = NewIndex(nil, test.entries)
		if got := message(err); got != test.want {
			t.Errorf("NewIndex: got %q, want %q", got, test.want)
		}
	}

	prints := overlapping(9)
	for i := range prints {
		prints[i].Hosts = nil
	}
	_, err := NewNames(prints)
	if got := message(err); got != "entries 0, 1, 2, 3, 4, 5, 6, 7, 8: 9 fingerprints overlap in more than 247 ways" {
		t.Error(got)
	}

	// Ids go on behind the catalogue's, and the error names the entries of both.
	names, err := NewNames(overlapping(8))
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewIndex(names, []Entry{{}, {Hosts: hosts("h.example"), Paths: patterns(t, "/**"), Meaning: 8}})
	var e *EntryError
	if !errors.As(err, &e) || !slices.Equal(e.Entries, []EntryID{0, 1, 2, 3, 4, 5, 6, 7, 9}) {
		t.Errorf("got %v", err)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Fingerprints that exclude each other may be many.
func TestManyFingerprints(t *testing.T) {
	t.Parallel()
	var entries []Entry
	for i := range 300 {
		entries = append(entries, Entry{Paths: patterns(t, fmt.Sprintf("/%d/**", i)), Meaning: uint32(i)})
	}
	x := mustIndex(t, entries, nil)
	if got := x.Class(x.Fingerprint("/30/a")).Entries; !slices.Equal(got, []EntryID{30}) {
		t.Errorf("got %v", got)
	}
}

// Many policies are built over one catalogue while others are in use.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	entries := catalogue(t)
	names, err := NewNames(entries)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			x, err := NewIndex(names, []Entry{{Zones: hosts("kaspersky.com"), Meaning: own}})
			if err != nil {
				t.Error(err)
				return
			}
			for _, test := range ruleTests {
				x.Path(x.Lookup(host.MustParse(test.name), test.port), test.path)
			}
		})
	}
	wait.Wait()
}
