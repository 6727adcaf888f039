package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

// world makes random law: few vendors, names, channels and instants, so that everything meets everything.
type world struct {
	*rand.Rand
	vendors      []Vendor
	restrictions []Restriction
	op           *Operator
	horizon      Horizon
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1))}
	for i := range 1 + w.IntN(3) {
		w.vendors = append(w.vendors, Vendor{ID: fmt.Sprintf("v%d", i), Endpoints: w.endpoints(1 + w.IntN(4))})
	}
	for i := range w.IntN(4) {
		w.restrictions = append(w.restrictions, w.restriction(fmt.Sprintf("r%d", i)))
	}
	switch w.IntN(3) {
	case 0:
		w.horizon.Clock = true
	case 1:
		w.horizon.At = w.publication()
	}
	w.op = w.operator()
	return w
}

// instant is one of 40 hours, so that instants often are equal or neighbours.
func (w *world) instant() Instant {
	return Instant{At: time.Unix(1_700_000_000, 0).UTC().Add(time.Duration(w.IntN(40)) * time.Hour), Zone: time.UTC}
}

func (w *world) channels() ChannelSet {
	all := []Channel{Signatures, Codebase, Corporate, Revocation}
	s := Channels(all[w.IntN(len(all)-w.IntN(2))]) // never-block less often
	if w.IntN(2) == 0 {
		s |= Channels(all[w.IntN(3)])
	}
	return s
}

var worldNames = []string{"example", "a.example", "b.example", "x.a.example", "y.x.a.example", "other.test", "192.0.2.7"}

func (w *world) names(zones bool) []host.Name {
	n := worldNames[:len(worldNames)-1]
	if !zones && w.IntN(8) == 0 {
		n = worldNames
	}
	return names(n[w.IntN(len(n))])
}

func (w *world) endpoints(n int) []Endpoint {
	var list []Endpoint
	for range n {
		e := Endpoint{Channels: w.channels(), Sources: someSource}
		if w.IntN(2) == 0 {
			e.Zones = w.names(true)
		} else {
			e.Hosts = w.names(true)
		}
		if w.IntN(4) == 0 {
			e.Ports = []match.PortRange{{First: 80, Last: 80}}
		}
		if w.IntN(4) == 0 {
			e.Paths = patterns([]string{"/p/**", "/q"}[w.IntN(2)])
		}
		e.Pinned = w.IntN(8) == 0
		if w.IntN(10) == 0 {
			e.Hosts, e.Zones, e.Ports, e.Paths = nil, nil, nil, patterns("/q")
			e.LowTrust = w.IntN(2) == 0
		}
		list = append(list, e)
	}
	return list
}

func (w *world) restriction(id string) Restriction {
	r := Restriction{ID: id, Title: id, Verified: w.IntN(6) > 0, Strength: Strength(w.IntN(3)), Zone: time.UTC}
	published := w.instant()
	for range 1 + w.IntN(2) {
		rev := Revision{Published: published, Binds: []string{[]string{"US", "AU"}[w.IntN(2)]}}
		for _, v := range w.vendors {
			if w.IntN(3) > 0 {
				rev.Vendors = append(rev.Vendors, v.ID)
			}
		}
		if w.IntN(4) == 0 {
			rev.Exempt = w.channels()
		}
		for range 1 + w.IntN(3) {
			p := Phase{From: w.instant(), Effect: w.effect(), Channels: w.channels()}
			clash := func(q Phase) bool { return q.From.At.Equal(p.From.At) && q.Channels&p.Channels != 0 }
			if !slices.ContainsFunc(rev.Phases, clash) {
				rev.Phases = append(rev.Phases, p)
			}
		}
		if w.IntN(3) == 0 {
			rev.Floors = append(rev.Floors, Floor{AtLeastUntil: w.instant(), Channels: w.channels()})
		}
		r.Revisions = append(r.Revisions, rev)
		published.At = published.At.Add(time.Duration(1+w.IntN(9)) * time.Hour)
	}
	for i := range w.IntN(3) {
		s := Stay{ID: fmt.Sprint("s", i), Published: w.instant(), From: w.instant(), Channels: w.channels()}
		if w.IntN(3) > 0 {
			until := s.From
			until.At = until.At.Add(time.Duration(1+w.IntN(20)) * time.Hour)
			s.Until = &until
		}
		r.Stays = append(r.Stays, s)
		if w.IntN(3) == 0 {
			r.Stays = append(r.Stays, Stay{Lifts: s.ID, Published: w.instant(), From: w.instant()})
		}
	}
	if w.IntN(2) == 0 {
		from := w.instant()
		until := from
		until.At = until.At.Add(time.Duration(1+w.IntN(20)) * time.Hour)
		r.Licences = append(r.Licences, Licence{ID: "l", Published: w.instant(), From: from, Until: until, Channels: w.channels()})
	}
	return r
}

