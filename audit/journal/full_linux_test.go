package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
)

// small is a file system of a quarter MiB.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("gracegate", dir, "tmpfs", 0, "size=256k,mode=0700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("a small file system cannot be mounted: %v", err)
		}
		t.Skipf("a small file system cannot be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// While the disk is full nothing is written by halves, what is lost is counted and told by the next record, and once there is room
// the journal goes on by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := small(t)
	dir := filepath.Join(disk, "journal")
	j := open(t, dir, Options{})
	r := audit.New(j, 1<<10)
	record := func(n int) {
		for range n {
			r.Record(&audit.Record{Event: audit.Refused, Time: time.Now(), User: string(bytes.Repeat([]byte("x"), 1000))})
		}
	}
	record(10)
	if err := j.Sign(); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 200<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	record(200)
	if !r.Failing() || r.Lost() == 0 || r.Lost() > 190 {
		t.Errorf("failing: %v, %d lost of 200 on a full disk", r.Failing(), r.Lost())
	}
	if err := j.Sign(); err != nil && !errors.Is(err, syscall.ENOSPC) { // what is left of a page may be enough
		t.Error(err)
	}
	if p := verify(t, dir); p.Fault != nil || p.Torn != 0 || p.Next != 210-r.Lost() {
		t.Errorf("on a full disk: %+v %v, %d lost", p, p.Fault, r.Lost())
	}
	lost := r.Lost()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	record(5)
	if r.Failing() || r.Lost() != lost || j.Failing() {
		t.Errorf("with room again: failing %v, %d lost, journal failing %v", r.Failing(), r.Lost(), j.Failing())
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	closed(t, j)
	p := verify(t, dir)
	if p.Fault != nil || p.Next != 215-lost || p.Unsigned != 0 {
		t.Errorf("%+v %v", p, p.Fault)
	}
	if p.Lost != lost {
		t.Errorf("the records tell of %d that were lost, and there are %d", p.Lost, lost)
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	disk := small(t)
	dir := filepath.Join(disk, "journal")
	j := open(t, dir, Options{})
	write(t, j, 2)
	closed(t, j)
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("opened for writing: %v", err)
	}
	if p := verify(t, dir); p.Fault != nil || p.Next != 2 {
		t.Errorf("%+v", p)
	}
}
