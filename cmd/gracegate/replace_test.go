package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestReplaceFile(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	name := func(n string) string { return filepath.Join(root, n) }
	put := func(n, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(name(n), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name(n), mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(from, to string) {
		t.Helper()
		if err := os.Symlink(to, name(from)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	put("plain", "old", 0o640)
	put("behind", "old", 0o600)
	put("changed", "older", 0o600)
	put("new-meanwhile", "", 0o600)
	if err := os.Mkdir(name("dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	link("link", "behind")
	link("nowhere", "gone")
	for _, tt := range []struct {
		name     string
		was      []byte
		mistake  string
		is, mode string // of file, afterwards
		file     string
	}{
		{name: "plain", was: []byte("old"), file: "plain", is: "new", mode: "-rw-r-----"},
		{name: "link", was: []byte("old"), file: "behind", is: "new", mode: "-rw-------"},
		{name: "absent", file: "absent", is: "new"},
		{name: "changed", was: []byte("old"), mistake: "was changed meanwhile by another", file: "changed", is: "older"},
		{name: "new-meanwhile", mistake: "was changed meanwhile by another", file: "new-meanwhile"},
		{name: "gone", was: []byte("old"), mistake: "no such file"},
		{name: "dir", was: []byte("old"), mistake: "is not a regular file"},
		{name: "nowhere", mistake: "is a symbolic link that leads nowhere"},
		{name: "no/such", mistake: "no such file"},
	} {
		err := replaceFile(name(tt.name), tt.was, []byte("new"))
		if (err != nil) != (tt.mistake != "") || err != nil && !strings.Contains(err.Error(), tt.mistake) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.mistake)
		}
		if tt.file == "" {
			continue
		}
		text, err := os.ReadFile(name(tt.file))
		if err != nil || string(text) != tt.is {
			t.Errorf("%s: %q, %v, want %q", tt.name, text, err, tt.is)
		}
		if info, err := os.Stat(name(tt.file)); err != nil || tt.mode != "" && runtime.GOOS != "windows" && info.Mode().String() != tt.mode {
			t.Errorf("%s: mode %v, %v, want %s", tt.name, info.Mode(), err, tt.mode)
		}
	}
	if info, err := os.Lstat(name("link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is none any more: %v", err)
	}
	left, err := filepath.Glob(name(".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A file that may not be written to is not replaced either, though its directory could be written to.
func TestReplaceReadOnlyFile(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write to any file")
	}
	name := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(name, []byte("old"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(name, []byte("old"), []byte("new")); err == nil {
		t.Error("it was replaced")
	}
}
