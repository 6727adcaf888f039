package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/audit/journal"
	"github.com/gracegate/gracegate/audit/sqlite"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

const (
	benchHours   = 30 * 24
	benchDevices = 1000
	benchSums    = 1400 // of an hour: a million in a month
	benchFlows   = 10   // of a sum
)

var benchSince = time.Date(2024, 9, 15, 0, 0, 0, 0, time.UTC) // half of the month is before the deadline

// BenchmarkReport is a report about ten million flows of a thousand devices in a month, which the database has as a million sums:
// the program is run as a process, from its start to its end. It tells the CPU seconds beside those on the clock.
//
//	go test -run '^$' -bench '^BenchmarkReport$' -benchtime 5x ./cmd/gracegate
func BenchmarkReport(b *testing.B) {
	binary, dir := buildGateway(b), filepath.Join(b.TempDir(), "data")
	fillSeen(b, dir)
	for _, format := range []string{"html", "json"} {
		b.Run(format, func(b *testing.B) {
			var spent time.Duration
			for b.Loop() {
				cmd := exec.CommandContext(b.Context(), binary, "report", "--data-dir", dir, "--format", format, "--output", filepath.Join(b.TempDir(), "report"),
					"--since", benchSince.Format(time.RFC3339), "--at", benchSince.Add(benchHours*time.Hour).Format(time.RFC3339))
				cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir}
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				spent += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			}
			b.ReportMetric(0, "ns/op") // seconds are easier to read
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/op")
			b.ReportMetric(spent.Seconds()/float64(b.N), "CPU-s/op")
		})
	}
}

// fillSeen makes a data directory with a month in its database, an hour a transaction, and as many records in its journal.
func fillSeen(b *testing.B, dir string) {
	b.Helper()
	p, err := loadPolicy(&config.Config{})
	if err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	j, err := journal.Open(journalDir(&config.Config{Data: config.Data{Dir: dir}}), journal.Options{Encoder: audit.NewEncoder()})
	if err != nil {
		b.Fatal(err)
	}
	records := make([]*audit.Record, benchHours)
	for i := range records {
		records[i] = &audit.Record{Event: audit.Start}
	}
	if n, err := j.Write(records); n != benchHours || err != nil {
		b.Fatal(n, err)
	}
	db, err := sqlite.Open(b.Context(), filepath.Join(dir, "seen.db"))
	if err != nil {
		b.Fatal(err)
	}
	for i := range uint64(benchHours) {
		if err := db.Add(b.Context(), i, i+1, seenIn(p, int(i))); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{db, j} {
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// seenIn is what the devices ask for in an hour of the month: of each some of two dozen names, as the policy decides about it.
func seenIn(p *policy.Policy, hour int) []audit.Seen {
	at := benchSince.Add(time.Duration(hour) * time.Hour)
	list := make([]audit.Seen, benchSums)
	for i := range list {
		n := hour*benchSums + i
		device, name := n%benchDevices, host.MustParse(benchName(n/benchDevices+n))
		f := policy.Facts{
			Client: netip.AddrFrom4([4]byte{10, 10, byte(device / 250), byte(device % 250)}), Stage: policy.StageHello, Method: "CONNECT", Scheme: "https",
			Authority: name, Port: 443, SNI: name, Hello: policy.HelloWithName,
		}
		if device%2 == 0 {
			f.MAC = fmt.Sprintf("00:16:3e:00:%02x:%02x", device/256, device%256)
		}
		d := p.Decide(at, &f)
		c := d.Cause()
		vendor, channels := d.Endpoint()
		seen := at.Add(time.Duration(i) * time.Second)
		list[i] = audit.Seen{
			SeenKey: audit.SeenKey{
				Hour: at, Client: f.Client, MAC: f.MAC, Kind: "tunnel", Method: f.Method, Scheme: f.Scheme, Host: name, Port: f.Port, SNI: name, Hello: f.Hello,
				Vendor: vendor, Channels: policy.Channels(channels...), Verdict: d.Verdict, State: d.State, Category: c.Kind, ID: c.ID,
			},
			First: seen, Last: seen.Add(time.Minute), Flows: benchFlows, BytesIn: 5000, BytesOut: 1 << 20,
		}
	}
	return list
}

func benchName(n int) string {
	switch n %= 24; n {
	case 20:
		return "ksn-file-geo.kaspersky-labs.com"
	case 21:
		return "activation-v2.kaspersky.com"
	case 22:
		return "opentip.kaspersky.com"
	case 23:
		return "crl.kaspersky.com"
	}
	return fmt.Sprintf("s%02d.upd.kaspersky.com", n)
}
