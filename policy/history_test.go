package policy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Whatever the world, the span that holds at an instant says what Decide says then, spans follow each other without gaps, and
// neighbours differ.
func TestHistoryIsDecide(t *testing.T) {
	t.Parallel()
	changes := 0
	for seed := range uint64(400) {
		w := newWorld(seed / 4)
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		w.Rand = rand.New(rand.NewPCG(seed, 2))
		f := w.facts()
		spans := p.History(f)
		changes += len(spans) - 1
		for i := range spans {
			if (i == 0) != spans[i].From.IsZero() || (i == len(spans)-1) != spans[i].Until.IsZero() {
				t.Fatalf("seed %d: span %d of %d has From %s and Until %s", seed, i, len(spans), spans[i].From, spans[i].Until)
			}
			if i > 0 && (!spans[i].From.Equal(spans[i-1].Until) || spans[i].says(&spans[i-1].Decision)) {
				t.Fatalf("seed %d: span %d does not follow the one before", seed, i)
			}
		}
		for _, at := range append(w.dull().probes(), w.instant().At.Add(time.Duration(w.Int64N(int64(time.Hour))))) {
			i := slices.IndexFunc(spans, func(s Span) bool {
				return !at.Before(s.From) && (s.Until.IsZero() || at.Before(s.Until))
			})
			if d := p.Decide(at, f); i < 0 || !spans[i].says(&d) {
				t.Fatalf("seed %d, %s: span %d does not say what Decide does: %s %s", seed, at, i, d.Verdict, d.State)
			}
		}
	}
	if changes < 100 {
		t.Errorf("only %d changes in all: the worlds are too quiet to tell", changes)
	}
}

// Where a verdict changes is among the instants that concern the flow, and those are among the instants of the policy.
func TestConcernHoldsEveryChange(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		w := newWorld(seed)
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		f := w.facts()
		f.Stage, f.Hello, f.ECH, f.PathAgain = StageHello, HelloNoName, false, "" // nothing is to come, and one name decides
		all, concern := p.Instants(), p.Concern(f)
		own := slices.Concat(concern.Law, concern.Own)
		for _, at := range own {
			if !slices.Contains(all, at) {
				t.Fatalf("seed %d: %s is no instant of the policy", seed, at)
			}
		}
		for _, s := range p.History(f)[1:] {
			if !slices.Contains(own, s.From) {
				t.Fatalf("seed %d: a change at %s does not concern it: %s", seed, s.From, own)
			}
		}
	}
}

// Every client is treated as one of the askers, and every destination as one of the destinations.
func TestSamplesStandForAll(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		w := newWorld(seed)
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		askers, destinations := p.Askers(), p.Destinations()
		if len(askers) > len(p.scopes.list) || askers[0].Client.IsValid() {
			t.Fatalf("seed %d: %d askers for %d scopes, the first %s", seed, len(askers), len(p.scopes.list), askers[0].Client)
		}
		for range 20 {
			f := w.facts()
			id := p.scopes.index(f)
			if !slices.ContainsFunc(askers, func(a Asker) bool {
				return p.scopes.index(&Facts{Client: a.Client, User: a.User, MAC: a.MAC}) == id
			}) {
				t.Fatalf("seed %d: nobody stands for client %s, user %q, device %q", seed, f.Client, f.User, f.MAC)
			}
			var l, m looked
			f.Hello, f.Inner = HelloUnseen, f.Authority
			if f.Stage == StageAuthority {
				f.Stage = StageHello
			}
			p.look(f, f.Path, &l)
			if !slices.ContainsFunc(destinations, func(d Destination) bool {
				g := d.Facts(&askers[0])
				m = looked{}
				p.look(&g, g.Path, &m)
				return m.names[0].class == l.names[0].class && m.names[0].set == l.names[0].set
			}) {
				t.Fatalf("seed %d: nothing stands for %s:%d%s", seed, f.Authority, f.Port, f.Path)
			}
		}
	}
}

func TestAskersOfNestedNetworks(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		op := &Operator{}
		for i := range 1 + rnd.IntN(6) {
			bits := 28 + rnd.IntN(5)
			op.Sites = append(op.Sites, Site{
				Name: string(rune('a' + i)), Jurisdictions: []string{string(rune('A' + i))},
				Networks: prefixes(t, 0xc0000200|rnd.Uint32N(16), bits),
			})
		}
		// The same network twice is refused by Check, which compileScopes relies on.
		seen := map[string]bool{}
		op.Sites = slices.DeleteFunc(op.Sites, func(s Site) bool {
			key := s.Networks[0].String()
			defer func() { seen[key] = true }()
			return seen[key]
		})
		sc, err := compileScopes(op)
		if err != nil {
			t.Fatal(err)
		}
		p := &Policy{op: op, scopes: sc, who: newWho(op)}
		askers := p.Askers()
		for low := range uint32(16) {
			f := Facts{Client: prefixes(t, 0xc0000200|low, 32)[0].Addr()}
			if !slices.ContainsFunc(askers, func(a Asker) bool { return sc.index(&Facts{Client: a.Client}) == sc.index(&f) }) {
				t.Fatalf("nobody stands for %s in %+v", f.Client, op.Sites)
			}
		}
	}
}

func prefixes(t *testing.T, v4 uint32, bits int) []netip.Prefix {
	t.Helper()
	a := netip.AddrFrom4([4]byte{byte(v4 >> 24), byte(v4 >> 16), byte(v4 >> 8), byte(v4)})
	n, err := a.Prefix(bits)
	if err != nil {
		t.Fatal(err)
	}
	return []netip.Prefix{n}
}
