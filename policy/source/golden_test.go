package source_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/source"
)

var update = flag.Bool("update", false, "write the .want files of testdata/invalid anew")

const invalid = "../../testdata/invalid"

// TestInvalid reads every file of testdata/invalid, whose name begins with what it is, and compares all that is told with the
// .want file beside it.
func TestInvalid(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(invalid, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", invalid, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := "nothing wrong\n"
			if err := load(source.File{Name: filepath.Base(name), Data: data}); err != nil {
				got = err.Error() + "\n"
			}
			golden := strings.TrimSuffix(name, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// load reads a file of any kind and checks it beside a small catalogue.
func load(f source.File) error {
	catalog := small()
	var problems policy.Problems
	switch kind, _, _ := strings.Cut(f.Name, "-"); kind {
	case "vendor":
		v, ps := source.Vendor(f, lists)
		catalog.Vendors, problems = append(catalog.Vendors, v), ps
	case "restriction":
		r, ps := source.Restriction(f)
		catalog.Restrictions, problems = append(catalog.Restrictions, r), ps
	case "jurisdictions":
		js, ps := source.Jurisdictions(f)
		catalog.Jurisdictions, problems = append(catalog.Jurisdictions, js...), ps
	case "policy", "waivers":
		var op policy.Operator
		if op, problems = source.Operator(f); kind == "waivers" {
			op = policy.Operator{}
			op.Waivers, problems = source.Waivers(f)
		}
		c, err := policy.NewCatalog(catalog.Vendors, catalog.Restrictions, catalog.Jurisdictions, "")
		if err == nil {
			_, err = policy.Compile(c, &op, policy.Options{})
		}
		return join(problems, err)
	default:
		return errors.New("no kind of file is called " + kind)
	}
	_, err := policy.NewCatalog(catalog.Vendors, catalog.Restrictions, catalog.Jurisdictions, "")
	return join(problems, err)
}

func join(problems policy.Problems, err error) error {
	var more policy.Problems
	if err != nil && !errors.As(err, &more) {
		return err
	}
	return append(problems, more...).Err()
}

func lists(name string) ([]byte, error) {
	return fs.ReadFile(os.DirFS(invalid), name)
}

func small() policy.Catalog {
	v, vp := source.Vendor(source.File{Name: "acme.yaml", Data: []byte(`
vendor: acme
sources: {own: {title: The manual, checked: 2026-11-23, grade: primary}}
endpoints: [{zone: update.acme.example, channels: [signatures, codebase], sources: [own]}]
`)}, nil)
	r, rp := source.Restriction(source.File{Name: "us-acme.yaml", Data: []byte(`
restriction: us-acme
title: An order
strength: prohibition
zone: America/New_York
revisions:
  - published: 2024-06-20
    source: {title: An order, checked: 2026-11-23, grade: primary}
    binds: [US]
    vendors: [acme]
    phases: [{from: 2024-09-29, effect: block, channels: [signatures]}]
`)})
	if err := append(vp, rp...).Err(); err != nil {
		panic(err)
	}
	return policy.Catalog{
		Vendors:       []policy.Vendor{v},
		Restrictions:  []policy.Restriction{r},
		Jurisdictions: []policy.Jurisdiction{{ID: "US", Name: "the United States"}},
	}
}
