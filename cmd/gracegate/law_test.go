package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gracegate/gracegate/config"
)

// TestLawKeepsTheCatalogue changes the files of policy and catalogue one after the other: a catalogue is read when its files
// have changed, and only then, also where the policy file had a mistake meanwhile.
func TestLawKeepsTheCatalogue(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vendor := func(id string) string {
		return "vendor: " + id + "\nsources: {own: {title: The manual, checked: 2026-11-23, grade: observed}}\n" +
			"endpoints: [{host: " + id + ".example, channels: [signatures], sources: [own]}]\n"
	}
	put("policy.yaml", "version: 1\n")
	put("law/vendors/acme.yaml", vendor("acme"))
	cfg := config.Default()
	cfg.Policy.File, cfg.Policy.Catalog, cfg.Policy.CatalogOnly = filepath.Join(root, "policy.yaml"), filepath.Join(root, "law"), true
	l := &law{cfg: cfg}

	first, err := l.build(nil)
	if err != nil {
		t.Fatal(err)
	}
	put("policy.yaml", "version: 1\nsettings: {default: block}\n")
	second, err := l.build(first)
	if err != nil {
		t.Fatal(err)
	}
	if second.Catalog() != first.Catalog() {
		t.Error("the catalogue was read again, though only the policy had changed")
	}

	put("law/vendors/more.yaml", vendor("more"))
	put("policy.yaml", "version: 2\n")
	if _, err := l.build(second); err == nil {
		t.Fatal("nothing is wrong with version 2")
	}
	put("policy.yaml", "version: 1\n")
	third, err := l.build(second)
	if err != nil {
		t.Fatal(err)
	}
	if n := third.Catalog().Domains(); n != 2 {
		t.Errorf("%d names after the repair, want 2: the catalogue is stale", n)
	}
}
