package proxy

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/gracegate/gracegate/policy/host"
)

// numbered is a client or, with a port, a destination of the tests.
func numbered(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24+uint32(n))
	return netip.AddrFrom4(b)
}

func destinationOf(n int) hostPort {
	return hostPort{host.FromAddr(numbered(n / 2)), uint16(80 + n%2)}
}

// dullAdmission is the twin of admission: it looks at each connection that there is, and forgets no client.
type dullAdmission struct {
	limits  AdmissionLimits
	open    []netip.Addr
	buckets map[netip.Addr]*rate.Limiter
	flows   []hostPort
}

func occurrences[T comparable](list []T, of T) (n int) {
	for _, v := range list {
		if v == of {
			n++
		}
	}
	return n
}

func without[T comparable](list []T, one T) []T {
	for i, v := range list {
		if v == one {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	panic("not in the list")
}

func (d *dullAdmission) connect(client netip.Addr) limitName {
	switch {
	case client.IsValid() && d.limits.PerClient > 0 && occurrences(d.open, client) >= d.limits.PerClient:
		return limitClient
	case d.limits.Connections > 0 && len(d.open) >= d.limits.Connections:
		return limitConnections
	}
	d.open = append(d.open, client)
	return ""
}

func (d *dullAdmission) of(client netip.Addr) limitName {
	if d.limits.PerClient > 0 && occurrences(d.open, client) >= d.limits.PerClient {
		return limitClient
	}
	d.open = append(without(d.open, netip.Addr{}), client)
	return ""
}

func (d *dullAdmission) release(client netip.Addr) { d.open = without(d.open, client) }

func (d *dullAdmission) request(client netip.Addr, now time.Time) bool {
	if d.limits.Rate == 0 || !client.IsValid() {
		return true
	}
	if d.buckets[client] == nil {
		d.buckets[client] = rate.NewLimiter(rate.Limit(d.limits.Rate), d.limits.Rate)
	}
	return d.buckets[client].AllowN(now, 1)
}

func (d *dullAdmission) openFlow(to hostPort) bool {
	if d.limits.PerDestination > 0 && occurrences(d.flows, to) >= d.limits.PerDestination {
		return false
	}
	d.flows = append(d.flows, to)
	return true
}

func (d *dullAdmission) closeFlow(to hostPort) { d.flows = without(d.flows, to) }

// compareAdmission does what the steps say, three bytes each, with an admission and its twin.
func compareAdmission(t *testing.T, limits AdmissionLimits, steps []byte) {
	t.Helper()
	type seated struct {
		seat
		client netip.Addr
	}
	a, dull := newAdmission(limits), &dullAdmission{limits: limits, buckets: make(map[netip.Addr]*rate.Limiter)}
	now := time.Unix(1727582400, 0)
	var open []seated
	var flows []hostPort
	for at := 0; at+3 <= len(steps); at += 3 {
		what, which, after := steps[at]%10, int(steps[at+1]), steps[at+2]
		now = now.Add([...]time.Duration{0, 0, time.Millisecond, 90 * time.Millisecond, 600 * time.Millisecond, 3 * time.Second}[after%6])
		switch {
		case what <= 1:
			client := numbered(which % 5)
			s, met := a.connect(client)
			if want := dull.connect(client); met != want {
				t.Fatalf("step %d: connect says %q, want %q", at/3, met, want)
			}
			if met == "" {
				open = append(open, seated{s, client})
			}
		case what == 2 && len(open) > 0:
			i := which % len(open)
			open[i].release(now)
			dull.release(open[i].client)
			open = append(open[:i], open[i+1:]...)
		case what <= 5 && len(open) > 0:
			s := open[which%len(open)]
			if got, want := s.request(now), dull.request(s.client, now); got != want {
				t.Fatalf("step %d: request says %v, want %v", at/3, got, want)
			}
		case what == 6:
			to := destinationOf(which % 6)
			got, want := a.open(to), dull.openFlow(to)
			if got != want {
				t.Fatalf("step %d: open says %v, want %v", at/3, got, want)
			}
			if got {
				flows = append(flows, to)
			}
		case what == 8: // of a client who is not known yet
			s, met := a.connect(netip.Addr{})
			if want := dull.connect(netip.Addr{}); met != want {
				t.Fatalf("step %d: connect says %q, want %q", at/3, met, want)
			}
			if met == "" {
				open = append(open, seated{s, netip.Addr{}})
			}
		case what == 9: // who now is
			i := slices.IndexFunc(open, func(s seated) bool { return !s.client.IsValid() })
			if i < 0 {
				continue
			}
			client := numbered(which % 5)
			s, met := open[i].of(client)
			if want := dull.of(client); met != want {
				t.Fatalf("step %d: of says %q, want %q", at/3, met, want)
			}
			if met == "" {
				open[i] = seated{s, client}
			}
		case what == 7 && len(flows) > 0:
			i := which % len(flows)
			a.close(flows[i])
			dull.closeFlow(flows[i])
			flows = append(flows[:i], flows[i+1:]...)
		}
	}
	for _, s := range open {
		s.release(now)
	}
	for _, to := range flows {
		a.close(to)
	}
	if a.connections != 0 || len(a.clients) != 0 || len(a.flows) != 0 {
		t.Errorf("after all is closed: %d connections, clients %v, flows %v", a.connections, a.clients, a.flows)
	}
}

func TestAdmissionIsAsItsDullTwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		some := func(most int) int { return random.IntN(2) * (1 + random.IntN(most)) }
		steps := make([]byte, 3*3000)
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		compareAdmission(t, AdmissionLimits{Connections: some(20), PerClient: some(6), PerDestination: some(4), Rate: some(9)}, steps)
	}
}

