package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// oemLaw has an OEM's host of which only one path, and what lies below it, is blocked.
func oemLaw(tb testing.TB, set func(*Operator)) *Policy {
	tb.Helper()
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{
		{Hosts: names("kav8.zonealarm.com"), Paths: patterns("/v6/**"), Channels: Channels(Integration), Sources: someSource},
		{Paths: patterns("/index/u[0-9].xml"), Channels: Channels(Signatures), Sources: someSource},
	}}}
	op := enforced()
	if set != nil {
		set(op)
	}
	return mustCompile(tb, vendors, []Restriction{restriction("r", "acme", blockPhase(long, Integration, Signatures))}, op)
}

// TestPathTricks: however a path is spelled, it is judged as what the strictest reader takes it for, or not at all.
func TestPathTricks(t *testing.T) {
	p := oemLaw(t, nil)
	const blocked, passes, refused = "blocked", "passes", "refused"
	for raw, want := range map[string]string{
		"/v6/a":                   blocked,
		"/version.txt":            passes,
		"/%76%36/a":               blocked,
		"/v%36/%62":               blocked,
		"//v6//a":                 blocked,
		"/./v6/./a":               blocked,
		"/x/../v6/a":              blocked,
		"/v6;p/a":                 blocked,
		"/v6;p=1;q/a":             blocked,
		"/;p/v6/a":                blocked,
		"/v6%3Bp/a":               blocked,
		`/v6\a`:                   blocked,
		`\v6\a`:                   refused, // no path
		"/%5Cv6%5Ca":              blocked,
		"/v6%5ca":                 blocked,
		`/x\..\v6/a`:              blocked,
		"/x/..;/v6/a":             blocked,
		"/%2576%2536/a":           blocked,
		"/v%2536/a":               blocked,
		"/x/%252e%252e/v6/a":      blocked,
		"/x%252f..%252fv6/a":      blocked,
		"/v6/..;/version.txt":     blocked, // as it stands it is below /v6
		"/v6/%252e%252e/x":        blocked, // likewise
		"/x/..%255cv6/a":          refused, // who does which of decoding and turning?
		"/x/..;/v6/%252e%252e/x":  refused,
		"/v6//../a":               refused,
		"/v6/%2f../a":             refused,
		"/%00/../v6/a":            refused,
		"/%252576/a":              passes, // twice more is beyond what servers do
		"/V6/a":                   passes, // case tells
		"/x;p/version.txt":        passes,
		"/100%25/version.txt?v6/": passes,
	} {
		path, again, ok := ReadPath(raw)
		got := refused
		if ok {
			f := plainFacts("kav8.zonealarm.com")
			f.Path, f.PathAgain = path, again
			got = passes
			if d := p.Decide(mustTime(then), f); d.Verdict == Block {
				got = blocked
			}
		}
		if got != want {
			t.Errorf("%s, read as %q and %q, %t: %s, want %s", raw, path, again, ok, got, want)
		}
	}
}

// TestDefaultSeesBothReadings: where what no endpoint matches is blocked, leaving an endpoint in one reading blocks, too.
func TestDefaultSeesBothReadings(t *testing.T) {
	p := oemLaw(t, func(op *Operator) {
		op.Settings.Default = Block
		op.Restrictions = []Listing{{ID: "r", Mode: Monitor}}
	})
	f := plainFacts("kav8.zonealarm.com")
	for raw, want := range map[string]Verdict{"/v6/a": Allow, "/x": Block, "/v6/..;/x": Block, "/x/..;/v6/a": Block, "/v6/a;p": Allow} {
		f.Path, f.PathAgain, _ = ReadPath(raw)
		if d := p.Decide(mustTime(then), f); d.Verdict != want {
			t.Errorf("%s: %s (%s), want %s", raw, d.Verdict, d.State, want)
		}
	}
}

// TestExplainTellsTheReading: the reasons are those of the reading that decided.
func TestExplainTellsTheReading(t *testing.T) {
	p := oemLaw(t, nil)
	for _, c := range []struct {
		host, raw string
		again     bool
		reasons   []string
	}{
		{"kav8.zonealarm.com", "/v6;p/a", true, []string{"endpoint:kav8.zonealarm.com", "phase:r:integration*"}},
		{"kav8.zonealarm.com", "/v6/a;p", false, []string{"endpoint:kav8.zonealarm.com", "phase:r:integration*"}},
		{"kav8.zonealarm.com", "/v6/..;/a", false, []string{"endpoint:kav8.zonealarm.com", "phase:r:integration*"}},
		{"kav8.zonealarm.com", "/x;p/a", false, []string{"default*"}},
		{"192.0.2.9", "/index/u1.xml;p", true, []string{"endpoint:/index/u1.xml", "phase:r:signatures*"}},
		{"192.0.2.9", `/index\u%2531.xml`, true, []string{"endpoint:/index/u1.xml", "phase:r:signatures*"}},
	} {
		f := plainFacts(c.host)
		var ok bool
		if f.Path, f.PathAgain, ok = ReadPath(c.raw); !ok {
			t.Errorf("%s cannot be read", c.raw)
			continue
		}
		e := p.Explain(mustTime(then), f)
		if got := kinds(&e); e.Again != c.again || !slices.Equal(got, c.reasons) {
			t.Errorf("%s%s: again %t, %q; want %t, %q", c.host, c.raw, e.Again, got, c.again, c.reasons)
		}
	}
}

