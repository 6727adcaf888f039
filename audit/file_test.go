package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openFile(t *testing.T, name string, r Rotation) *File {
	t.Helper()
	f, err := OpenFile(name, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func writeAll(t *testing.T, f *File, text string) {
	t.Helper()
	if n, err := f.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("%d of %d, %v", n, len(text), err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFileRotates(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "var", "records")
	name := filepath.Join(dir, "r.jsonl")
	f := openFile(t, name, Rotation{Size: 1<<20 - 1, Keep: 2, Age: time.Hour})
	written := 0
	for range 90 { // 64 KiB each: five full files
		var lines strings.Builder
		for lines.Len() < 64<<10 {
			fmt.Fprintf(&lines, "%063d\n", written)
			written++
		}
		writeAll(t, f, lines.String())
	}
	if err := f.Close(); err != nil { // waits for what deletes the old ones
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%q, %v: want the file and two older ones", files, err)
	}
	last := ""
	for _, file := range files { // the older ones have a time behind the name, and come first
		info, err := os.Stat(file)
		if err != nil || info.Size() > 1<<20 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
		for l := range strings.Lines(read(t, file)) {
			if len(l) != 64 || l <= last {
				t.Fatalf("%s: %q after %q", file, l, last)
			}
			last = l
		}
	}
	if want := fmt.Sprintf("%063d\n", written-1); last != want {
		t.Errorf("the last line is %q, want %q", last, want)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

// What logrotate does: rename, then tell.
func TestFileReopens(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "r.jsonl")
	f := openFile(t, name, Rotation{Size: 1 << 20})
	writeAll(t, f, "a\n")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	writeAll(t, f, "b\n") // it is not told yet
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	writeAll(t, f, "c\n")
	if got := read(t, name+".1") + "|" + read(t, name); got != "a\nb\n|c\n" {
		t.Errorf("%q", got)
	}
	if err := os.Chmod(name, 0o640); err != nil { // for a reader's group
		t.Fatal(err)
	}
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	writeAll(t, f, string(bytes.Repeat([]byte("d"), 1<<20-1))) // a new file
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 || info.Size() != 1<<20-1 {
		t.Errorf("%v, %v: want the mode of the one before", info, err)
	}
}

func TestFileRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, filepath.Join(file, "r"), os.DevNull} {
		if f, err := OpenFile(name, Rotation{Size: 1 << 20}); err == nil {
			t.Errorf("%s is opened", name)
			_ = f.Close()
		}
	}
	// What was open stays in use.
	name := filepath.Join(dir, "sub", "r")
	f := openFile(t, name, Rotation{Size: 1 << 20})
	writeAll(t, f, "a\n")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Reopen(); err == nil {
		t.Error("a directory is opened")
	}
	writeAll(t, f, "b\n")
	if got := read(t, name+".1"); got != "a\nb\n" {
		t.Errorf("%q", got)
	}
}
