package journal

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

func benchRecord() *audit.Record {
	now := time.Now()
	return &audit.Record{
		Time: now, PolicyTime: now, Event: audit.End, Kind: "plain", Client: netip.MustParseAddrPort("10.1.2.3:40000"), Site: "boston",
		Method: "GET", Scheme: "http", Host: host.MustParse("dnl-01.geo.kaspersky.com"), Port: 80,
		URL: "http://dnl-01.geo.kaspersky.com/bases/av/kdb/i386/kdb-0001.xml", Path: "/bases/av/kdb/i386/kdb-0001.xml",
		Vendor: "kaspersky", Channels: []policy.Channel{policy.Signatures, policy.Codebase}, Verdict: policy.Allow, State: policy.Grace,
		Cause:    policy.Cause{Kind: "restriction", ID: "us-icts-2021-002", Title: "Final Determination: Case No. ICTS-2021-002", URL: "https://www.federalregister.gov/d/2024-13532"},
		Revision: "3f2a9c01b7d4", Upstream: netip.MustParseAddrPort("198.51.100.7:80"), Status: 200, BytesOut: 1400, Ended: "complete",
	}
}

// BenchmarkRecord is all that a record costs from its queue to the system, when many come at once.
func BenchmarkRecord(b *testing.B) {
	j, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	rec := audit.New(j, 1<<12)
	b.ReportAllocs()
	for b.Loop() {
		for rec.Len() > 1<<11 {
			runtime.Gosched()
		}
		rec.Record(benchRecord())
	}
	if err := rec.Close(b.Context()); err != nil || rec.Lost() > 0 {
		b.Fatal(rec.Lost(), err)
	}
}

// BenchmarkVerify is the proof of one record, when all are proven.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	j, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	batch := make([]*audit.Record, 64)
	for i := range batch {
		batch[i] = benchRecord()
	}
	const all = 64 * 256
	for range all / len(batch) {
		if _, err := j.Write(batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Sign(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if p, err := Verify(dir, ""); err != nil || p.Fault != nil {
			b.Fatal(p.Fault, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*all), "ns/record")
}
