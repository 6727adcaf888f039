package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gracegate/gracegate/audit"
)

func open(t *testing.T, dir string, opts Options) *Journal {
	t.Helper()
	j, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func records(n int, at time.Time) []*audit.Record {
	list := make([]*audit.Record, n)
	for i := range list {
		list[i] = &audit.Record{Event: audit.End, Time: at, User: fmt.Sprintf("user-%d", i)}
	}
	return list
}

// write appends records, some at a time, and signs behind each.
func write(t *testing.T, j *Journal, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		if written, err := j.Write(records(n, time.Now())); written != n || err != nil {
			t.Fatalf("%d of %d records: %v", written, n, err)
		}
		if err := j.Sign(); err != nil {
			t.Fatal(err)
		}
	}
}

func closed(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// goesOn wants a journal to go on with the record next, and all of it to be proven then.
func goesOn(t *testing.T, dir string, next uint64) {
	t.Helper()
	j := open(t, dir, Options{})
	if j.Next() != next {
		t.Fatalf("it goes on with record %d, want %d", j.Next(), next)
	}
	write(t, j, 3)
	closed(t, j)
	if p := verify(t, dir); p.Fault != nil || p.First != 0 || p.Next != next+3 || p.Torn != 0 || p.Unsigned != 0 {
		t.Errorf("%+v, %v", p, p.Fault)
	}
}

func verify(t *testing.T, dir string, against ...*Checkpoint) Proof {
	t.Helper()
	p, err := Verify(dir, "", against...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tempDir is in memory where it can be: a disk that syncs takes most of the time of these tests.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "gracegate-journal-") //nolint:usetesting // not where t.TempDir is
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A journal goes on where it ended, over several files, and every record can be proven.
func TestJournal(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	for round := range 5 {
		j := open(t, dir, Options{SegmentSize: 3000})
		if want := uint64(round * 27); j.Next() != want {
			t.Fatalf("round %d begins at %d", round, j.Next())
		}
		write(t, j, 1, 5, 21)
		closed(t, j)
	}
	list, err := segments(dir)
	if err != nil || len(list) < 4 {
		t.Fatalf("%d files, %v", len(list), err)
	}
	p := verify(t, dir)
	if p.Fault != nil || p.First != 0 || p.Next != 135 || p.Unsigned != 0 || p.Checkpoints != 15 {
		t.Errorf("%+v", p)
	}
	n := uint64(0)
	for line, err := range Read(dir, 100) {
		if err != nil || line.Sequence != 100+n || sequenceOf(line.Text) != line.Sequence {
			t.Fatalf("record %d: %d %s %v", n, line.Sequence, line.Text, err)
		}
		n++
	}
	if n != 35 {
		t.Errorf("read %d records", n)
	}
}

// The tree is that of tlog, however many leaves it has.
func TestFrontierIsTheTreeOfTlog(t *testing.T) {
	t.Parallel()
	var f frontier
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			list[i] = stored[index]
		}
		return list, nil
	})
	for n := range int64(1100) {
		text := fmt.Appendf(nil, "record %d", n)
		more, err := tlog.StoredHashes(n, text, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		f.add(tlog.RecordHash(text))
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil || f.root() != want {
			t.Fatalf("%d leaves: %v, want %v, %v", n+1, f.root(), want, err)
		}
		again, err := readFrontier(bytes.NewReader(f.bytes()), f.size)
		if err != nil || again.root() != want || int64(len(f.bytes())) != frontierSize(f.size) {
			t.Fatalf("%d leaves are not read back: %v", n+1, err)
		}
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	j := open(t, dir, Options{})
	_, err := Open(dir, Options{})
	if _, locked := errors.AsType[*LockedError](err); !locked || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
	closed(t, j)
	closed(t, open(t, dir, Options{}))
}

// However a journal was cut by the end of its process, it goes on behind the last whole record, and the proof holds.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	from := tempDir(t)
	j := open(t, from, Options{})
	write(t, j, 2)
	if _, err := j.Write(records(2, time.Now())); err != nil {
		t.Fatal(err)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	lines, err := os.ReadFile(j.segment.linesName())
	if err != nil {
		t.Fatal(err)
	}
	signed := bytes.Index(lines, []byte("user-1")) // within the last one that is
	signed += bytes.IndexByte(lines[signed:], '\n') + 1
	for _, leaves := range []int{0, 1, 2, 4} {
		for cut := range len(lines) + 1 {
			dir := tempDir(t)
			copyFiles(t, from, dir)
			mustTruncate(t, segment{dir, 0}.linesName(), cut)
			mustTruncate(t, segment{dir, 0}.leavesName(), leaves*tlog.HashSize)
			j, err := Open(dir, Options{})
			if cut < signed {
				if cutErr, ok := errors.AsType[*CutError](err); !ok || cutErr.From != uint64(bytes.Count(lines[:cut], []byte("\n"))) {
					t.Fatalf("cut at %d, before what was signed: %v", cut, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if want := uint64(bytes.Count(lines[:cut], []byte("\n"))); j.Next() != want {
				t.Fatalf("cut at %d: %d records, want %d", cut, j.Next(), want)
			}
			write(t, j, 1)
			closed(t, j)
			if p := verify(t, dir); p.Fault != nil || p.Torn != 0 || p.Unsigned != 0 {
				t.Fatalf("cut at %d: %+v %v", cut, p, p.Fault)
			}
		}
	}
}

func mustTruncate(t *testing.T, name string, size int) {
	t.Helper()
	if info, err := os.Stat(name); err != nil || info.Size() < int64(size) {
		return
	}
	if err := os.Truncate(name, int64(size)); err != nil {
		t.Fatal(err)
	}
}

func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Old records go a file at a time, and what is left is proven as before.
func TestPrune(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	j := open(t, dir, Options{SegmentSize: 1000})
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 40 {
		if _, err := j.Write(records(3, day.AddDate(0, 0, i))); err != nil {
			t.Fatal(err)
		}
		if err := j.Sign(); err != nil {
			t.Fatal(err)
		}
	}
	early := verify(t, dir).Last
	removed, err := j.Prune(day.AddDate(0, 0, 20))
	if err != nil || removed < 50 || removed > 60 {
		t.Fatalf("%d removed, %v", removed, err)
	}
	if again, err := j.Prune(day.AddDate(0, 0, 20)); again != 0 || err != nil {
		t.Errorf("%d removed again, %v", again, err)
	}
	if p := verify(t, dir, early); p.Fault != nil || p.First != removed || p.Next != 120 {
		t.Errorf("%+v %v", p, p.Fault)
	}
	if removed, err := j.Prune(day.AddDate(1, 0, 0)); err != nil || removed == 0 {
		t.Errorf("%d removed, %v", removed, err)
	}
	closed(t, j)
	j = open(t, dir, Options{SegmentSize: 1000})
	write(t, j, 4)
	p := verify(t, dir, early)
	if p.Fault != nil || p.Next != 124 || p.First == 0 {
		t.Errorf("%+v %v", p, p.Fault)
	}
	// A file that goes without having been signed away is missed.
	closed(t, j)
	list, err := segments(dir)
	if err != nil || len(list) < 2 {
		t.Fatal(len(list), err)
	}
	remove(t, list[0])
	if f := verify(t, dir).Fault; f == nil || f.Kind != "missing" || f.Record != list[0].first {
		t.Errorf("%+v", f)
	}
	// And no gateway goes on behind it, which would sign that it was never there.
	if cutErr, ok := errors.AsType[*CutError](func() error { _, err := Open(dir, Options{}); return err }()); !ok || cutErr.From != list[0].first || cutErr.To != list[1].first {
		t.Errorf("%v", cutErr)
	}
}

func remove(t *testing.T, s segment) {
	t.Helper()
	if err := errors.Join(os.Remove(s.linesName()), os.Remove(s.leavesName())); err != nil {
		t.Fatal(err)
	}
}

// Who verifies while old files are removed accuses nobody.
func TestVerifyBesidePrune(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	j := open(t, dir, Options{SegmentSize: 1000})
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 300 {
		if _, err := j.Write(records(3, day.AddDate(0, 0, i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Sign(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		var err error
		for i := 5; i < 300 && err == nil; i += 5 {
			_, err = j.Prune(day.AddDate(0, 0, i))
		}
		done <- err
	}()
	for pruning := true; pruning; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			pruning = false
		default:
		}
		if p, err := Verify(dir, ""); err != nil || p.Fault != nil {
			t.Errorf("%+v %v", p.Fault, err)
		}
	}
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), "journal")
	j := open(t, dir, Options{SegmentSize: 100})
	write(t, j, 1, 1, 1)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
		names = append(names, e.Name())
	}
	for _, want := range []string{"key", "key.pub", "checkpoints", "lock"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s among %v", want, names)
		}
	}
}

// A clock that jumps back leaves the order of the records alone: they have numbers. Nothing is removed before its time.
func TestClockJumpsBack(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	j := open(t, dir, Options{SegmentSize: 500})
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, at := range []time.Time{now, now.AddDate(0, 0, 9), now.AddDate(0, 0, -20), now.AddDate(0, 0, 1), now.AddDate(0, 0, 2)} {
		if _, err := j.Write(records(3, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Sign(); err != nil {
		t.Fatal(err)
	}
	if removed, err := j.Prune(now.AddDate(0, 0, 1)); err != nil || removed > 3 {
		t.Errorf("%d removed, %v", removed, err)
	}
	if p := verify(t, dir); p.Fault != nil || p.Next != 15 {
		t.Errorf("%+v %v", p, p.Fault)
	}
	// The range of an export is from the first to the last that lies in it, with all between.
	_, _, list, _, err := Export(dir, Range{Since: now.AddDate(0, 0, 1), Until: now.AddDate(0, 0, 2)})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d records of one day", n)
	}
}

// Leaves that a power failure has spoilt, behind the last checkpoint, are made from the lines.
func TestSpoiltLeaves(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	j := open(t, dir, Options{})
	write(t, j, 3)
	if _, err := j.Write(records(4, time.Now())); err != nil {
		t.Fatal(err)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	copied := tempDir(t)
	copyFiles(t, dir, copied)
	name := segment{copied, 0}.leavesName()
	mustTruncate(t, name, 6*tlog.HashSize)
	if err := os.Truncate(name, 7*tlog.HashSize); err != nil { // the last one is zero
		t.Fatal(err)
	}
	again := open(t, copied, Options{})
	write(t, again, 1)
	if p := verify(t, copied); p.Fault != nil || p.Next != 8 || p.Unsigned != 0 {
		t.Errorf("%+v %v", p, p.Fault)
	}
}

// A new file that cannot be made leaves nothing behind, and the old one goes on.
func TestRollFails(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	j := open(t, dir, Options{SegmentSize: 100})
	write(t, j, 1)
	obstacle := segment{dir, 1}.linesName()
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, j, 3)
	if _, err := os.Stat(segment{dir, 1}.leavesName()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("leaves without lines: %v", err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	if p := verify(t, dir); p.Fault != nil || p.Next != 4 {
		t.Errorf("%+v %v", p, p.Fault)
	}
}

// Whoever takes away or empties the file that is written is noticed, and so is one who puts it back.
func TestFileTakenAway(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(name string) error{
		"removed": func(name string) error { return os.Rename(name, name+".1") },
		"another": func(name string) error {
			return errors.Join(os.Rename(name, name+".1"), os.WriteFile(name, nil, 0o600))
		},
		"emptied": func(name string) error { return os.Truncate(name, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			j := open(t, dir, Options{})
			write(t, j, 3)
			file := segment{dir, 0}.linesName()
			if err := take(file); err != nil {
				t.Fatal(err)
			}
			if err := j.Sync(); err == nil || !j.Failing() {
				t.Errorf("nobody noticed: %v", err)
			}
			if os.Rename(file+".1", file) == nil {
				if err := j.Sync(); err != nil || j.Failing() {
					t.Errorf("it is back: %v", err)
				}
			}
		})
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	j := open(t, dir, Options{})
	write(t, j, 2)
	if err := j.Probe(); err != nil {
		t.Fatal(err)
	}
	write(t, j, 1)
	if p := verify(t, dir); p.Fault != nil || p.Next != 3 || p.Torn != 0 {
		t.Errorf("%+v %v", p, p.Fault)
	}
}

// A power failure may take what stands for the records before the last file, but not the records: it is made from them again.
func TestLostLeaves(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(name string) error{
		"gone":    os.Remove,
		"empty":   func(name string) error { return os.Truncate(name, 0) },
		"a piece": func(name string) error { return os.Truncate(name, tlog.HashSize+1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			j := open(t, dir, Options{SegmentSize: 1000})
			write(t, j, 7, 7, 7, 7)
			closed(t, j)
			list, err := segments(dir)
			if err != nil || len(list) < 3 {
				t.Fatal(len(list), err)
			}
			for _, s := range list[len(list)-2:] {
				if err := lose(s.leavesName()); err != nil {
					t.Fatal(err)
				}
			}
			goesOn(t, dir, 28)
		})
	}
}

// Whoever asks at each request whether records reach the disk does not wait while a disk hangs.
func TestNobodyWaitsForADiskThatHangs(t *testing.T) {
	j := open(t, t.TempDir(), Options{})
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	file := j.lines
	j.lines = in
	wrote := make(chan error)
	go func() {
		_, err := j.Write(records(1000, time.Now())) // more than a pipe holds
		wrote <- err
	}()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	asked := make(chan bool, 1)
	go func() { asked <- j.Failing() }()
	select {
	case <-asked:
	case <-time.After(10 * time.Second):
		t.Error("it waits")
	}
	_ = out.Close()
	if err := <-wrote; err == nil {
		t.Error("a pipe without a reader took the records")
	}
	j.lines = file
	_ = in.Close()
}
