package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// BenchmarkAdd adds 1,000 sums a time: those of a new hour, or more of the same.
func BenchmarkAdd(b *testing.B) {
	for name, step := range map[string]time.Duration{"new": time.Hour, "same": 0} {
		b.Run(name, func(b *testing.B) {
			d, from, all := newDB(b), uint64(0), distinct(1000, graceEnds)
			for b.Loop() {
				add(b, d, from, from+1000, all)
				from += 1000
				for i := range all {
					s := &all[i]
					s.Hour, s.First, s.Last = s.Hour.Add(step), s.First.Add(step), s.Last.Add(step)
				}
			}
		})
	}
}

// BenchmarkSeen reads 1,000,000 sums: in each of 1,000 hours, 100 clients ask for ten things of 1,000.
func BenchmarkSeen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "seen.db")
	d, from, all := open(b, path), uint64(0), distinct(1000, graceEnds)
	for hour := range 1000 {
		for i := range all {
			s := &all[i]
			if i%10 == 0 {
				s.Category, s.ID = "waiver", fmt.Sprintf("CHG-%d", i)
			}
			s.Client, s.Path = all[i%100].Client, fmt.Sprintf("/%d", hour%50*10+i/100)
			s.Host = host.MustParse(fmt.Sprintf("s%02d.upd.kaspersky.com", hour%20))
			s.Hour, s.First, s.Last = s.Hour.Add(time.Hour), s.First.Add(time.Hour), s.Last.Add(time.Hour)
		}
		add(b, d, from, from+1000, all)
		from += 1000
	}
	for name, since := range map[string]time.Time{"all": {}, "last day": graceEnds.Add(976 * time.Hour)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for _, err := range d.Seen(b.Context(), since, time.Time{}, "", "") {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != 1_000_000 && since.IsZero() {
					b.Fatalf("%d sums", n)
				}
			}
		})
	}
	b.Run("waivers", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.WaiverUses(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
