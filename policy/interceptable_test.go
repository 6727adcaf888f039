package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

func TestInterceptable(t *testing.T) {
	pinned := zonesOf(Channels(Codebase), "pinned.example")
	pinned.Pinned = true
	pinnedBelow := hostsOf(Channels(Signatures), "scan.upd.example")
	pinnedBelow.Pinned = true
	listed := Endpoint{Channels: Channels(Codebase), Sources: someSource, FromList: "list.txt", Hosts: names("l1.example", "l2.example", "x.upd.example")}
	vendors := []Vendor{
		{ID: "acme", Endpoints: []Endpoint{
			zonesOf(Channels(Signatures), "upd.example"), hostsOf(Channels(Codebase), "host.example", "a.host.example", "notupd.example"),
			hostsOf(Channels(Revocation), "crl.example"), hostsOf(Channels(Signatures, Connectivity), "probe.example"),
			pinned, pinnedBelow, listed,
		}},
		{ID: "free", Endpoints: []Endpoint{
			hostsOf(Channels(Codebase), "code.free.example", "in.pinned.example"), hostsOf(Channels(Signatures), "sig.free.example"),
			{Hosts: names("path.free.example"), Paths: patterns("/x/**"), Channels: Channels(Telemetry), Sources: someSource},
		}},
	}
	law := []Restriction{restriction("r", "acme", gracePhase(long, Signatures), blockPhase(soon, Signatures, Codebase))}
	restricted := []string{"host.example", "l1.example", "l2.example", "notupd.example", "upd.example"}
	blocking := []Phase{{From: on(soon), Effect: EffectBlock}}
	with := func(more ...string) []string {
		list := slices.Concat(restricted, more)
		slices.Sort(list)
		return list
	}

	for _, c := range []struct {
		name string
		set  func(*Operator)
		want []string
	}{
		{"what a restriction names", nil, restricted},
		{"whatever its mode", func(op *Operator) { op.Restrictions = []Listing{{ID: "r", Mode: Off}} }, restricted},
		{"a rule by vendor", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Target: Target{Vendor: "free"}, Phases: blocking}}
		}, with("code.free.example", "in.pinned.example", "path.free.example", "sig.free.example")},
		{"a rule by vendor and channels", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Target: Target{Vendor: "free", Channels: Channels(Codebase)}, Phases: blocking}}
		}, with("code.free.example", "in.pinned.example")},
		{"a rule that never blocks", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Target: Target{Vendor: "free"}, Phases: []Phase{{From: on(soon), Effect: EffectGrace}}}}
		}, restricted},
		{"a rule by names, which may be in no catalogue", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Target: Target{Hosts: names("www.other.test", "192.0.2.1", "h.pinned.example")}, Phases: blocking}}
		}, with("www.other.test")},
		{"a rule that names protected endpoints", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Target: Target{Hosts: names("crl.example", "probe.example")}, Phases: blocking}}
		}, restricted},
		{"a rule by vendor leaves them alone", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Target: Target{Vendor: "acme"}, Phases: blocking}}
		}, restricted},
		{"unless it is final", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Final: true, Target: Target{Vendor: "acme", Channels: Channels(Connectivity)}, Phases: blocking}}
		}, with("probe.example")},
		{"a final one reaches them", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Final: true, Target: Target{Hosts: names("crl.example")}, Phases: blocking}}
		}, with("crl.example")},
		{"a rule for a pinned zone reaches what is not pinned inside", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Target: Target{Zones: names("pinned.example")}, Phases: blocking}}
		}, with("in.pinned.example")},
		{"a wide zone takes all below it", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Target: Target{Zones: names("example")}, Phases: blocking}}
		}, []string{"example"}},
		{"the default is block, so that it matters whether a path is an endpoint", func(op *Operator) {
			op.Settings.Default = Block
		}, with("path.free.example")},
		{"the operator's own vendor is none of a restriction", func(op *Operator) {
			op.Vendors = []Vendor{{ID: "own", Endpoints: []Endpoint{hostsOf(Channels(Codebase), "own.test")}}}
		}, restricted},
		{"the operator's endpoints for a vendor that is", func(op *Operator) {
			op.Vendors = []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Codebase), "own.test", "192.0.2.2")}}}
		}, with("own.test")},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := enforced()
			if c.set != nil {
				c.set(op)
			}
			// The catalogue lets go of names that came from a list: each policy needs its own.
			own := slices.Clone(vendors)
			own[0].Endpoints = slices.Clone(own[0].Endpoints)
			var got []string
			for _, n := range mustCompile(t, own, law, op).Interceptable() {
				got = append(got, n.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// covered tells whether constraints would permit a name.
func covered(list []host.Name, n host.Name) bool { return slices.ContainsFunc(list, n.Within) }

// interceptedNames are asked about: those of the random law, and below each one that no text names.
func interceptedNames() []host.Name {
	var list []host.Name
	for _, s := range worldNames {
		if n := host.MustParse(s); !n.IsAddr() {
			list = append(list, n, host.MustParse("q."+s))
		}
	}
	return list
}

// TestInterceptableCoversNeed: what Decide ever needs the request for, whoever asks and whenever, is covered.
func TestInterceptableCoversNeed(t *testing.T) {
	needed := 0
	for seed := range uint64(100) {
		w := newWorld(seed)
		w.op.Settings.BlockPage = true
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		list := p.Interceptable()
		probes := w.dull().probes()
		for _, n := range interceptedNames() {
			if covered(list, n) {
				continue
			}
			f := &Facts{Stage: StageHello, Scheme: "https", Authority: n, SNI: n, Hello: HelloWithName}
			for i := range 4 * len(worldClients) {
				f.Client = netip.MustParseAddr(worldClients[i/4])
				f.User = []string{"", "ann"}[i%2]
				f.Port = []uint16{80, 443}[i/2%2]
				for _, at := range probes {
					if d := p.Decide(at, f); d.Need == NeedRequest {
						t.Fatalf("seed %d, at %s: %s needs the request and is not in %v: %+v", seed, at, n, list, f)
					}
				}
			}
		}
		if len(list) > 0 {
			needed++
		}
	}
	if needed < 50 {
		t.Errorf("only %d policies could intercept anything", needed)
	}
}

// TestInterceptableEqualsDull: the names that it covers are those that could be needed, nothing else is in it, and nothing that an
// operator may turn without a new CA changes it.
func TestInterceptableEqualsDull(t *testing.T) {
	for seed := range uint64(400) {
		w := newWorld(seed)
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		list := p.Interceptable()
		d := w.dull()
		could := func(n host.Name) bool { return d.couldNeed(n, 80) || d.couldNeed(n, 443) }
		for _, n := range interceptedNames() {
			if could(n) && !covered(list, n) {
				t.Fatalf("seed %d: %s could be needed, and is not in %v", seed, n, list)
			}
		}
		for _, n := range list {
			if below := host.MustParse("q." + n.String()); n.IsAddr() || !could(n) && !could(below) {
				t.Fatalf("seed %d: nothing could be needed of %s, which is in %v", seed, n, list)
			}
			if parent, ok := n.Parent(); ok && covered(list, parent) {
				t.Fatalf("seed %d: %s is covered twice in %v", seed, n, list)
			}
		}
		if !slices.IsSortedFunc(list, func(a, b host.Name) int { return slices.Compare([]byte(a.String()), []byte(b.String())) }) {
			t.Fatalf("seed %d: %v is not sorted", seed, list)
		}
		w.op.Settings.Mode, w.op.Restrictions, w.op.Settings.BlockPage = Mode(w.IntN(3)), nil, w.IntN(2) == 0
		w.op.Settings.Unseen.Request, w.op.Waivers = Verdict(w.IntN(2)), nil
		if other := mustCompile(t, w.vendors, w.restrictions, w.op, Horizon{At: w.instant().At}).Interceptable(); !slices.Equal(list, other) {
			t.Fatalf("seed %d: %v, and under other settings %v", seed, list, other)
		}
	}
}

// couldNeed tells whether any text could make the request of a name matter, straight from the words of the contract.
func (w *dull) couldNeed(n host.Name, port uint16) bool {
	outcomes, hit := w.find(n, &Facts{Stage: StageHello, Port: port})
	could := hit && len(outcomes) > 1 && outcomes[len(outcomes)-1] == nil && w.op.Settings.Default == Block
	for _, endpoints := range outcomes {
		protected := slices.ContainsFunc(endpoints, func(e found) bool { return e.Channels&neverBlock != 0 })
		for _, r := range w.op.Rules {
			blocks := slices.ContainsFunc(r.Phases, func(ph Phase) bool { return ph.Effect == EffectBlock })
			about := w.named(&r.Target, n) || slices.ContainsFunc(endpoints, func(e found) bool {
				return e.vendor == r.Target.Vendor && (r.Target.Channels == 0 || r.Target.Channels&e.Channels != 0)
			})
			could = could || blocks && about && (r.Final || !protected)
		}
		for _, e := range endpoints {
			if e.Pinned {
				return false
			}
			for _, r := range w.restrictions {
				for _, rev := range r.Revisions {
					could = could || !protected && slices.Contains(rev.Vendors, e.vendor) && slices.ContainsFunc(e.Channels.List(), rev.everBlocks)
				}
			}
		}
	}
	return could
}

// everBlocks tells whether a text blocks a channel at any time, or lets a floor end.
func (r *Revision) everBlocks(c Channel) bool {
	return !r.Exempt.Has(c) && (slices.ContainsFunc(r.Phases, func(ph Phase) bool { return ph.Effect == EffectBlock && ph.Channels.Has(c) }) ||
		slices.ContainsFunc(r.Floors, func(f Floor) bool { return f.Channels.Has(c) }))
}

// TestInterceptableMany keeps the time for many names near to linear. The bound is generous: it is there for what is quadratic.
func TestInterceptableMany(t *testing.T) {
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{{Channels: Channels(Codebase), Sources: someSource, FromList: "list.txt"}}}}
	const n = 200_000
	e := &vendors[0].Endpoints[0]
	for i := range n {
		e.Hosts = append(e.Hosts, host.MustParse(fmt.Sprintf("h%d.z%d.example", i, i%1000)))
	}
	e.Zones = names("z7.example")
	p := mustCompile(t, vendors, []Restriction{restriction("r", "acme", blockPhase(long, Codebase))}, enforced())
	start := time.Now()
	list := p.Interceptable()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("%d names took %s", n, took)
	}
	if want := n - n/1000 + 1; len(list) != want {
		t.Errorf("%d names, want %d", len(list), want)
	}
}

func BenchmarkInterceptable(b *testing.B) {
	p := bigLaw(b, 1_000_000)
	op := *p.Operator()
	op.Rules = []Rule{{ID: "1", Target: Target{Vendor: "big"}, Phases: []Phase{{From: on(soon), Effect: EffectBlock}}}}
	p, err := Compile(p.Catalog(), &op, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("names=1000000", func(b *testing.B) {
		for b.Loop() {
			p.Interceptable()
		}
	})
}
