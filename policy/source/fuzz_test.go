package source_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/source"
)

// seed adds the files of the project whose names begin with prefix, or that stand in a directory of that name.
func seed(f *testing.F, prefix string) {
	f.Helper()
	found := 0
	for _, root := range []string{"../../testdata", "../catalog/data"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(name) != ".yaml" {
				return err
			}
			if strings.HasPrefix(d.Name(), prefix) || strings.HasPrefix(filepath.Base(filepath.Dir(name)), prefix) {
				data, err := os.ReadFile(name)
				if err != nil {
					return err
				}
				f.Add(data)
				found++
			}
			return nil
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	if found == 0 {
		f.Fatalf("no file begins with %s", prefix)
	}
}

// check holds for all that is told of any file: it fits on a line each, names a place in the file, and is not without end.
func check(t *testing.T, data []byte, problems policy.Problems) {
	t.Helper()
	lines := bytes.Split(data, []byte("\n"))
	if len(problems) > 501 {
		t.Errorf("%d problems", len(problems))
	}
	for _, p := range problems {
		s := p.String()
		if strings.IndexFunc(s, func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }) >= 0 {
			t.Errorf("not on a line: %q", s)
		}
		if len(s) > 2000 {
			t.Errorf("a line of %d bytes: %s", len(s), s)
		}
		switch {
		case p.Pos.Line == 0 && p.Pos.Column == 0: // of the file
		case p.Pos.Line < 1 || p.Pos.Line > len(lines):
			t.Errorf("in a file of %d lines: %q", len(lines), s)
		case p.Pos.Column < 1 || p.Pos.Column > utf8.RuneCount(lines[p.Pos.Line-1])+1:
			t.Errorf("in a line of %d characters: %q", utf8.RuneCount(lines[p.Pos.Line-1]), s)
		}
	}
}

func FuzzOperator(f *testing.F) {
	seed(f, "policy")
	known := small()
	c, err := policy.NewCatalog(known.Vendors, known.Restrictions, known.Jurisdictions, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		op, problems := source.Operator(source.File{Name: "policy.yaml", Data: data})
		check(t, data, problems)
		_, err := policy.Compile(c, &op, policy.Options{})
		check(t, data, only(t, err))
		for i := range op.Waivers {
			if w := &op.Waivers[i]; len(problems) == 0 && (w.Until.At.IsZero() || w.Until.Zone == nil || w.Owner == "" || w.Reason == "") {
				t.Errorf("a waiver is not whole: %+v", w)
			}
		}
	})
}

func FuzzScenarios(f *testing.F) {
	seed(f, "cases")
	f.Add([]byte("policy: p.yaml\ndefaults: {client: 10.0.0.1, url: \"http://a.example/\"}\ncases:\n - {at: {until: 2024-09-01, zone: UTC}, host: a.example, expect: {channels: [codebase], reason: null}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, problems := source.ReadScenarios(source.File{Name: "cases.yaml", Data: data})
		check(t, data, problems)
		for i := range list.Cases {
			if c := &list.Cases[i]; len(problems) == 0 && (c.At.Zone == nil || (c.URL == "") == (c.Host == "") || len(c.Expect) == 0) {
				t.Errorf("a case is not whole: %+v", c)
			}
		}
	})
}

func FuzzVendor(f *testing.F) {
	seed(f, "vendor")
	f.Add([]byte("vendor: a\nendpoints:\n - host: \"{0..9999}{a,b}\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, problems := source.Vendor(source.File{Name: "vendors/x.yaml", Data: data}, func(string) ([]byte, error) { return nil, fs.ErrNotExist })
		check(t, data, problems)
		for i := range v.Endpoints {
			if e := &v.Endpoints[i]; e.Channels == 0 || len(e.Sources) == 0 || len(e.Hosts)+len(e.Zones)+len(e.Paths) == 0 {
				t.Errorf("an endpoint is not whole: %+v", e)
			}
		}
		_, err := policy.NewCatalog([]policy.Vendor{v}, nil, nil, "")
		if more := only(t, err); len(problems) == 0 && len(more) > 0 {
			t.Errorf("read without a mistake, and then: %v", more)
		}
	})
}

func FuzzList(f *testing.F) {
	for _, name := range []string{"names.txt", "many.txt"} {
		data, err := lists(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	vendor := []byte(`vendor: a
sources: {s: {title: t, checked: 2026-11-23, grade: primary}}
endpoints: [{list: l, channels: [sales], sources: [s]}]`)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, problems := source.Vendor(source.File{Name: "x.yaml", Data: vendor}, func(string) ([]byte, error) { return data, nil })
		check(t, data, problems)
		named := 0
		for line := range strings.Lines(string(data)) {
			if line, _, _ = strings.Cut(strings.TrimPrefix(line, "\ufeff"), "#"); strings.Trim(line, " \t\r\n") != "" {
				named++
			}
		}
		if len(problems) == 0 && len(v.Endpoints[0].Hosts)+len(v.Endpoints[0].Zones) != named {
			t.Errorf("%d names of %d lines", len(v.Endpoints[0].Hosts)+len(v.Endpoints[0].Zones), named)
		}
	})
}

func FuzzRestriction(f *testing.F) {
	seed(f, "restriction")
	vendors := small().Vendors
	f.Fuzz(func(t *testing.T, data []byte) {
		r, problems := source.Restriction(source.File{Name: "r.yaml", Data: data})
		check(t, data, problems)
		_, err := policy.NewCatalog(vendors, []policy.Restriction{r}, nil, "")
		check(t, data, only(t, err))
		for i := range r.Revisions {
			for j := range r.Revisions[i].Phases {
				if p := &r.Revisions[i].Phases[j]; len(problems) == 0 && (p.From.At.IsZero() || p.From.At.Location() != time.UTC || p.Channels == 0) {
					t.Errorf("a phase is not whole: %+v", p)
				}
			}
		}
	})
}

func FuzzJurisdictions(f *testing.F) {
	seed(f, "jurisdictions")
	f.Fuzz(func(t *testing.T, data []byte) {
		list, problems := source.Jurisdictions(source.File{Name: "jurisdictions.yaml", Data: data})
		check(t, data, problems)
		for _, j := range list {
			if len(problems) == 0 && (j.ID == "" || j.Name == "") {
				t.Errorf("a jurisdiction is not whole: %+v", j)
			}
		}
	})
}

// only returns the problems that an error is made of.
func only(t *testing.T, err error) policy.Problems {
	t.Helper()
	if err == nil {
		return nil
	}
	problems, ok := errors.AsType[policy.Problems](err)
	if !ok {
		t.Errorf("no list of problems: %v", err)
	}
	return problems
}
