package catalog_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/source"
)

// million makes a catalogue directory with a list of a million names.
func million(b *testing.B) string {
	b.Helper()
	root := filepath.Join(b.TempDir(), "vendors")
	if err := os.MkdirAll(root, 0o755); err != nil {
		b.Fatal(err)
	}
	var list strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&list, "host-%06d.zone-%03d.example\n", i, i%1000)
	}
	for name, text := range map[string]string{"names.txt": list.String(), "acme.yaml": `vendor: acme
sources: {own: {title: The manual, checked: 2026-11-23, grade: primary}}
endpoints: [{list: names.txt, channels: [signatures], sources: [own]}]
`} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return filepath.Dir(root)
}

// BenchmarkLoad reads, checks and indexes the catalogue in the binary, alone and beside a list of a million names.
func BenchmarkLoad(b *testing.B) {
	for name, dir := range map[string]string{"binary": "", "million": million(b)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := catalog.Load(dir, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompile compiles the catalogue in the binary: with the built-in policy, and with every restriction enforced, and a
// site for each jurisdiction.
func BenchmarkCompile(b *testing.B) {
	c, err := catalog.Load("", false)
	if err != nil {
		b.Fatal(err)
	}
	builtin, _ := source.Operator(catalog.Builtin())
	all := policy.Operator{Settings: policy.DefaultSettings()}
	all.Settings.Mode = policy.Enforce
	for i, j := range c.Jurisdictions {
		all.Sites = append(all.Sites, policy.Site{
			Name: j.ID, Jurisdictions: []string{j.ID}, Networks: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16)},
		})
	}
	for name, op := range map[string]*policy.Operator{"builtin": &builtin, "all": &all} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := policy.Compile(c, op, policy.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFingerprint looks whether a directory has changed.
func BenchmarkFingerprint(b *testing.B) {
	dir := million(b)
	for b.Loop() {
		if _, err := catalog.Fingerprint(dir); err != nil {
			b.Fatal(err)
		}
	}
}
