package proxy

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// anybody may have flows open.
func anybody(*flow) bool { return true }

// flowFor is a flow of the law of the tests, judged as of the rig's clock, without a connection.
func (r *rig) flowFor(name string, cut func()) *flow {
	f := newPlainFlow(netip.MustParseAddrPort("127.0.0.1:1000"), "GET", host.MustParse(name), 80, "/", "", "http://"+name+"/")
	r.judge(f)
	f.cut = cut
	return f
}

// A hundred thousand open flows: until the deadline no tick looks at any of them; with it, one tick cuts all that are
// governed, and none of the others.
func TestAHundredThousandFlows(t *testing.T) {
	t.Parallel()
	const many = 100_000
	r := newRig(t, rigSetup{})
	var cuts atomic.Int64
	all := make([]*flow, many)
	for i := range all {
		name := "upd.acme.example"
		if i%4 == 3 {
			name = "free.example"
		}
		all[i] = r.flowFor(name, func() { cuts.Add(1) })
	}
	fs := newFlows(anybody)
	fs.shards = fs.shards[:1] // so that counting needs no lock
	for _, f := range all {
		fs.add(f)
	}
	looks := 0
	tick := func(at time.Time) {
		fs.tick(at.UnixNano(), view{policy: r.policies.Current()}, func(f *flow) {
			looks++
			r.judgeAgain(f)
		})
	}
	tick(inGrace) // whoever came before the first tick is looked at once
	looks = 0
	for _, at := range []time.Time{inGrace, deadline.Add(-31 * 24 * time.Hour), deadline.Add(-31 * 24 * time.Hour)} {
		r.clock.set(at)
		tick(at)
	}
	if looks != 0 || cuts.Load() != 0 {
		t.Fatalf("%d were looked at, %d were cut", looks, cuts.Load())
	}
	r.clock.set(deadline)
	began := time.Now()
	tick(deadline)
	t.Logf("%d flows were judged again and %d cut in %v", looks, cuts.Load(), time.Since(began))
	if looks != many*3/4 || cuts.Load() != many*3/4 {
		t.Errorf("%d were looked at, %d were cut", looks, cuts.Load())
	}
	for _, f := range all {
		fs.remove(f)
	}
	if err := fs.drain(t.Context()); err != nil || fs.open.Load() != 0 {
		t.Errorf("%v, %d are open", err, fs.open.Load())
	}
}

// The buckets against a plain list, on random sequences.
func TestFlowsAgainstAList(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	views := []view{{policy: new(policy.Policy)}, {policy: new(policy.Policy)}, {policy: new(policy.Policy), turn: 1}}
	views[2].policy = views[0].policy // the clock was turned
	in := views[0]
	fs := newFlows(anybody)
	due := make(map[*flow]int64)
	now := int64(0)
	for range 8_000 {
		switch n := random.IntN(100); {
		case n < 45:
			f := &flow{ruling: ruling{view: in}, next: now + random.Int64N(20)}
			fs.add(f)
			if due[f] = f.next; f.place.shard.swept != in { // it was judged by a policy that the shard has not seen
				due[f] = math.MinInt64
			}
		case n < 80:
			for f := range due {
				fs.remove(f)
				delete(due, f)
				break
			}
		case n < 90:
			for f := range due {
				f.next = now + random.Int64N(20)
				fs.file(f)
				if f.ruling.view == f.place.shard.swept {
					due[f] = f.next
				}
				break
			}
		case n < 99:
			now += random.Int64N(5)
			tickTwin(t, fs, due, now, in, false)
		default:
			in = views[random.IntN(len(views))]
			tickTwin(t, fs, due, now, in, fs.shards[0].swept != in)
		}
	}
}

