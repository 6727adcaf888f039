package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/bundle"
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

// The same policy, catalogue and waivers are the same law, whether they come from files or from a bundle.
func TestLawOfABundleIsThatOfItsFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	cfg := config.Default()
	cfg.Policy.File = write("policy.yaml", "version: 1\nrules: [{id: r, vendor: acme, reason: x, phases: [{from: 2024-09-01T00:00:00Z, effect: block}]}]\n")
	cfg.Policy.Waivers = write("waivers.yaml", "waivers: [{id: W-1, vendor: acme, until: 2024-12-31T00:00:00Z, owner: me, reason: x}]\n")
	write("law/vendors/acme.yaml", "vendor: acme\nsources: {own: {title: M, url: \"https://acme.example\", checked: 2026-11-23, grade: primary}}\n"+
		"endpoints: [{list: a/names.txt, channels: [codebase], sources: [own]}]\n")
	write("law/vendors/a/names.txt", "files.acme.example\n")
	cfg.Policy.Catalog = filepath.Join(root, "law")
	for _, alone := range []bool{false, true} {
		cfg.Policy.CatalogOnly = alone
		files, err := (&law{cfg: cfg}).build(nil)
		if err != nil {
			t.Fatal(err)
		}
		members, err := bundleMembers(cfg)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().Truncate(time.Second)
		s := newSigner(t)
		b, err := makeBundle(bundle.Manifest{Version: 1, Created: now, Expires: now.Add(time.Hour), CatalogOnly: alone}, members, s.key)
		if err != nil {
			t.Fatal(err)
		}
		cfg := bundleConfig(t, write("site.bundle", string(b.Bytes())), s.public())
		bundled, err := (&law{cfg: cfg}).build(nil)
		if err != nil {
			t.Fatal(err)
		}
		if bundled.Revision() != files.Revision() {
			t.Errorf("alone %t: revision %s of the bundle, %s of the files", alone, bundled.Revision(), files.Revision())
		}
	}
}