// publication is an instant at which something was published, where anything was.
func (w *world) publication() time.Time {
	list := []time.Time{w.instant().At}
	for i := range w.restrictions {
		for _, at := range w.restrictions[i].publications() {
			list = append(list, time.Unix(0, at).UTC())
		}
	}
	return list[w.IntN(len(list))]
}

func (w *world) mode() Mode { return []Mode{Enforce, Enforce, Monitor, Off}[w.IntN(4)] }

// effect is often a grace or a block, since what they lead to has most to it.
func (w *world) effect() Effect {
	return []Effect{EffectNotice, EffectAllow, EffectGrace, EffectGrace, EffectBlock, EffectBlock}[w.IntN(6)]
}

var worldClients = []string{"10.0.0.1", "10.1.0.1", "10.1.1.1", "10.2.0.1", "192.168.0.9"}

func (w *world) operator() *Operator {
	verdict := func() Verdict { return Verdict(w.IntN(2)) }
	rarely := func() Verdict { return Verdict(min(1, w.IntN(4))) }
	op := &Operator{
		Settings: Settings{
			Mode: w.mode(), Default: rarely(), AllOf: w.IntN(3) == 0, AfterFloor: verdict(), BlockPage: w.IntN(3) == 0,
			WarnBefore: time.Duration(w.IntN(8)) * time.Hour,
			Unseen: UnseenSettings{
				Address: rarely(), NoSNI: rarely(), NotTLS: rarely(), ECH: rarely(), Mismatch: rarely(), Unreadable: verdict(), Request: verdict(),
			},
		},
		Sites: []Site{
			{Name: "one", Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, Jurisdictions: []string{"US"}},
			{Name: "two", Networks: []netip.Prefix{netip.MustParsePrefix("10.1.1.0/24")}},
			{Name: "relay", Networks: []netip.Prefix{netip.MustParsePrefix("10.2.0.1/32")}, Relay: true, Serves: []string{"one", "two"}},
		},
		Persons: []Person{{Name: "staff", Clients: Clients{Users: []string{"ann"}, MACs: []string{"00:16:3e:aa:bb:cc"}}, Jurisdictions: []string{"AU"}}},
	}
	if w.IntN(2) == 0 {
		op.DefaultSite.Jurisdictions = []string{"AU"}
	}
	for i := range w.restrictions {
		if w.IntN(2) == 0 {
			op.Restrictions = append(op.Restrictions, Listing{ID: w.restrictions[i].ID, Mode: w.mode()})
		}
	}
	if w.IntN(3) == 0 {
		op.Vendors = []Vendor{{ID: []string{"own", "v0"}[w.IntN(2)], Endpoints: w.endpoints(2)}}
	}
	for i := range w.IntN(3) {
		r := Rule{ID: fmt.Sprint("rule", i), Target: w.target(), Final: w.IntN(2) == 0}
		for range 1 + w.IntN(2) {
			p := Phase{From: w.instant(), Effect: w.effect(), Channels: AllChannels}
			if !slices.ContainsFunc(r.Phases, func(q Phase) bool { return q.From.At.Equal(p.From.At) }) {
				r.Phases = append(r.Phases, p)
			}
		}
		if w.IntN(2) == 0 {
			r.Sites = []string{"one"}
		}
		op.Rules = append(op.Rules, r)
	}
	for i := range w.IntN(3) {
		x := Waiver{ID: fmt.Sprint("w", i), Target: w.target(), Until: w.instant(), Owner: "o", Reason: "r"}
		if w.IntN(2) == 0 {
			x.From = new(x.Until)
			x.From.At = x.From.At.Add(-time.Duration(1+w.IntN(20)) * time.Hour)
		}
		if w.IntN(2) == 0 {
			x.Clients.Networks = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
		}
		if w.IntN(3) == 0 {
			x.Sites = []string{"one"}
		}
		op.Waivers = append(op.Waivers, x)
	}
	return op
}

func (w *world) target() Target {
	switch w.IntN(3) {
	case 0:
		return Target{Hosts: w.names(false)}
	case 1:
		return Target{Zones: w.names(true)}
	}
	t := Target{Vendor: w.vendors[w.IntN(len(w.vendors))].ID}
	if w.IntN(2) == 0 {
		t.Channels = w.channels()
	}
	return t
}

