package sqlite

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// smallDisk mounts a file system of 2 MiB. It needs root, or at least the right to mount.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no disk of its own for this test: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	d, err := Open(t.Context(), filepath.Join(dir, "seen.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { // before the disk goes
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<19), 0o600); err != nil {
		t.Fatal(err)
	}
	rnd, dull, from, failures := rand.New(rand.NewPCG(9, 9)), dullDB{}, uint64(0), 0
	for failures < 3 {
		all := distinct(300, graceEnds.AddDate(0, 0, rnd.IntN(1000)))
		err := d.Add(t.Context(), from, from+300, all)
		if err == nil {
			dull.add(all)
			from += 300
			continue
		}
		failures++
		failed, is := errors.AsType[*sqlite.Error](err)
		if !is || failed.Code()&0xff != sqlite3.SQLITE_FULL && failed.Code()&0xff != sqlite3.SQLITE_IOERR {
			t.Fatalf("%v", err)
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.Hint != "make room on its disk" {
			t.Errorf("%v, hint %q", err, e.Hint)
		}
		if n := nextOf(t, d.Reader); n != from {
			t.Errorf("after a failure the next record is %d, want %d", n, from)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	all := distinct(300, graceEnds)
	add(t, d, from, from+300, all)
	dull.add(all)
	if from == 0 || !slices.Equal(allOf(t, d.Reader), dull) || flowsOf(dull) != from+300 {
		t.Errorf("%d flows up to record %d are seen, want %d", flowsOf(allOf(t, d.Reader)), from+300, flowsOf(dull))
	}
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	path := filepath.Join(dir, "seen.db")
	d, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	add(t, d, 0, 10, distinct(10, graceEnds))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), path)
	checkRefusal(t, "writer", path, err, syscall.EROFS, "read-only file system", "must exist and be writable")
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		checkRefusal(t, "reader", path, err, nil, "unable to open database file", "its directory must be writable")
		return
	}
	defer r.Close()
	if n := nextOf(t, r); n != 10 {
		t.Errorf("next record %d", n)
	}
}

// A directory that belongs to somebody else.
func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere; TestReadOnlyDisk is about the same")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "seen.db")
	_, err := Open(t.Context(), path)
	checkRefusal(t, "writer", path, err, os.ErrPermission, "permission denied", "must exist and be writable")
	if !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}