// TestTwoReadingsAreTheStricterOfTwo: a decision with both readings is the stricter of the two decisions with one, and what
// comes next is when that changes. What the law itself says of both is checked by TestDecideEqualsDull.
func TestTwoReadingsAreTheStricterOfTwo(t *testing.T) {
	differ := 0
	for seed := range uint64(300) {
		w := newWorld(seed)
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		probes := w.dull().probes()
		for range 6 {
			f := w.facts()
			f.Stage, f.Path, f.PathAgain = StageRequest, []string{"/", "/p/1", "/q"}[w.IntN(3)], []string{"/", "/p/1", "/q"}[w.IntN(3)]
			one, other := *f, *f
			one.PathAgain, other.Path, other.PathAgain = "", f.PathAgain, ""
			at := probes[w.IntN(len(probes))].Add(time.Duration(w.IntN(3)-1) * time.Minute)
			a, b, both := p.Decide(at, &one), p.Decide(at, &other), p.Decide(at, f)
			want := a
			if b.Verdict == Block && a.Verdict == Allow || a.Verdict == b.Verdict && b.State > a.State {
				want = b
			}
			if a.Verdict != b.Verdict || a.State != b.State {
				differ++
			}
			would := min(a.Would, b.Would) // Block is the smaller
			if both.Verdict != want.Verdict || both.State != want.State || both.Need != want.Need || both.by != want.by ||
				both.class != want.class || both.since != want.since || both.Would != would || both.Governed != (a.Governed || b.Governed) {
				t.Fatalf("seed %d, at %s, %+v: got %+v, want the stricter of %+v and %+v", seed, at, f, both, a, b)
			}
		}
	}
	if differ < 100 {
		t.Errorf("only %d times did the readings differ", differ)
	}
}

// TestTwoReadingsDoNotAllocate also where they lead to different endpoints.
func TestTwoReadingsDoNotAllocate(t *testing.T) {
	p := oemLaw(t, nil)
	f := plainFacts("kav8.zonealarm.com")
	f.Path, f.PathAgain = "/v6;p/a", "/v6/a"
	at := mustTime(then)
	if n := testing.AllocsPerRun(100, func() { p.Decide(at, f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { ReadPath("/index/u1313g.xml.kdc") }); n != 0 {
		t.Errorf("%v allocations to read an ordinary path", n)
	}
}

func BenchmarkReadPath(b *testing.B) {
	for _, raw := range []string{"/bases/av/kdb/i386/u1313g.xml.kdc", "/a%20b", "/v6;p/%2562"} {
		b.Run(raw, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ReadPath(raw)
			}
		})
	}
}

func BenchmarkDecideTwoReadings(b *testing.B) {
	p := oemLaw(b, nil)
	f := plainFacts("kav8.zonealarm.com")
	at := mustTime(then)
	for name, again := range map[string]string{"alike": "/a", "different": "/v6/a"} {
		f.Path, f.PathAgain = "/x;p", again
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(at, f)
			}
		})
	}
}

func FuzzReadPath(f *testing.F) {
	for _, raw := range []string{"/v6/a?b", "/%62", "//v6/./a", "/v6;p/a", `/v6\a`, "/%2562", "/x/..;/v6", "/x/..%255cv6", "/v6//../a", "*", "/%"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, again, ok := ReadPath(raw)
		if !ok {
			if path != "" || again != "" {
				t.Errorf("%q cannot be read, but is %q and %q", raw, path, again)
			}
			return
		}
		if clean, ok := cleanPath(raw); clean != path || !ok {
			t.Errorf("%q is read as %q, and its canonical form is %q, %t", raw, path, clean, ok)
		}
		if again == path || !strings.ContainsAny(path, `%\;`) && again != "" {
			t.Errorf("%q is read as %q and again as %q", raw, path, again)
		}
		// What has nothing special left reads as itself.
		for _, p := range []string{path, again} {
			if p == "" || strings.ContainsAny(p, `%\;?#`) {
				continue
			}
			if same, more, ok := ReadPath(p); same != p || more != "" || !ok {
				t.Errorf("%q, of %q, is read as %q, %q, %t", p, raw, same, more, ok)
			}
		}
	})
}
