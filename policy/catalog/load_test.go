package catalog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/source"
)

// vendor and restriction are files that can be read.
func vendor(id, host string) string {
	return "vendor: " + id + `
sources: {own: {title: The manual, checked: 2026-11-23, grade: primary}}
endpoints: [{host: ` + host + `, channels: [signatures], sources: [own]}]
`
}

func restriction(id, vendor string) string {
	return "restriction: " + id + `
title: An order
strength: prohibition
zone: UTC
revisions:
  - published: 2024-06-20
    source: {title: An order, checked: 2026-11-23, grade: primary}
    binds: [XX]
    vendors: [` + vendor + `]
    phases: [{from: 2024-09-29, effect: block, channels: [signatures]}]
`
}

// dir makes a directory of files, by their names.
func dir(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(root, name), text)
	}
	return root
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, dir string, only bool) *policy.Catalog {
	t.Helper()
	c, err := catalog.Load(dir, only)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func vendorIDs(c *policy.Catalog) (ids []string) {
	for i := range c.Vendors {
		ids = append(ids, c.Vendors[i].ID)
	}
	return ids
}

func TestBinary(t *testing.T) {
	t.Parallel()
	c := load(t, "", false)
	for _, id := range []string{"kaspersky", "infrastructure", "microsoft"} {
		if !slices.Contains(vendorIDs(c), id) {
			t.Errorf("no vendor %s", id)
		}
	}
	i := slices.IndexFunc(c.Restrictions, func(r policy.Restriction) bool { return r.ID == "us-icts-2021-002" })
	if i < 0 {
		t.Fatal("no us-icts-2021-002")
	}
	if got, want := c.Restrictions[i].Pos.File, "builtin/restrictions/us-icts-2021-002.yaml"; got != want {
		t.Errorf("it stands in %s, want %s", got, want)
	}
	if len(c.Jurisdictions) < 5 {
		t.Errorf("%d jurisdictions", len(c.Jurisdictions))
	}
}

// TestPolicies compiles the policies that are in the binary with the catalogue that is.
func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, f := range []source.File{catalog.Builtin(), catalog.Strict()} {
		op, problems := source.Operator(f)
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Compile(load(t, "", false), &op, policy.Options{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuiltinPolicy(t *testing.T) {
	t.Parallel()
	got, _ := source.Operator(catalog.Builtin())
	want := policy.Operator{
		DefaultSite:  policy.Site{Jurisdictions: []string{"US"}},
		Restrictions: []policy.Listing{{ID: "us-icts-2021-002", Mode: policy.Enforce}},
		Settings:     policy.DefaultSettings(),
	}
	want.Settings.Mode = policy.Off
	ignore := cmp.FilterValues(func(_, _ policy.Pos) bool { return true }, cmp.Ignore())
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestStrictPolicy(t *testing.T) {
	t.Parallel()
	op, _ := source.Operator(catalog.Strict())
	want := policy.DefaultSettings()
	want.Default, want.Unseen = policy.Block, policy.UnseenSettings{} // the zero verdict blocks
	if diff := cmp.Diff(want, op.Settings); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDirectoryAddsAndReplaces(t *testing.T) {
	t.Parallel()
	root := dir(t, map[string]string{
		"vendors/own.yaml":             vendor("acme", "update.acme.example"),
		"vendors/other-file-name.yaml": vendor("kaspersky", "update.kaspersky.example"),
		"restrictions/own.yaml":        restriction("us-icts-2021-002", "acme"),
		"restrictions/more.yaml":       restriction("more", "kaspersky"),
		"jurisdictions.yaml":           `jurisdictions: [{id: US, name: ours}, {id: XX, name: more}]`,
	})
	binary, both, only := load(t, "", false), load(t, root, false), load(t, root, true)

	if got, want := len(both.Vendors), len(binary.Vendors)+1; got != want {
		t.Errorf("%d vendors, want %d", got, want)
	}
	for _, v := range both.Vendors {
		if v.ID == "kaspersky" && (len(v.Endpoints) != 1 || v.Pos.File != filepath.Join(root, "vendors/other-file-name.yaml")) {
			t.Errorf("kaspersky was not replaced: %d endpoints in %s", len(v.Endpoints), v.Pos.File)
		}
	}
	for _, r := range both.Restrictions {
		if r.ID == "us-icts-2021-002" && r.Title != "An order" {
			t.Errorf("us-icts-2021-002 was not replaced: %s", r.Title)
		}
	}
	for _, j := range both.Jurisdictions {
		if j.ID == "US" && j.Name != "ours" {
			t.Errorf("US was not replaced: %s", j.Name)
		}
	}
	if got, want := vendorIDs(only), []string{"kaspersky", "acme"}; !slices.Equal(got, want) {
		t.Errorf("alone it has the vendors %s, want %s", got, want)
	}
	if len(only.Restrictions) != 2 || len(only.Jurisdictions) != 2 {
		t.Errorf("alone it has %d restrictions and %d jurisdictions", len(only.Restrictions), len(only.Jurisdictions))
	}
}

// TestOnlyJurisdictions has a directory that adds no more than a tag: beside the binary's catalogue that is enough.
func TestOnlyJurisdictions(t *testing.T) {
	t.Parallel()
	root := dir(t, map[string]string{"jurisdictions.yaml": `jurisdictions: [{id: XX, name: more}]`})
	if got, want := len(load(t, root, false).Jurisdictions), len(load(t, "", false).Jurisdictions)+1; got != want {
		t.Errorf("%d jurisdictions, want %d", got, want)
	}
	for _, only := range []bool{true, false} {
		empty := t.TempDir()
		if _, err := catalog.Load(empty, only); err == nil || !strings.Contains(err.Error(), "in this directory") {
			t.Errorf("nothing at all, only %t: %v", only, err)
		}
	}
	if _, err := catalog.Load(root, true); err == nil || !strings.Contains(err.Error(), "no vendor and no restriction") {
		t.Errorf("nothing but a tag, alone: %v", err)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	list := `vendor: acme
sources: {own: {title: The manual, checked: 2026-11-23, grade: primary}}
endpoints:
  - {list: names.txt, channels: [signatures], sources: [own]}
  - {list: below/more.txt, channels: [codebase], sources: [own]}
`
	root := dir(t, map[string]string{
		"vendors/acme.yaml":      list,
		"vendors/names.txt":      "a.example\n.b.example\n",
		"vendors/below/more.txt": "c.example\n",
	})
	c := load(t, root, true)
	if c.Domains() != 3 {
		t.Errorf("%d names, want 3", c.Domains())
	}
	if got, want := c.Vendors[0].Endpoints[1].FromList, filepath.Join(root, "vendors/below/more.txt"); got != want {
		t.Errorf("names come from %s, want %s", got, want)
	}
}

// TestMount lays the files as a mounted ConfigMap has them: everything is a link into a directory that is swapped.
func TestMount(t *testing.T) {
	t.Parallel()
	root := dir(t, map[string]string{
		"..1/vendors/acme.yaml":      vendor("acme", "a.example"),
		"..1/restrictions/acme.yaml": restriction("r", "acme"),
		"..2/vendors/acme.yaml":      vendor("acme", "b.example"),
		"..2/restrictions/acme.yaml": restriction("r", "acme"),
		".hidden.swp":                "left by an editor",
		"vendors~":                   "left by another",
	})
	for link, to := range map[string]string{"..data": "..1", "vendors": "..data/vendors", "restrictions": "..data/restrictions"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	before, first := fingerprint(t, root), load(t, root, true)
	if again := fingerprint(t, root); again != before {
		t.Error("the fingerprint differs though nothing has changed")
	}

	next := filepath.Join(root, "..data_tmp")
	if err := os.Symlink("..2", next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(root, "..data")); err != nil {
		t.Fatal(err)
	}
	if fingerprint(t, root) == before {
		t.Error("the fingerprint does not see that the link was swapped")
	}
	if got := load(t, root, true); got.Digest == first.Digest || got.Vendors[0].Endpoints[0].Hosts[0].String() != "b.example" {
		t.Error("after the swap the old files are read")
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	files := map[string]string{"vendors/a.yaml": vendor("a", "a.example"), "vendors/b.yaml": vendor("b", "b.example")}
	one := load(t, dir(t, files), true).Digest
	if other := load(t, dir(t, files), true).Digest; other != one {
		t.Error("equal files in two directories have two digests")
	}
	for name, change := range map[string]map[string]string{
		"content": {"vendors/a.yaml": vendor("a", "a.example") + "# more\n", "vendors/b.yaml": files["vendors/b.yaml"]},
		"name":    {"vendors/c.yaml": files["vendors/a.yaml"], "vendors/b.yaml": files["vendors/b.yaml"]},
		"less":    {"vendors/a.yaml": files["vendors/a.yaml"]},
	} {
		if load(t, dir(t, change), true).Digest == one {
			t.Errorf("the digest does not see another %s", name)
		}
	}
	if load(t, "", false).Digest == load(t, dir(t, files), false).Digest {
		t.Error("the digest does not see a directory")
	}
}

// TestMistakes compares all that is told of a directory, without the directory's name.
func TestMistakes(t *testing.T) {
	t.Parallel()
	const shape = " (a catalogue has vendors/*.yaml and their lists, restrictions/*.yaml, and jurisdictions.yaml)"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"nothing in it", nil, []string{": no vendor and no restriction in this directory" + shape}},
		{"strangers", map[string]string{
			"README.md":                "",
			"policy.yaml":              "version: 1",
			"jurisdictions.yaml/x":     "",
			"vendors/acme.yaml":        vendor("acme", "a.example"),
			"vendors/acme.yml":         vendor("acme", "a.example"),
			"vendors/unused.txt":       "a.example",
			"vendors/below/acme.yaml":  vendor("acme", "a.example"),
			"restrictions/list.txt":    "",
			"restrictions/sub/x.yaml":  "",
			"vendors/.acme.yaml.swp":   "",
			"restrictions/acme.yaml~":  "",
			"vendors/below/.gitignore": "",
		}, []string{
			"/README.md: no part of a catalogue" + shape,
			"/jurisdictions.yaml: no part of a catalogue" + shape,
			"/policy.yaml: no part of a catalogue" + shape,
			"/restrictions/list.txt: no part of a catalogue" + shape,
			"/restrictions/sub: no part of a catalogue" + shape,
			"/vendors/acme.yml: no part of a catalogue (files end in .yaml)",
			"/vendors/below/acme.yaml: no part of a catalogue" + shape,
			"/vendors/unused.txt: no part of a catalogue" + shape,
		}},
		{"in several files, and between them", map[string]string{
			"vendors/a.yaml":      vendor("acme", "a..example"),
			"vendors/b.yaml":      vendor("acme", "a.example"),
			"vendors/c.yaml":      "vendor: [c]\n",
			"restrictions/r.yaml": restriction("r", "nobody"),
			"jurisdictions.yaml":  "jurisdictions:\n  - {id: US, name: a}\n  - {id: US, name: b}\n",
		}, []string{
			"/jurisdictions.yaml:3:5: jurisdiction \"US\" stands twice",
			`/restrictions/r.yaml:6:5: unknown vendor "nobody" (known are acme)`,
			`/vendors/a.yaml:3:20: host "a..example": an empty label`,
			"/vendors/b.yaml:1:1: vendor \"acme\" is already defined at DIR/vendors/a.yaml:1:1",
			"/vendors/c.yaml:1:9: the id of a vendor is a text, not a list",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := dir(t, test.files)
			_, err := catalog.Load(root, true)
			if err == nil {
				t.Fatal("nothing is wrong")
			}
			var got []string
			for line := range strings.Lines(err.Error()) {
				line = strings.TrimPrefix(strings.TrimSuffix(line, "\n"), root)
				got = append(got, strings.ReplaceAll(line, root, "DIR"))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestLinksThatLeadUp has two links, each of which leads back to where both are: following them would never end.
func TestLinksThatLeadUp(t *testing.T) {
	t.Parallel()
	root := dir(t, map[string]string{"vendors/a.yaml": vendor("a", "a.example"), "vendors/1/2/3/4/list.txt": "b.example"})
	for link, to := range map[string]string{"vendors/l1": ".", "vendors/l2": ".", "vendors/1/up": "../..", "vendors/1/beside": "2"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := catalog.Load(root, true)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	const loop = ": leads back to a directory that holds it (remove the symbolic link)"
	want := []string{
		"/vendors/1/2/3/4: more than 4 directories deep (put lists right below vendors/)",
		"/vendors/1/beside/3/4: more than 4 directories deep (put lists right below vendors/)",
		"/vendors/1/up" + loop, "/vendors/l1" + loop, "/vendors/l2" + loop,
	}
	if diff := cmp.Diff(want, strings.Split(strings.ReplaceAll(err.Error(), root, ""), "\n")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNoDirectory(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "absent")
	for _, test := range []struct {
		dir  string
		only bool
		want string
	}{
		{"", true, "no catalogue at all (name a directory, or use the catalogue in the binary too)"},
		{absent, false, absent + ": cannot be read: no such file or directory"},
	} {
		_, err := catalog.Load(test.dir, test.only)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("Load(%q): %v, want %s", test.dir, err, test.want)
		}
	}
	if _, err := catalog.Fingerprint(absent); err == nil {
		t.Error("an absent directory has a fingerprint")
	}
}