func (w *world) facts() *Facts {
	pick := func() host.Name { return host.MustParse(worldNames[w.IntN(len(worldNames))]) }
	f := &Facts{
		Client: netip.MustParseAddr(worldClients[w.IntN(len(worldClients))]), Authority: pick(), Port: []uint16{80, 443}[w.IntN(2)],
		Stage: Stage(w.IntN(3)), Scheme: "https", ECH: w.IntN(6) == 0,
	}
	if w.IntN(3) == 0 {
		f.User = []string{"ann", "bob"}[w.IntN(2)]
	}
	if w.IntN(3) == 0 {
		f.MAC = "00:16:3e:aa:bb:cc"
	}
	if w.IntN(3) == 0 {
		f.Transparent, f.Authority = true, host.MustParse([]string{"192.0.2.7", "192.0.2.8"}[w.IntN(2)])
	}
	if f.Stage >= StageHello {
		f.Hello = Hello(1 + w.IntN(4))
		f.SNI = pick()
		if f.SNI.IsAddr() {
			f.SNI = host.MustParse("example")
		}
		if f.Hello != HelloWithName {
			f.SNI = host.Name{}
		}
	}
	if f.Stage == StageRequest {
		f.Inner, f.Path = pick(), []string{"/", "/p/1", "/q", ""}[w.IntN(4)]
		f.PathAgain = []string{"/", "/p/1", "/q", "", "", ""}[w.IntN(6)]
	}
	return f
}

// all is the catalogue's vendors with the operator's.
func (w *world) dull() *dull {
	return &dull{
		vendors: slices.Concat(w.vendors, w.op.Vendors), restrictions: w.restrictions, op: w.op, horizon: w.horizon,
	}
}

// probes lists every instant at which anything could change, each with its neighbours.
func (d *dull) probes() []time.Time {
	list := []time.Time{time.Unix(0, 0).UTC()}
	for _, at := range d.instants() {
		for _, x := range []time.Time{at, at.Add(-d.op.Settings.WarnBefore)} {
			list = append(list, x.Add(-1), x, x.Add(1))
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}

// TestDecideEqualsDull is the main property: on random law, at every instant that matters and around it, the compiled policy
// says what the dull twin says, and foresees each next change and next block as trying every instant finds them.
func TestDecideEqualsDull(t *testing.T) {
	t.Parallel()
	worlds := 200 // TestEdges has what they seldom meet
	if testing.Short() {
		worlds = 60
	}
	for seed := range uint64(worlds) {
		w := newWorld(seed)
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		d := w.dull()
		probes := d.probes()
		for range 6 {
			f := w.facts()
			checkOverTime(t, seed, p, d, probes, f)
			checkWould(t, seed, p, w.enforcing(), probes, f)
		}
		if t.Failed() {
			return
		}
	}
}

// enforcing is the twin under which every restriction that is not off is listed as enforced.
func (w *world) enforcing() *dull {
	d := w.dull()
	op := *w.op
	op.Restrictions = nil
	for i := range w.restrictions {
		mode := Enforce
		if d.mode(&w.restrictions[i]) == Off {
			mode = Off
		}
		op.Restrictions = append(op.Restrictions, Listing{ID: w.restrictions[i].ID, Mode: mode})
	}
	d.op = &op
	return d
}

// checkWould: what a decision says it would be is what it is where everything is enforced.
func checkWould(t *testing.T, seed uint64, p *Policy, d *dull, probes []time.Time, f *Facts) {
	t.Helper()
	for _, at := range probes {
		got := p.Decide(at, f)
		// Of the readings of a path, one that would block is enough, whichever is the stricter now.
		if want := d.decide(at, f); got.Would != want.verdict {
			t.Errorf("seed %d, at %s, %+v: %s (%s), would %s; the twin that enforces all says %s (%s)",
				seed, at, f, got.Verdict, got.State, got.Would, want.verdict, want.state)
			return
		}
	}
}

func checkOverTime(t *testing.T, seed uint64, p *Policy, d *dull, probes []time.Time, f *Facts) {
	t.Helper()
	decisions := make([]Decision, len(probes))
	for i, at := range probes {
		decisions[i] = p.Decide(at, f)
		got := &decisions[i]
		if want := d.decide(at, f); got.Verdict != want.verdict || got.State != want.state {
			t.Errorf("seed %d, at %s, %+v: got %s (%s), the twin says %s (%s)", seed, at, f, got.Verdict, got.State, want.verdict, want.state)
			return
		}
		if e := p.Explain(at, f); e.Decision != *got {
			t.Errorf("seed %d, at %s, %+v: Explain and Decide differ", seed, at, f)
		}
	}
	for i := range probes {
		change, block := time.Time{}, time.Time{}
		for j := i + 1; j < len(probes); j++ {
			a, b, now := &decisions[j-1], &decisions[j], &decisions[i]
			if change.IsZero() && (b.Verdict != now.Verdict || b.State != now.State || b.Need != now.Need) {
				change = probes[j]
			}
			if block.IsZero() && a.Verdict == Allow && b.Verdict == Block {
				block = probes[j]
			}
		}
		if got, _ := decisions[i].NextChange(); !got.Equal(change) {
			t.Errorf("seed %d, at %s, %+v: next change %s, trying every instant finds %s", seed, probes[i], f, got, change)
			return
		}
		if got, _ := decisions[i].NextBlock(); !got.Equal(block) {
			t.Errorf("seed %d, at %s, %+v: next block %s, trying every instant finds %s", seed, probes[i], f, got, block)
			return
		}
	}
}
