package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// madeElsewhere is a copy of what made makes, which nobody writes.
func madeElsewhere(t *testing.T) (dir string, list []segment) {
	t.Helper()
	from, list := made(t)
	dir = tempDir(t)
	copyFiles(t, from, dir)
	for i := range list {
		list[i].dir = dir
	}
	return dir, list
}

// Where every record was taken out, and what was signed is still there, no journal begins anew.
func TestAllRecordsGone(t *testing.T) {
	t.Parallel()
	dir, list := madeElsewhere(t)
	for _, s := range list {
		remove(t, s)
	}
	_, err := Open(dir, Options{})
	if cut, ok := errors.AsType[*CutError](err); !ok || cut.From != 0 || cut.To != 30 {
		t.Errorf("opened: %v", err)
	}
	// Nor does it with a new key, which would make what was signed look like somebody else's.
	for _, name := range []string{keyName, publicName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened without a key: %v", err)
	}
	if _, err := PublicKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made: %v", err)
	}
}

// An older checkpoint that is put behind the last one hides no cut, and does not make of old records that were removed any that were taken out.
func TestOlderCheckpointAgain(t *testing.T) {
	t.Parallel()
	repeat := func(dir string) {
		name := filepath.Join(dir, checkpointsName)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		first := slices.Collect(bytes.Lines(data))[0]
		if err := os.WriteFile(name, slices.Concat(data, first), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, list := madeElsewhere(t)
	for _, s := range list[1:] {
		remove(t, s)
	}
	repeat(dir)
	_, err := Open(dir, Options{})
	if cut, ok := errors.AsType[*CutError](err); !ok || cut.From != 10 || cut.To != 30 {
		t.Errorf("opened: %v", err)
	}
	dir, _ = madeElsewhere(t)
	j := open(t, dir, Options{})
	if n, err := j.Prune(time.Now().Add(time.Hour)); n != 30 || err != nil {
		t.Fatal(n, err)
	}
	closed(t, j)
	repeat(dir)
	if p := verify(t, dir); p.Fault != nil || p.First != 30 {
		t.Errorf("%+v %v", p, p.Fault)
	}
	closed(t, open(t, dir, Options{}))
}

// Checkpoints that cannot be read now are not thrown away.
func TestUnreadableCheckpoints(t *testing.T) {
	t.Parallel()
	dir, _ := madeElsewhere(t)
	name := filepath.Join(dir, checkpointsName)
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o200); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(name); err == nil {
		t.Skip("this user may read everything")
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("opened: %v", err)
	}
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(name); err != nil || !bytes.Equal(after, before) {
		t.Errorf("%d bytes of %d are left: %v", len(after), len(before), err)
	}
}

// What is signed later is true, whichever was spoilt of the last file: a signed record, which is named, or its hash, which is made anew.
func TestSpoiltSigned(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(s segment) (name string, at int64)
		fault bool
	}{
		"a hash":   {func(s segment) (string, int64) { return s.leavesName(), 2 * tlog.HashSize }, false},
		"a record": {func(s segment) (string, int64) { return s.linesName(), 40 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			j := open(t, dir, Options{})
			write(t, j, 3, 3)
			closed(t, j)
			file, at := tt.spoil(segment{dir, 0})
			flip(t, file, at)
			j = open(t, dir, Options{})
			write(t, j, 3)
			closed(t, j)
			p := verify(t, dir)
			if tt.fault {
				flip(t, file, at) // as it was
				if p.Fault == nil || p.Fault.Record != 0 || p.Fault.Kind != "altered" {
					t.Errorf("%+v", p.Fault)
				}
				p = verify(t, dir)
			}
			if p.Fault != nil || p.Next != 9 || p.Unsigned != 0 {
				t.Errorf("%+v %v", p, p.Fault)
			}
		})
	}
}

// The zeros that a power failure can leave behind the last record are dropped, however many they are.
func TestZerosAtTheEnd(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	j := open(t, dir, Options{})
	write(t, j, 3)
	closed(t, j)
	name := segment{dir, 0}.linesName()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()+3*longestLine); err != nil {
		t.Fatal(err)
	}
	if p := verify(t, dir); p.Fault != nil || p.Next != 3 || p.Torn != 3*longestLine {
		t.Errorf("%+v %v", p, p.Fault)
	}
	goesOn(t, dir, 3)
}

// Where a power failure took a block, and not what was written behind it, what is not signed ends there.
func TestBlockLost(t *testing.T) {
	t.Parallel()
	from := tempDir(t)
	j := open(t, from, Options{})
	write(t, j, 3)
	if _, err := j.Write(records(4, time.Now())); err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	copyFiles(t, from, dir)
	s := segment{dir, 0}
	all := lines(t, s)
	clear(all[4])
	clear(all[5][:30])
	setLines(t, s, all)
	goesOn(t, dir, 4)
}

// Of a file that was begun and broken off nothing stays; the hashes of records that were taken out do, to tell of them.
func TestLeavesWithoutLines(t *testing.T) {
	t.Parallel()
	dir, list := madeElsewhere(t)
	remains := segment{dir, 33}.leavesName()
	if err := os.WriteFile(remains, make([]byte, frontierSize(33)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(list[1].linesName()); err != nil {
		t.Fatal(err)
	}
	j := open(t, dir, Options{})
	closed(t, j)
	names, err := filepath.Glob(filepath.Join(dir, "*"+leavesSuffix))
	if err != nil || len(names) != 4 || !slices.Contains(names, list[1].leavesName()) || slices.Contains(names, remains) {
		t.Errorf("%v %v", names, err)
	}
	if f := verify(t, dir).Fault; f == nil || f.Kind != "missing" || f.Record != 10 {
		t.Errorf("%+v", f)
	}
}

// What is no file has no records: reading it might never end.
func TestNoFile(t *testing.T) {
	t.Parallel()
	dir, list := madeElsewhere(t)
	name := list[1].linesName()
	if err := errors.Join(os.Remove(name), os.Symlink(os.DevNull, name)); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir, ""); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("verified: %v", err)
	}
}
