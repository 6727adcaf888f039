package divert_test

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/proxy/divert"
)

// twin is the plain rule beside pac.js, for names that are neither local nor addresses.
func twin(zones, hosts []string, host string) bool {
	return slices.Contains(hosts, host) || slices.ContainsFunc(zones, func(zone string) bool {
		return host == zone || strings.HasSuffix(host, "."+zone)
	})
}

// Few labels, so that names meet. Some are those of members that every object of JavaScript has.
var labels = []string{"a", "b", "aa", "ab", "x-1", "constructor", "__proto__", "com"}

func randomName(r *rand.Rand) string {
	name := make([]string, 2+r.IntN(4))
	for i := range name {
		name[i] = labels[r.IntN(len(labels))]
	}
	return strings.Join(name, ".")
}

func TestRandomNames(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		random := func(n int) []string {
			list := make([]string, n)
			for i := range list {
				list[i] = randomName(r)
			}
			return list
		}
		zones, listed, asked := random(r.IntN(12)), random(r.IntN(60)), random(200)
		names, err := divert.NewNames(slices.Values(zones), slices.Values(listed))
		if err != nil {
			t.Fatal(err)
		}
		text, err := divert.PAC("gw:3128", divert.Options{Only: names})
		if err != nil {
			t.Fatal(err)
		}
		for i, answer := range ask(t, text, asked) {
			if got, want := answer == "PROXY gw:3128", twin(zones, listed, asked[i]); got != want {
				t.Fatalf("seed %d: %s goes through the proxy: %v, want %v", seed, asked[i], got, want)
			}
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("upd.kaspersky.com", "dnl-01.geo.kaspersky.com", "s01.upd.kaspersky.com")
	f.Add("example", "__proto__", "www.__proto__.example")
	f.Add("constructor", "192.0.2.1", "a.constructor")
	f.Fuzz(func(t *testing.T, zone, host, asked string) {
		names, err := divert.NewNames(slices.Values([]string{zone}), slices.Values([]string{host}))
		if err != nil {
			return
		}
		text, err := divert.PAC("gw:3128", divert.Options{Only: names})
		if err != nil {
			t.Fatal(err)
		}
		// What is asked is a host as a browser spells it; what is local is none of this test.
		if _, err := divert.PAC(asked+":1", divert.Options{}); err != nil || asked != strings.ToLower(asked) || isLocal(asked) {
			return
		}
		got := ask(t, text, []string{asked})[0] == "PROXY gw:3128"
		if want := twin([]string{zone}, []string{host}, asked); got != want {
			t.Errorf("zone %q and host %q: %q goes through the proxy: %v, want %v", zone, host, asked, got, want)
		}
	})
}

// isLocal is more than pac.js calls local: every address, too.
func isLocal(host string) bool {
	return strings.HasPrefix(host, "[") || !strings.Contains(host, ".") || slices.ContainsFunc([]string{
		"localhost", "local", "home.arpa", "internal",
	}, func(zone string) bool { return host == zone || strings.HasSuffix(host, "."+zone) }) || strings.Trim(host, "0123456789.") == ""
}

func TestNamesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", ".example", "example.", "a..b", "*.example", "192.0.2.1", "2001:db8::1", "bücher.example", `"`, "fe80::1%\u2028"} {
		if _, err := divert.NewNames(slices.Values([]string{name}), slices.Values[[]string](nil)); err == nil {
			t.Errorf("zone %q is not refused", name)
		}
	}
	for _, name := range []string{"", ".", ".example", "example.", "a..b", "*.example", "[2001:db8::1]", "192.0.2", "fe80::1%eth0", `fe80::1%"`, "192.0.2.1:80"} {
		if _, err := divert.NewNames(slices.Values[[]string](nil), slices.Values([]string{name})); err == nil {
			t.Errorf("host %q is not refused", name)
		}
	}
}

// numbered yields names until told to stop, and counts how many were taken.
func numbered(n int, taken *int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range n {
			*taken++
			if !yield(fmt.Sprintf("host-%06d.zone-%03d.example", i, i%1000)) {
				return
			}
		}
	}
}

func TestTooManyNames(t *testing.T) {
	t.Parallel()
	none := slices.Values[[]string](nil)
	var taken int
	names, err := divert.NewNames(none, numbered(25_000, &taken))
	if err != nil {
		t.Fatal(err)
	}
	text, err := divert.PAC("gw:3128", divert.Options{Only: names})
	if err != nil || len(text) > divert.MaxSize || !strings.Contains(text, `"host-024999.zone-999.example": 1`) {
		t.Fatalf("25000 names: %d bytes, %v", len(text), err)
	}

	for what, seqs := range map[string][2]iter.Seq[string]{
		"hosts": {none, numbered(1_000_000, &taken)}, "zones": {numbered(1_000_000, &taken), none},
	} {
		taken = 0
		if _, err := divert.NewNames(seqs[0], seqs[1]); !errors.Is(err, divert.TooLargeError{}) {
			t.Errorf("a million %s: %v", what, err)
		}
		if taken > 30_000 {
			t.Errorf("a million %s: refused after %d", what, taken)
		}
	}

	// They may be many, if they lie in zones.
	if _, err := divert.NewNames(slices.Values([]string{"example"}), numbered(50_000, &taken)); err != nil {
		t.Errorf("hosts in a zone: %v", err)
	}
	// The last bytes are the operator's own.
	var full []string
	for i := range 24_000 {
		full = append(full, fmt.Sprintf("host-%06d.zone-%03d.example", i, i%1000))
	}
	names, err = divert.NewNames(none, slices.Values(full))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := divert.PAC("gw:3128", divert.Options{Only: names, Direct: full}); !errors.Is(err, divert.TooLargeError{}) {
		t.Errorf("names and direct names together: %v", err)
	}
}

// BenchmarkFind looks up a host of many labels among some 25,000 names.
func BenchmarkFind(b *testing.B) {
	var taken int
	names, err := divert.NewNames(numbered(25_000, &taken), slices.Values[[]string](nil))
	if err != nil {
		b.Fatal(err)
	}
	text, err := divert.PAC("gw:3128", divert.Options{Only: names})
	if err != nil {
		b.Fatal(err)
	}
	find := evaluate(b, text)
	for b.Loop() {
		if _, err := find("https://x/", "a.b.c.d.e.f.host-024999.zone-998.example"); err != nil {
			b.Fatal(err)
		}
	}
}