// tickTwin ticks, and compares who was judged again with who should be.
func tickTwin(t *testing.T, fs *flows, due map[*flow]int64, now int64, in view, everybody bool) {
	t.Helper()
	want := make(map[*flow]bool)
	for f, at := range due {
		if at <= now || everybody {
			want[f] = true
		}
	}
	got := newBox[*flow]()
	fs.tick(now, in, func(f *flow) {
		got.add(f)
		f.ruling.view, f.next = in, now+7
	})
	for _, f := range got.all() {
		if !want[f] {
			t.Fatal("one was judged again before its time")
		}
		delete(want, f)
		due[f] = now + 7
	}
	if len(want) > 0 {
		t.Fatalf("%d were not judged again", len(want))
	}
}

// A flow that ends while it is being judged again stays gone, and a cut of it does nothing.
func TestAFlowThatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	cut := false
	f := r.flowFor("upd.acme.example", func() { cut = true })
	r.open(f, f.cut)
	due := slices.Concat(r.flows.shards[0].due(never-1, view{}), f.place.shard.due(never-1, view{}))
	r.close(f)
	r.clock.set(deadline)
	if r.judgeAgain(f); cut {
		t.Error("it was cut")
	}
	for _, f := range due {
		r.flows.file(f)
	}
	if open, total := r.OpenFlows(10); total != 0 {
		t.Errorf("still open: %v", open)
	}
}

// A tunnel is held by what its hello told, too: its deadline may be another one than that of the name that it was opened for.
func TestADeadlineThatTheHelloTold(t *testing.T) {
	t.Parallel()
	o := echoOrigin(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	// Not among the first: those are judged again in any case, since no tick has seen their policy.
	for range 2 * len(r.flows.shards) {
		r.tunnel("free.example:443").send("x").expect("x")
	}
	r.flows.tick(inGrace.UnixNano(), view{policy: r.policies.Current()}, r.judgeAgain)
	hello := helloFor("upd.acme.example")
	w := r.tunnel("free.example:443").send(hello)
	w.expect(hello)
	r.clock.set(deadline)
	if err := w.end(); !isReset(err) {
		t.Errorf("the end is %v", err)
	}
	r.records.wait(t, "cut", func(rec audit.Record) bool { return rec.Ended == "cut" && rec.Verdict == policy.Block })
}

// Nobody escapes the end of the gateway, or of a user, by being judged again just then.
func TestAFlowThatIsJudgedAgainDuringTheEnd(t *testing.T) {
	t.Parallel()
	for reason, during := range map[string]func(fs *flows, known *atomic.Bool){
		"drain": func(fs *flows, _ *atomic.Bool) { fs.cutAll("drain") },
		"logged-out": func(fs *flows, known *atomic.Bool) {
			known.Store(false)
			fs.expel()
		},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			var known atomic.Bool
			known.Store(true)
			fs := newFlows(func(*flow) bool { return known.Load() })
			cut := ""
			f := &flow{}
			f.cut = func() { cut = f.ended }
			fs.add(f)
			fs.tick(0, view{}, func(*flow) { during(fs, &known) })
			if cut != reason {
				t.Errorf("it was cut for %q", cut)
			}
		})
	}
}

// Whoever is judged before a reload and registered after it is judged by the new policy with the next tick.
func TestAReloadBetweenVerdictAndRegistration(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	cut := make(chan struct{})
	f := r.flowFor("free.example", func() { close(cut) })
	r.enforce("default: block", 0)
	r.flows.tick(inGrace.UnixNano(), view{policy: r.policies.Current()}, r.judgeAgain)
	r.open(f, f.cut)
	select {
	case <-cut:
	case <-time.After(patience):
		t.Error("it goes on")
	}
	r.close(f)
}

func BenchmarkFlows(b *testing.B) {
	for name, open := range map[string]int{"none": 0, "100000": 100_000} {
		b.Run(name, func(b *testing.B) {
			fs := newFlows(anybody)
			for range open {
				fs.add(&flow{})
			}
			b.ReportAllocs()
			f := &flow{}
			for b.Loop() {
				f.place = place{}
				fs.add(f)
				fs.remove(f)
			}
		})
	}
}
