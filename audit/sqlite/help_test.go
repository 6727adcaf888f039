package sqlite

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

var graceEnds = time.Date(2024, 9, 29, 4, 0, 0, 0, time.UTC)

// record makes one of few records, so that many are alike, from within a number of hours.
func record(rnd *rand.Rand, hours int) *audit.Record {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	r := &audit.Record{
		Event: audit.End, PolicyTime: graceEnds.Add(time.Duration(rnd.Int64N(int64(hours) * int64(time.Hour)))), Kind: "plain", Method: "GET", Scheme: "http",
		Client: netip.AddrPortFrom(netip.MustParseAddr(pick("10.9.0.1", "10.10.0.1", "2001:db8::5")), 40000),
		User:   pick("", "jp-desk-4"), MAC: pick("", "00:16:3e:aa:bb:cc"), Hostname: pick("", "laptop-7"), Site: pick("", "boston", "berlin"),
		Host: host.MustParse(pick("s01.upd.kaspersky.com", "dnl-01.geo.kaspersky.com", "198.51.100.7")), Port: 80, Path: pick("", "/a", "/ü\n"),
		Vendor: pick("", "kaspersky", "other"), Verdict: policy.Allow, State: policy.Grace, Cause: policy.Cause{Kind: "restriction", ID: "us"},
		BytesIn: rnd.Int64N(1000), BytesOut: rnd.Int64N(1 << 40), Ended: pick("complete", "cut"),
	}
	switch rnd.IntN(4) {
	case 0:
		r.Verdict, r.State, r.Cause = policy.Allow, policy.Waived, policy.Cause{Kind: "waiver", ID: pick("CHG-1", "CHG-2")}
		r.Channels = []policy.Channel{policy.Signatures, policy.Codebase}
	case 1:
		r.Event, r.Guard = audit.Refused, "port"
	case 2:
		r.Kind, r.Method, r.Scheme, r.SNI, r.Hello, r.ECH = "tunnel", "CONNECT", "", r.Host, policy.HelloWithName, true
	}
	return r
}

// sums sums up n records that count.
func sums(rnd *rand.Rand, n, hours int) []audit.Seen {
	tally := audit.NewTally(n)
	for range n {
		tally.Add(record(rnd, hours))
	}
	return tally.Take()
}

// distinct are n sums of one flow each, of keys that differ, in one hour.
func distinct(n int, hour time.Time) []audit.Seen {
	all := make([]audit.Seen, n)
	for i := range all {
		r := record(rand.New(rand.NewPCG(1, 1)), 1)
		r.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		r.Path, r.PolicyTime = fmt.Sprintf("/%d", i%1000), hour
		all[i] = audit.Seen{SeenKey: audit.KeyOf(r), First: hour, Last: hour, Flows: 1, BytesOut: 1 << 20}
	}
	return all
}

// dullDB is a list that does what the database does.
type dullDB []audit.Seen

func (d *dullDB) add(all []audit.Seen) {
	for _, s := range all {
		i := slices.IndexFunc(*d, func(t audit.Seen) bool { return t.SeenKey == s.SeenKey })
		if i < 0 {
			*d = append(*d, s)
			continue
		}
		t := &(*d)[i]
		t.First = slices.MinFunc([]time.Time{t.First, s.First}, time.Time.Compare)
		t.Last = slices.MaxFunc([]time.Time{t.Last, s.Last}, time.Time.Compare)
		t.Flows, t.Cuts, t.BytesIn, t.BytesOut = t.Flows+s.Flows, t.Cuts+s.Cuts, t.BytesIn+s.BytesIn, t.BytesOut+s.BytesOut
	}
	slices.SortFunc(*d, func(a, b audit.Seen) int { return a.Compare(&b.SeenKey) })
}

func (d dullDB) seen(since, until time.Time, vendor, site string) []audit.Seen {
	var all []audit.Seen
	for _, s := range d {
		within := s.Hour.Add(time.Hour).After(since) && (until.IsZero() || s.Hour.Before(until))
		if within && (vendor == "" || s.Vendor == vendor) && (site == "" || cmp.Or(s.Site, DefaultSite) == site) {
			all = append(all, s)
		}
	}
	return all
}

func open(tb testing.TB, path string) *DB {
	tb.Helper()
	d, err := Open(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

func newDB(tb testing.TB) *DB {
	tb.Helper()
	return open(tb, filepath.Join(tb.TempDir(), "seen.db"))
}

func add(tb testing.TB, d *DB, from, to uint64, all []audit.Seen) {
	tb.Helper()
	if err := d.Add(tb.Context(), from, to, all); err != nil {
		tb.Fatal(err)
	}
}

func nextOf(tb testing.TB, r *Reader) uint64 {
	tb.Helper()
	n, err := r.Next(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func seenOf(tb testing.TB, r *Reader, since, until time.Time, vendor, site string) []audit.Seen {
	tb.Helper()
	var all []audit.Seen
	for s, err := range r.Seen(tb.Context(), since, until, vendor, site) {
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func allOf(tb testing.TB, r *Reader) []audit.Seen {
	tb.Helper()
	return seenOf(tb, r, time.Time{}, time.Time{}, "", "")
}

// flowsOf is how many flows are in sums.
func flowsOf(all []audit.Seen) (n uint64) {
	for _, s := range all {
		n += uint64(s.Flows)
	}
	return n
}