func FuzzAdmission(f *testing.F) {
	f.Add(uint8(3), uint8(2), uint8(1), uint8(1), []byte{0, 0, 0, 1, 0, 0, 1, 0, 0, 3, 0, 0, 3, 0, 0, 2, 0, 0, 0, 0, 2, 3, 0, 0, 6, 1, 0, 6, 1, 0, 7, 0, 0})
	f.Add(uint8(0), uint8(0), uint8(0), uint8(2), []byte{0, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0, 2, 0, 4, 0, 0, 5, 3, 0, 0})
	f.Fuzz(func(t *testing.T, connections, perClient, perDestination, rate uint8, steps []byte) {
		limits := AdmissionLimits{Connections: int(connections), PerClient: int(perClient), PerDestination: int(perDestination), Rate: int(rate)}
		compareAdmission(t, limits, steps)
	})
}

func TestAClientIsAnAddressAsThePolicySeesIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second string
		same          bool
	}{
		{"10.0.0.1", "::ffff:10.0.0.1", true},
		{"fe80::1%eth0", "fe80::1%eth1", true},
		{"2001:db8::1", "2001:db8::2", false}, // neighbours in one /64
		{"10.0.0.1", "10.0.0.2", false},
	} {
		a := newAdmission(AdmissionLimits{PerClient: 1})
		if _, met := a.connect(netip.MustParseAddr(c.first)); met != "" {
			t.Errorf("%s: refused, %s", c.first, met)
		}
		if _, met := a.connect(netip.MustParseAddr(c.second)); (met == limitClient) != c.same {
			t.Errorf("%s beside %s: limit %q", c.second, c.first, met)
		}
	}
}

// As many as there is room for come and go all the time: none of them may ever find that there is none. And with more than
// there is room for, never are more in than that.
func TestAdmissionIsExactWhenManyComeAtOnce(t *testing.T) {
	t.Parallel()
	const clients, each, turns = 4, 3, 2000
	to := destinationOf(0)
	for _, crowd := range []int{each, 3 * each} {
		a := newAdmission(AdmissionLimits{Connections: clients * each, PerClient: each, PerDestination: clients * each, Rate: 1 << 20})
		var in [clients]atomic.Int32
		var flows atomic.Int32
		var all sync.WaitGroup
		for i := range clients * crowd {
			all.Go(func() {
				for range turns {
					s, met := a.connect(numbered(i % clients))
					if met != "" {
						if crowd == each {
							t.Errorf("refused, %s, though there is room", met)
						}
						continue
					}
					if n := in[i%clients].Add(1); n > each {
						t.Errorf("%d connections of one client", n)
					}
					s.request(time.Now())
					if !a.open(to) {
						t.Error("no flow for a connection that is in")
					} else {
						if n := flows.Add(1); n > clients*each {
							t.Errorf("%d flows", n)
						}
						flows.Add(-1)
						a.close(to)
					}
					in[i%clients].Add(-1)
					s.release(time.Now())
				}
			})
		}
		all.Wait()
		if a.connections != 0 || len(a.clients) != 0 || len(a.flows) != 0 {
			t.Errorf("at the end: %d connections, clients %v, flows %v", a.connections, a.clients, a.flows)
		}
	}
}

func TestAdmissionForgetsClients(t *testing.T) {
	t.Parallel()
	a := newAdmission(AdmissionLimits{PerClient: 9, Rate: 4})
	now := time.Unix(1727582400, 0)
	visit := func(n, requests int) {
		s, _ := a.connect(numbered(n))
		for range requests {
			s.request(now)
		}
		s.release(now)
	}
	for n := range 3 * restingClients {
		visit(n, 1)
	}
	if n := a.resting.Len(); n != restingClients || len(a.clients) != 0 {
		t.Errorf("%d clients rest, %d are there", n, len(a.clients))
	}
	now = now.Add(time.Second) // the buckets are full again
	for n := range restingClients/2 + 1 {
		visit(n, 0)
	}
	if n := a.resting.Len(); n != 0 {
		t.Errorf("%d full buckets are kept", n)
	}
}

func TestAdmissionTakesNoMemoryForARequest(t *testing.T) {
	a := newAdmission(AdmissionLimits{Connections: 9, PerClient: 9, PerDestination: 9, Rate: 9})
	s, _ := a.connect(numbered(1))
	defer s.release(time.Now())
	to := destinationOf(0)
	if n := testing.AllocsPerRun(1000, func() {
		s.request(time.Now())
		if a.open(to) {
			a.close(to)
		}
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkAdmission(b *testing.B) {
	now, to := time.Now(), destinationOf(0)
	for _, c := range []struct {
		name   string
		limits AdmissionLimits
	}{
		{"off", AdmissionLimits{}},
		{"default", AdmissionLimits{Connections: 20000, PerClient: 2000}},
		{"all", AdmissionLimits{Connections: 20000, PerClient: 2000, PerDestination: 20000, Rate: 1 << 30}},
	} {
		a := newAdmission(c.limits)
		// In all of these two clients have a connection already: others do as well, and find the client there.
		b.Run("connection/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			var n atomic.Int32
			b.RunParallel(func(pb *testing.PB) {
				client := numbered(int(n.Add(1)))
				first, _ := a.connect(client)
				for pb.Next() {
					s, _ := a.connect(client)
					s.release(now)
				}
				first.release(now)
			})
		})
		b.Run("lone-connection/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			client := numbered(1)
			for b.Loop() {
				s, _ := a.connect(client)
				s.request(now)
				s.release(now)
			}
		})
		b.Run("request/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				s, _ := a.connect(numbered(1))
				for pb.Next() {
					s.request(now)
				}
				s.release(now)
			})
		})
		b.Run("flow/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if a.open(to) {
						a.close(to)
					}
				}
			})
		})
	}
}
