package audit

import (
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// benchRecords are what is recorded most: a plain request that the policy knows and lets pass, and a refusal.
func benchRecords() map[string]*Record {
	passed := &Record{
		Time: realTime, PolicyTime: realTime, Event: End, Kind: "plain", Client: client, Site: "boston", Persons: []string{"us-staff"},
		Method: "GET", Scheme: "http", Host: host.MustParse("dnl-01.geo.kaspersky.com"), Port: 80,
		URL: "http://dnl-01.geo.kaspersky.com/bases/av/kdb/i386/kdb-0001.xml", Path: "/bases/av/kdb/i386/kdb-0001.xml",
		Vendor: "kaspersky", Channels: []policy.Channel{policy.Signatures, policy.Codebase},
		Verdict: policy.Allow, State: policy.Grace, Would: policy.Allow, Cause: cause, NextChange: graceEnds, NextBlock: graceEnds,
		Reasons: []string{
			"endpoint dnl-01.geo.kaspersky.com kaspersky host",
			"decisive phase us-icts-2021-002 kaspersky/signatures grace from 2024-06-20T04:00:00Z until 2024-09-29T04:00:00Z",
			"decisive phase us-icts-2021-002 kaspersky/codebase grace from 2024-06-20T04:00:00Z until 2024-09-29T04:00:00Z",
		},
		Revision: "3f2a9c01b7d4", Upstream: netip.MustParseAddrPort("198.51.100.7:80"), Status: 200, BytesIn: 213, BytesOut: 1400,
		Duration: 1234567 * time.Nanosecond, Ended: "complete",
	}
	refused := *passed
	refused.Event, refused.Verdict, refused.State, refused.Would, refused.Status = Refused, policy.Block, policy.Blocked, policy.Block, 451
	refused.NextChange, refused.NextBlock, refused.Upstream = time.Time{}, time.Time{}, netip.AddrPort{}
	refused.BytesIn, refused.BytesOut, refused.Ended = 0, 0, ""
	return map[string]*Record{"passed": passed, "refused": &refused}
}

func BenchmarkLine(b *testing.B) {
	for name, r := range benchRecords() {
		b.Run(name, func(b *testing.B) {
			e := NewEncoder()
			var l []byte
			b.ReportAllocs()
			for b.Loop() {
				l = e.Append(l[:0], r)
			}
			b.SetBytes(int64(len(l)))
		})
	}
}

// BenchmarkRecorder is all that a record costs, from its queue to its output, when many come at once.
func BenchmarkRecorder(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "records"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for to, out := range map[string]io.Writer{"discard": io.Discard, "file": file} {
		for name, r := range benchRecords() {
			b.Run(to+"/"+name, func(b *testing.B) {
				rec := New(NewLogSink(out), 1<<12)
				b.ReportAllocs()
				for b.Loop() {
					for rec.Len() > 1<<11 {
						runtime.Gosched()
					}
					rec.Record(r)
				}
				if err := rec.Close(context.Background()); err != nil || rec.Lost() > 0 {
					b.Fatal(rec.Lost(), err)
				}
			})
		}
	}
}
