package catalog_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/catalog"
)

func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	f, err := catalog.Fingerprint(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	if f := fingerprint(t, ""); f != "" {
		t.Errorf("no directory has the fingerprint %q", f)
	}
	for _, test := range []struct {
		name   string
		change func(t *testing.T, root string)
		same   bool
	}{
		{"nothing", func(*testing.T, string) {}, true},
		{"what an editor leaves", func(t *testing.T, root string) {
			t.Helper()
			write(t, filepath.Join(root, "vendors/.a.yaml.swp"), "x")
			write(t, filepath.Join(root, "vendors/a.yaml~"), "x")
		}, true},
		{"size", func(t *testing.T, root string) {
			t.Helper()
			write(t, filepath.Join(root, "vendors/a.yaml"), "longer")
		}, false},
		{"time", func(t *testing.T, root string) {
			t.Helper()
			at := time.Date(2024, time.September, 29, 0, 0, 0, 0, time.UTC)
			if err := os.Chtimes(filepath.Join(root, "vendors/a.yaml"), at, at); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"mode", func(t *testing.T, root string) {
			t.Helper()
			if err := os.Chmod(filepath.Join(root, "vendors/a.yaml"), 0o400); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"another file of the same size and time", func(t *testing.T, root string) {
			t.Helper()
			name, next := filepath.Join(root, "vendors/a.yaml"), filepath.Join(root, "next")
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			write(t, next, "b")
			if err := os.Chtimes(next, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(next, name); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a file more", func(t *testing.T, root string) {
			t.Helper()
			write(t, filepath.Join(root, "vendors/below/list.txt"), "")
		}, false},
		{"a file less", func(t *testing.T, root string) {
			t.Helper()
			if err := os.Remove(filepath.Join(root, "vendors/a.yaml")); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a link to nowhere", func(t *testing.T, root string) {
			t.Helper()
			if err := os.Symlink("nowhere", filepath.Join(root, "vendors/b.yaml")); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a link to above", func(t *testing.T, root string) {
			t.Helper()
			if err := os.Symlink("..", filepath.Join(root, "vendors/up")); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := dir(t, map[string]string{"vendors/a.yaml": "a"})
			before := fingerprint(t, root)
			test.change(t, root)
			if same := fingerprint(t, root) == before; same != test.same {
				t.Errorf("same fingerprint: %t, want %t", same, test.same)
			}
		})
	}
}
