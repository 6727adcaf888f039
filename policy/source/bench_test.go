package source_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy/source"
)

// BenchmarkList reads a vendor with a list of a million names.
func BenchmarkList(b *testing.B) {
	const lines = 1_000_000
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "host-%06d.zone-%03d.example\n", i, i%1000)
	}
	list := []byte(text.String())
	vendor := source.File{Name: "x.yaml", Data: []byte(`vendor: a
sources: {s: {title: t, checked: 2026-11-23, grade: primary}}
endpoints: [{list: l, channels: [sales], sources: [s]}]`)}
	b.ReportAllocs()
	for b.Loop() {
		v, problems := source.Vendor(vendor, func(string) ([]byte, error) { return list, nil })
		if len(problems) > 0 || len(v.Endpoints[0].Hosts) != lines {
			b.Fatalf("%d names: %v", len(v.Endpoints[0].Hosts), problems)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lines, "ns/name")
}

// BenchmarkVendor reads the largest vendor file of the catalogue.
func BenchmarkVendor(b *testing.B) {
	data, err := os.ReadFile("../catalog/data/vendors/kaspersky.yaml")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, problems := source.Vendor(source.File{Name: "kaspersky.yaml", Data: data}, nil); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
