package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy/lint"
)

var updateLint = flag.Bool("update-lint", false, "write what lint prints of the bad files anew")

// Every check has a file in which it finds something, with the exact output, one beside it in which it finds nothing, and a page.
func TestLintFiles(t *testing.T) {
	t.Chdir("../..") // so that the output names files as a user in the root of the source would
	for _, c := range lint.Checks() {
		name := strings.ReplaceAll(c.Name, "/", "-")
		dir := "testdata/lint/" + name
		got, code := lintFile(t, dir+"/bad.yaml", c.Name)
		if want := map[lint.Severity]int{lint.Error: exitMatched}[c.Severity]; code != want {
			t.Errorf("%s: exit code %d, want %d", dir, code, want)
		}
		if *updateLint {
			if err := os.WriteFile(dir+"/want", []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(dir + "/want")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" || !strings.Contains(got, "["+c.Name+"]") {
			t.Errorf("%s/want (-want +got):\n%s", dir, diff)
		}
		if got, code := lintFile(t, dir+"/good.yaml", c.Name); code != exitDone || got != "0 errors, 0 warnings, 0 notes\n" {
			t.Errorf("%s/good.yaml: exit code %d:\n%s", dir, code, got)
		}
		page, err := os.ReadFile("docs/lint/" + name + ".md")
		if err != nil || !strings.HasPrefix(string(page), "# "+c.Name+"\n") {
			t.Errorf("docs/lint/%s.md is no page of %s: %v", name, c.Name, err)
		}
		if list, err := os.ReadFile("docs/lint/README.md"); err != nil || !strings.Contains(string(list), "| "+c.About+" |") {
			t.Errorf("docs/lint/README.md does not list %s: %v", c.Name, err)
		}
	}
	dirs, err := filepath.Glob("testdata/lint/*")
	if err != nil || len(dirs) != len(lint.Checks()) {
		t.Errorf("%d directories in testdata/lint for %d checks: %v", len(dirs), len(lint.Checks()), err)
	}
}

// lintFile runs one check on a file, with the flags that its first line names.
func lintFile(t *testing.T, name, check string) (stdout string, code int) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	flags := strings.Fields(strings.TrimPrefix(first, "# flags: "))
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{"lint", name, "--check", check}, flags...), nil, &out, &errs)
	if errs.Len() > 0 {
		t.Errorf("%s: %s", name, errs.String())
	}
	return out.String(), code
}

// What ships must not need an excuse.
func TestWhatShipsLints(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"lint", "--catalog", "--at", "2026-11-28T00:00:00Z", "--json"}, nil, &out, &errs); code != exitDone || errs.Len() > 0 {
		t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	if strings.Contains(out.String(), `"severity": "error"`) {
		t.Error(out.String())
	}
}
