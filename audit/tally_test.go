package audit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy/host"
)

// dullTally sums up in the plainest way. It tells all paths apart.
func dullTally(records []*Record) []Seen {
	var all []Seen
	for _, r := range records {
		if !Counts(r) {
			continue
		}
		at := r.PolicyTime.UTC()
		one := Seen{SeenKey: KeyOf(r), First: at, Last: at, Flows: 1, BytesIn: r.BytesIn, BytesOut: r.BytesOut}
		if r.Ended == "cut" {
			one.Cuts = 1
		}
		i := slices.IndexFunc(all, func(s Seen) bool { return s.SeenKey == one.SeenKey })
		if i < 0 {
			all = append(all, one)
			continue
		}
		s := &all[i]
		if one.First.Before(s.First) {
			s.First = one.First
		}
		if one.Last.After(s.Last) {
			s.Last = one.Last
		}
		s.Flows, s.Cuts = s.Flows+1, s.Cuts+one.Cuts
		s.BytesIn, s.BytesOut = s.BytesIn+one.BytesIn, s.BytesOut+one.BytesOut
	}
	slices.SortFunc(all, func(a, b Seen) int { return a.Compare(&b.SeenKey) })
	return all
}

func TestTallyAgainstDull(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	var kinds []*Record
	for range 40 {
		kinds = append(kinds, counted(rnd))
	}
	tally := NewTally(1000)
	for range 5 {
		var records []*Record
		for range 500 {
			r := *kinds[rnd.IntN(len(kinds))]
			r.PolicyTime = graceEnds.Add(time.Duration(rnd.Int64N(int64(3*time.Hour)) - int64(time.Hour)))
			r.BytesIn, r.Ended = int64(rnd.IntN(1000)), []string{"complete", "cut"}[rnd.IntN(2)]
			r.BytesOut >>= 20
			records = append(records, &r)
			tally.Add(&r)
		}
		want := dullTally(records)
		if got := tally.Take(); cmp.Diff(want, got, comparers...) != "" {
			t.Fatalf("(-dull +tally):\n%s", cmp.Diff(want, got, comparers...))
		}
	}
}

// Whoever asks for ever new paths costs a bounded number of sums, however often they are taken; the others are not affected.
func TestTallyBoundsPaths(t *testing.T) {
	t.Parallel()
	tally := NewTally(1000)
	ask := func(client string, hour, path int) {
		r := *benchRecords()["passed"]
		r.Client = netip.AddrPortFrom(netip.MustParseAddr(client), 999)
		r.PolicyTime, r.Path = graceEnds.Add(time.Duration(hour)*time.Hour), fmt.Sprintf("/%d", path)
		tally.Add(&r)
	}
	flows := func() (all int64, without int64, sums int) {
		for _, s := range tally.Take() {
			all, sums = all+s.Flows, sums+1
			if s.Path == "" {
				without += s.Flows
			}
		}
		return all, without, sums
	}
	check := func(what string, all, without int64, sums int) {
		t.Helper()
		gotAll, gotWithout, gotSums := flows()
		if gotAll != all || gotWithout != without || gotSums != sums {
			t.Errorf("%s: %d flows, %d without a path, in %d sums; want %d, %d, %d", what, gotAll, gotWithout, gotSums, all, without, sums)
		}
	}
	for path := range 100 {
		ask("10.0.0.1", 0, path)
		ask("10.0.0.1", 0, path)
	}
	ask("10.0.0.2", 0, 99)
	check("the first", 201, 72, maxPaths+2)
	for path := range 100 {
		ask("10.0.0.1", 0, path)
	}
	check("those that were told apart still are", 100, 36, maxPaths+1)
	for path := range 100 {
		ask("10.0.0.1", 1, path+100)
	}
	check("the next hour", 100, 36, maxPaths+1)
	if tally.Take() == nil || len(tally.Take()) != 0 {
		t.Error("what was taken is still there")
	}
}

func TestTallyFull(t *testing.T) {
	t.Parallel()
	tally := NewTally(2)
	for i, full := range []bool{false, true, true} {
		r := *benchRecords()["refused"]
		r.Host = host.MustParse(fmt.Sprintf("s%02d.upd.kaspersky.com", i))
		tally.Add(&r)
		tally.Add(&r)
		if tally.Full() != full {
			t.Errorf("after %d keys: %v", i+1, tally.Full())
		}
	}
	if len(tally.Take()) != 3 || tally.Full() {
		t.Error("after Take")
	}
}

func TestTallyKnownKeyAllocatesNothing(t *testing.T) {
	for name, r := range benchRecords() {
		tally := NewTally(10)
		if n := testing.AllocsPerRun(100, func() { tally.Add(r) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestCompareOrdersByEveryMember(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	var keys []SeenKey
	for range 200 {
		keys = append(keys, KeyOf(counted(rnd)))
	}
	for _, a := range keys {
		for _, b := range keys {
			if (a.Compare(&b) == 0) != (a == b) || a.Compare(&b) != -b.Compare(&a) {
				t.Fatalf("%+v\n%+v", a, b)
			}
		}
	}
}

func BenchmarkTally(b *testing.B) {
	records := make([]*Record, 1000)
	for i := range records {
		r := *benchRecords()[[]string{"passed", "refused"}[i%2]]
		r.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 999)
		r.User, r.MAC = fmt.Sprintf("user-%d", i), "00:16:3e:aa:bb:cc"
		records[i] = &r
	}
	tally, i := NewTally(len(records)), 0
	b.ReportAllocs()
	for b.Loop() {
		tally.Add(records[i%len(records)])
		i++
	}
}
