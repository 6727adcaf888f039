package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// dullWho looks at every network, user and device of the file.
func dullWho(op *Operator, f *Facts) (site string, persons []string) {
	client := f.Client.Unmap().WithZone("")
	best := -1
	for i := range op.Sites {
		for _, n := range op.Sites[i].Networks {
			if n.Contains(client) && n.Bits() > best {
				site, best = op.Sites[i].Name, n.Bits()
			}
		}
	}
	for i := range op.Persons {
		c := &op.Persons[i].Clients
		if slices.ContainsFunc(c.Networks, func(n netip.Prefix) bool { return n.Contains(client) }) ||
			f.User != "" && slices.Contains(c.Users, f.User) || f.MAC != "" && slices.Contains(c.MACs, f.MAC) {
			persons = append(persons, op.Persons[i].Name)
		}
	}
	return site, persons
}

func TestWhoEqualsDull(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		addr := func() netip.Addr {
			a := netip.AddrFrom4([4]byte{10, byte(rnd.IntN(2)), byte(rnd.IntN(2)), byte(rnd.IntN(4))})
			switch rnd.IntN(4) {
			case 0:
				return netip.AddrFrom16(a.As16()) // IPv4 in IPv6
			case 1:
				return netip.MustParseAddr(fmt.Sprintf("fd00::%d", rnd.IntN(4)))
			}
			return a
		}
		networks := func(most int) []netip.Prefix {
			all := make([]netip.Prefix, rnd.IntN(most+1))
			for i := range all {
				a := addr()
				all[i] = netip.PrefixFrom(a, a.BitLen()-[]int{0, 1, 2, 8, 16, 24, 32}[rnd.IntN(7)])
			}
			return all
		}
		mark := func() string { return string(rune('a' + rnd.IntN(4))) }
		marks := func() []string {
			all := make([]string, rnd.IntN(3))
			for i := range all {
				all[i] = mark()
			}
			return all
		}
		op := &Operator{}
		for i := range rnd.IntN(5) {
			op.Sites = append(op.Sites, Site{Name: fmt.Sprint("site", i), Networks: networks(3)})
		}
		for i := range rnd.IntN(6) {
			op.Persons = append(op.Persons, Person{
				Name:    fmt.Sprint("person", (i*7)%10),
				Clients: Clients{Networks: networks(3), Users: marks(), MACs: marks()},
			})
		}
		p := &Policy{op: op, who: newWho(op)}
		for range 100 {
			f := &Facts{}
			if rnd.IntN(8) > 0 {
				f.Client = addr()
			}
			if f.Client.Is6() && rnd.IntN(2) == 0 {
				f.Client = f.Client.WithZone("eth0")
			}
			if rnd.IntN(2) == 0 {
				f.User = mark()
			}
			if rnd.IntN(2) == 0 {
				f.MAC = mark()
			}
			site, persons := p.Who(f)
			wantSite, want := dullWho(op, f)
			if site != wantSite || !slices.Equal(persons, want) || (persons == nil) != (want == nil) {
				t.Fatalf("seed %d, %+v: %q, %q, want %q, %q of %+v", seed, f, site, persons, wantSite, want, op)
			}
		}
	}
}

// dullEndpoint gathers what Endpoint tells anew.
func dullEndpoint(d *Decision) (vendor string, channels []Channel) {
	p := d.policy
	for _, id := range append(slices.Clone(p.classes[d.class].outcomes), d.class) {
		for _, u := range p.classes[id].units {
			if vendor == "" {
				vendor = p.vendors[u.vendor].id
			}
			if !slices.Contains(channels, u.channel) {
				channels = append(channels, u.channel)
			}
		}
	}
	slices.Sort(channels)
	return vendor, channels
}

func TestEndpointEqualsDull(t *testing.T) {
	t.Parallel()
	matched, byPath := 0, 0
	for seed := range uint64(200) {
		w := newWorld(seed)
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		for range 20 {
			f := w.facts()
			d := p.Decide(w.instant().At, f)
			vendor, channels := d.Endpoint()
			wantVendor, want := dullEndpoint(&d)
			if vendor != wantVendor || !slices.Equal(channels, want) {
				t.Fatalf("seed %d, %+v: %q, %v, want %q, %v", seed, f, vendor, channels, wantVendor, want)
			}
			if len(want) > 0 {
				matched++
			}
			if p.classes[d.class].outcomes != nil {
				byPath++
			}
		}
	}
	if matched == 0 || byPath == 0 {
		t.Errorf("%d decisions by an endpoint, %d of them by one that depends on its path: nothing was tried", matched, byPath)
	}
}

// What a record takes of a decision is there already.
func TestRecordTakesWithoutAllocating(t *testing.T) {
	p := explainLaw(t)
	f := tlsFacts("u.example")
	f.User = "ann"
	d := p.Decide(mustTime("2024-06-15T00:00:00Z"), f)
	if n := testing.AllocsPerRun(100, func() { p.Who(f); d.Cause(); d.Endpoint() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	_, persons := p.Who(f)
	if vendor, channels := d.Endpoint(); !slices.Equal(persons, []string{"staff"}) || vendor != "acme" || len(channels) != 2 {
		t.Errorf("persons %v, vendor %s, channels %v", persons, vendor, channels)
	}
}

func BenchmarkOfRecord(b *testing.B) {
	p := bigLaw(b, 1000)
	f := tlsFacts("s01.upd.acme.example")
	d := p.Decide(mustTime("2023-06-01T00:00:00Z"), f)
	b.ReportAllocs()
	for b.Loop() {
		p.Who(f)
		d.Cause()
		d.Endpoint()
	}
}
