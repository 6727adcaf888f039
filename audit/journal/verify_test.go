package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// lines reads and writes the lines of a file.
func lines(t *testing.T, s segment) [][]byte {
	t.Helper()
	data, err := os.ReadFile(s.linesName())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(bytes.Lines(data))
}

func setLines(t *testing.T, s segment, list [][]byte) {
	t.Helper()
	if err := os.WriteFile(s.linesName(), bytes.Join(list, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

// forge makes the leaves fit the lines, as somebody would who knows how a journal is made, but has not its key.
func forge(t *testing.T, s segment) {
	t.Helper()
	data, err := os.ReadFile(s.leavesName())
	if err != nil {
		t.Fatal(err)
	}
	data = data[:frontierSize(s.first)]
	for _, line := range lines(t, s) {
		leaf := tlog.RecordHash(bytes.TrimSuffix(line, []byte("\n")))
		data = append(data, leaf[:]...)
	}
	if err := os.WriteFile(s.leavesName(), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// flip changes a bit of the byte at a place of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// made is a journal of 30 signed records, 10 a file, and 2 that are not signed.
func made(t *testing.T) (dir string, list []segment) {
	t.Helper()
	dir = tempDir(t)
	j := open(t, dir, Options{SegmentSize: 1 << 30})
	for range 3 {
		write(t, j, 5, 5)
		j.mu.Lock()
		err := j.roll()
		j.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Write(records(2, time.Now())); err != nil {
		t.Fatal(err)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	list, err := segments(dir)
	if err != nil || len(list) != 4 {
		t.Fatal(len(list), err)
	}
	return dir, list
}

// spoiled is a journal that somebody changes.
type spoiled struct {
	*testing.T
	dir  string
	list []segment
}

func TestVerifyNamesTheFirstFault(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(c spoiled)
		want   Fault
	}{
		"a byte in a record": {func(c spoiled) {
			l := lines(c.T, c.list[1])
			l[3][40] ^= 1
			setLines(c.T, c.list[1], l)
		}, Fault{Kind: "altered", Record: 13, Line: 4}},
		"a byte in the last signed record": {func(c spoiled) {
			l := lines(c.T, c.list[2])
			l[9][40] ^= 1
			setLines(c.T, c.list[2], l)
		}, Fault{Kind: "altered", Record: 29, Line: 10}},
		"a record deleted": {func(c spoiled) {
			setLines(c.T, c.list[1], slices.Delete(lines(c.T, c.list[1]), 3, 4))
		}, Fault{Kind: "missing", Record: 13, Line: 4}},
		"three deleted": {func(c spoiled) {
			setLines(c.T, c.list[1], slices.Delete(lines(c.T, c.list[1]), 3, 6))
		}, Fault{Kind: "missing", Record: 13, Line: 4}},
		"the last of a file deleted": {func(c spoiled) {
			setLines(c.T, c.list[1], lines(c.T, c.list[1])[:9])
		}, Fault{Kind: "missing", Record: 19}},
		"two swapped": {func(c spoiled) {
			l := lines(c.T, c.list[1])
			l[3], l[7] = l[7], l[3]
			setLines(c.T, c.list[1], l)
		}, Fault{Kind: "reordered", Record: 13, Line: 4}},
		"a line inserted": {func(c spoiled) {
			setLines(c.T, c.list[1], slices.Insert(lines(c.T, c.list[1]), 3, []byte("{}\n")))
		}, Fault{Kind: "inserted", Record: 13, Line: 4}},
		"a file deleted":         {func(c spoiled) { remove(c.T, c.list[1]) }, Fault{Kind: "missing", Record: 10}},
		"the first file deleted": {func(c spoiled) { remove(c.T, c.list[0]) }, Fault{Kind: "missing", Record: 0}},
		"the signed end deleted": {func(c spoiled) {
			remove(c.T, c.list[3])
			remove(c.T, c.list[2])
		}, Fault{Kind: "cut", Record: 20}},
		"cut within what is signed": {func(c spoiled) {
			remove(c.T, c.list[3])
			setLines(c.T, c.list[2], lines(c.T, c.list[2])[:8])
		}, Fault{Kind: "cut", Record: 28}},
		"a record and its hash altered": {func(c spoiled) {
			l := lines(c.T, c.list[1])
			l[7] = bytes.Replace(l[7], []byte("user-2"), []byte("user-0"), 1)
			setLines(c.T, c.list[1], l)
			forge(c.T, c.list[1])
		}, Fault{Kind: "altered", Record: 15}}, // the first that was signed together with it
		"a record deleted with its hash": {func(c spoiled) {
			setLines(c.T, c.list[1], slices.Delete(lines(c.T, c.list[1]), 3, 4))
			forge(c.T, c.list[1])
		}, Fault{Kind: "altered", Record: 13, Line: 4}}, // its successor tells another number
		"a record altered, and the next file deleted": {func(c spoiled) {
			l := lines(c.T, c.list[1])
			l[8][40] ^= 1
			setLines(c.T, c.list[1], l)
			remove(c.T, c.list[2])
		}, Fault{Kind: "altered", Record: 18, Line: 9}},
		"a hash altered": {func(c spoiled) { // not the record
			flip(c.T, c.list[1].leavesName(), frontierSize(10)+3*tlog.HashSize)
		}, Fault{Kind: "altered", Record: 13}},
		"a checkpoint altered": {func(c spoiled) {
			name := filepath.Join(c.dir, checkpointsName)
			data, err := os.ReadFile(name)
			if err != nil {
				c.Fatal(err)
			}
			if err := os.WriteFile(name, bytes.Replace(data, []byte(`\n5\n`), []byte(`\n6\n`), 1), 0o600); err != nil {
				c.Fatal(err)
			}
		}, Fault{Kind: "checkpoint", Line: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, list := made(t)
			if p := verify(t, dir); p.Fault != nil || p.Next != 32 || p.Unsigned != 2 {
				t.Fatalf("before: %+v %v", p, p.Fault)
			}
			tt.change(spoiled{t, dir, list})
			got := verify(t, dir).Fault
			if got == nil || got.Kind != tt.want.Kind || got.Record != tt.want.Record || got.Line != tt.want.Line {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// What is not signed yet may go, or break off, without a fault; that is said.
func TestUnsignedTail(t *testing.T) {
	t.Parallel()
	dir, list := made(t)
	last := lines(t, list[3])
	setLines(t, list[3], [][]byte{last[0], last[1][:20]})
	if p := verify(t, dir); p.Fault != nil || p.Next != 31 || p.Unsigned != 1 || p.Torn != 20 {
		t.Errorf("%+v %v", p, p.Fault)
	}
	remove(t, list[3])
	if p := verify(t, dir); p.Fault != nil || p.Next != 30 || p.Unsigned != 0 {
		t.Errorf("%+v %v", p, p.Fault)
	}
	// Somebody who also takes the checkpoint away is found by one that was kept elsewhere.
	kept := verify(t, dir).Last
	remove(t, list[2])
	name := filepath.Join(dir, checkpointsName)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Join(slices.Collect(bytes.Lines(data))[:4], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := verify(t, dir); p.Fault != nil || p.Next != 20 {
		t.Errorf("%+v %v", p, p.Fault)
	}
	if f := verify(t, dir, kept).Fault; f == nil || f.Kind != "cut" || f.Record != 20 {
		t.Errorf("%+v", f)
	}
}

// Whatever byte of a signed journal is changed, it is found, and if it is one of a record, that is named.
func TestAnyByte(t *testing.T) {
	t.Parallel()
	from, list := made(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		dir := tempDir(t)
		copyFiles(t, from, dir)
		at := rnd.IntN(3)
		s := segment{dir, list[at].first}
		data, err := os.ReadFile(s.linesName())
		if err != nil {
			t.Fatal(err)
		}
		i := rnd.IntN(len(data))
		want := s.first + uint64(bytes.Count(data[:i], []byte("\n")))
		data[i] ^= 1 << rnd.IntN(8)
		if err := os.WriteFile(s.linesName(), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if f := verify(t, dir).Fault; f == nil || f.Record != want {
			t.Fatalf("byte %d of %s: %+v, want record %d", i, filepath.Base(s.linesName()), f, want)
		}
	}
}

// Every record that is there is proven in the tree of the last checkpoint, after removals too, and no other line is.
func TestExport(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	j := open(t, dir, Options{SegmentSize: 3000})
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 150 {
		if _, err := j.Write(records(1+i%7, day.Add(time.Duration(i)*time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Prune(day.Add(50 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := j.Sign(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Write(records(2, day.Add(200*time.Hour))); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Range{{}, {Since: day.Add(60 * time.Hour)}, {day.Add(70 * time.Hour), day.Add(71 * time.Hour)}, {Until: day}} {
		c, _, list, behind, err := Export(dir, r)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for p, err := range list {
			if err != nil {
				t.Fatal(err)
			}
			n++
			at := writtenAt(p.Text)
			if !at.Equal(timeOf(p.Text)) || at.Before(r.Since) || !r.Until.IsZero() && !at.Before(r.Until) {
				t.Fatalf("record %d of %v is out of %v", p.Sequence, at, r)
			}
			p.Text = fmt.Append(bytes.Clone(p.Text), " ")
			if p.check(c) == nil {
				t.Fatalf("record %d is proven though altered", p.Sequence)
			}
		}
		want := 0
		for line, err := range Read(dir, 0) {
			if at := timeOf(line.Text); err == nil && !at.Before(r.Since) && (r.Until.IsZero() || at.Before(r.Until)) && line.Sequence < c.Size {
				want++
			}
		}
		if n != want || r.Until.IsZero() && behind != 2 || !r.Until.IsZero() && behind != 0 {
			t.Errorf("%v: %d records, want %d; %d behind", r, n, want, behind)
		}
	}
}
