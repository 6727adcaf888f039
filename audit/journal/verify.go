package journal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof is what a verification found.
type Proof struct {
	First, Next uint64      // the records from First on, up to but not including Next, are there
	Key         string      // what the checkpoints were verified by
	Checkpoints int         // that were compared with the records
	Last        *Checkpoint // the latest that holds; nil: there is none
	Unsigned    uint64      // records behind it: of these nothing is proven
	NotCompared string      // why a checkpoint that was given proves nothing; empty: all were compared
	Lost        uint64      // records that the others tell were never written
	Torn        int64       // bytes behind the last record that are no whole one; it was being written
	Fault       *Fault      // the first; nil: all is as it was
}

// Fault is what is wrong, from the first record on that it concerns.
type Fault struct {
	Kind   string // altered, missing, reordered, inserted, cut or checkpoint
	Record uint64
	Detail string
	File   string // where it was found
	Line   int
}

// Verify proves that the records in a directory are those that the checkpoints tell of, by the directory's key, or by another
// one if that is not empty. What is given in against are checkpoints that were kept elsewhere: they must hold, too. The error
// tells why nothing could be proven at all.
func Verify(dir, key string, against ...*Checkpoint) (Proof, error) {
	if key == "" {
		var err error
		if key, err = PublicKey(dir); err != nil {
			return Proof{}, err
		}
	}
	for {
		v, err := verifyOnce(dir, key, against)
		if err == nil && v.Fault == nil {
			return v.Proof, nil
		}
		// Old files may have been removed meanwhile, which is signed before.
		if last, lastErr := Latest(dir); lastErr != nil || last.Kept <= v.kept {
			return v.Proof, err
		}
	}
}

func verifyOnce(dir, key string, against []*Checkpoint) (*verification, error) {
	v := &verification{Proof: Proof{Key: key}, dir: dir, given: against}
	name := filepath.Join(dir, checkpointsName)
	checkpoints, bad, err := readCheckpoints(name, key)
	if err != nil {
		return v, err
	}
	v.kept = latestOf(checkpoints).Kept
	list, err := segments(dir)
	if err != nil {
		return v, err
	}
	v.checkpoints = append(checkpoints, against...)
	slices.SortStableFunc(v.checkpoints, func(a, b *Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	if err := v.records(list); err != nil {
		return v, err
	}
	if v.Fault == nil && len(bad) > 0 {
		v.Fault = &Fault{Kind: "checkpoint", Detail: fmt.Sprintf("a checkpoint cannot be believed: %v", bad[0].err), File: name, Line: bad[0].line}
	}
	return v, nil
}

type verification struct {
	Proof
	dir         string
	kept        uint64 // the first record that should be there
	checkpoints []*Checkpoint
	given       []*Checkpoint // of these, those that were kept elsewhere
	tree        frontier
	suspect     *Fault // the first record that is not as its hash says: one of the two was altered, and the next checkpoint tells which
}

// records goes through all of them, up to the first fault.
func (v *verification) records(list []segment) error {
	for len(list) > 1 && list[1].first <= v.kept { // about to be removed by its age
		list = list[1:]
	}
	if len(list) == 0 {
		v.Next = v.kept
		v.end()
		return nil
	}
	v.First, v.Next = v.kept, v.kept
	if list[0].first > v.kept {
		v.missing(v.kept, list[0].first, list[0].linesName(), 0)
		return nil
	}
	v.First = list[0].first
	var err error
	if v.tree, err = startOf(list, 0); err != nil {
		return err
	}
	for len(v.checkpoints) > 0 && v.checkpoints[0].Size < v.tree.size {
		if slices.Contains(v.given, v.checkpoints[0]) {
			v.NotCompared = "all records that it tells of were removed by their age"
		}
		v.checkpoints = v.checkpoints[1:] // what it tells of is gone; a later one tells the same
	}
	v.compareRoots()
	for i, s := range list {
		if v.Fault == nil && s.first != v.tree.size {
			v.outOfPlace(s)
		}
		if v.Fault != nil {
			break
		}
		if err := v.segment(s, i+1 == len(list)); err != nil {
			return err
		}
	}
	v.Next = v.tree.size
	v.end()
	return nil
}

// outOfPlace notes that a file does not begin where the last one ended.
func (v *verification) outOfPlace(s segment) {
	if s.first > v.tree.size {
		v.missing(v.tree.size, s.first, s.linesName(), 0)
		return
	}
	v.Fault = &Fault{Kind: "inserted", Record: s.first, File: s.linesName(), Detail: fmt.Sprintf("record %d stands in two files", s.first)}
}

func (v *verification) missing(from, to uint64, file string, line int) {
	f := &Fault{Kind: "missing", Record: from, File: file, Line: line, Detail: fmt.Sprintf("record %d is missing", from)}
	if to > from+1 {
		f.Detail = fmt.Sprintf("the records from %d to %d are missing", from, to-1)
	}
	v.Fault = f
}

// segment goes through the records of one file.
func (v *verification) segment(s segment, last bool) error {
	leaves, err := s.allLeaves()
	if err != nil {
		leaves = nil // the checkpoints prove the lines without them; only which one is at fault could not be told
	}
	lines, err := s.scan()
	if err != nil {
		return err
	}
	defer lines.close()
	for n := 0; ; n++ {
		err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errLine) {
			return err
		}
		leaf := tlog.RecordHash(lines.line)
		broken := errors.Is(err, errLine) || sequenceOf(lines.line) != v.tree.size
		if v.suspect == nil && (broken || n < len(leaves) && leaf != leaves[n]) {
			v.suspect = judge(s, n, leaves)
			v.suspect.Record = v.tree.size
		}
		if broken {
			v.Fault = v.suspect
			return nil
		}
		v.tree.add(leaf)
		v.Lost += lostBefore(lines.line)
		if v.compareRoots(); v.Fault != nil {
			return nil
		}
	}
	v.Torn = lines.torn
	if v.Torn > 0 && !last {
		v.Fault = &Fault{
			Kind: "altered", Record: v.tree.size, File: s.linesName(), Line: int(v.tree.size-s.first) + 1, //nolint:gosec // within a file
			Detail: fmt.Sprintf("record %d is not whole", v.tree.size),
		}
	}
	return nil
}

// judge tells what happened where the nth line of a file is not the nth record.
func judge(s segment, n int, leaves []tlog.Hash) *Fault {
	at := s.first + uint64(n) //nolint:gosec // not negative
	f := &Fault{Kind: "altered", File: s.linesName(), Line: n + 1, Detail: fmt.Sprintf("record %d was altered", at)}
	lines, err := s.scan()
	if err != nil {
		return f
	}
	defer lines.close()
	var rest []tlog.Hash // from the nth line on
	for i := 0; ; i++ {
		if lines.next() != nil {
			break
		}
		if i >= n {
			rest = append(rest, tlog.RecordHash(lines.line))
		}
	}
	if len(rest) == 0 || n >= len(leaves) {
		return f
	}
	is, here := slices.Index(leaves[n:], rest[0]), slices.Index(rest, leaves[n])
	switch {
	case is > 0 && here > 0: // both are there, each at another place
		f.Kind, f.Detail = "reordered", fmt.Sprintf("record %d stands behind record %d", at, at+uint64(is))
	case is > 0:
		f.Kind, f.Detail = "missing", fmt.Sprintf("record %d is missing", at)
		if is > 1 {
			f.Detail = fmt.Sprintf("the records from %d to %d are missing", at, at+uint64(is)-1)
		}
	case here > 0:
		f.Kind, f.Detail = "inserted", fmt.Sprintf("something stands before record %d that is no record", at)
	}
	return f
}

// number finds a number in a line that we wrote, without reading the whole of it.
func number(line []byte, member string) (n uint64, ok bool) {
	_, rest, ok := bytes.Cut(line, []byte(member)) // no text holds one: quotes are escaped there
	if !ok {
		return 0, false
	}
	digits, _, _ := bytes.Cut(rest, []byte(","))
	n, err := strconv.ParseUint(string(digits), 10, 64)
	return n, err == nil
}

// lostBefore is how many records a line says were lost before it.
func lostBefore(line []byte) uint64 {
	n, _ := number(line, `,"gracegate.lost_before":`)
	return n
}

// sequenceOf is the number that a line itself tells.
func sequenceOf(line []byte) uint64 {
	if n, ok := number(line, `,"event.sequence":`); ok {
		return n
	}
	var r struct {
		Sequence *uint64 `json:"event.sequence"`
	}
	if json.Unmarshal(line, &r) != nil || r.Sequence == nil {
		return ^uint64(0)
	}
	return *r.Sequence
}

// compareRoots compares the tree with the checkpoints of its size.
func (v *verification) compareRoots() {
	for len(v.checkpoints) > 0 && v.checkpoints[0].Size == v.tree.size {
		c := v.checkpoints[0]
		switch is := v.tree.root(); {
		case v.suspect != nil && c.Root == is:
			hashes := strings.TrimSuffix(v.suspect.File, linesSuffix) + leavesSuffix
			v.Fault = &Fault{
				Kind: "altered", Record: v.suspect.Record, File: hashes,
				Detail: fmt.Sprintf("the hash of record %d was altered; the record is the one that was signed", v.suspect.Record),
			}
			return
		case v.suspect != nil:
			v.Fault = v.suspect
			return
		case c.Root != is:
			from := v.First
			if v.Last != nil {
				from = v.Last.Size
			}
			v.Fault = &Fault{
				Kind: "altered", Record: from, File: filepath.Join(v.dir, checkpointsName),
				Detail: fmt.Sprintf("the records from %d to %d are not those that were signed at %s: at least one was altered, and its hash with it",
					from, max(c.Size, from+1)-1, c.Time.Format(time.RFC3339)),
			}
			return
		}
		v.Last = c
		v.Checkpoints++
		v.checkpoints = v.checkpoints[1:]
	}
}

// end judges what the records do not reach.
func (v *verification) end() {
	if s := v.suspect; s != nil && (v.Fault == nil || v.Fault.Record > s.Record) {
		v.Fault = s
	}
	if v.Fault != nil {
		return
	}
	if len(v.checkpoints) > 0 {
		c := v.checkpoints[len(v.checkpoints)-1]
		v.Fault = &Fault{
			Kind: "cut", Record: v.Next, File: v.dir,
			Detail: fmt.Sprintf("the records from %d to %d are missing: the checkpoint of %s tells of them", v.Next, c.Size-1, c.Time.Format(time.RFC3339)),
		}
		return
	}
	v.Unsigned = v.Next
	if v.Last != nil {
		v.Unsigned = v.Next - v.Last.Size
	} else {
		v.Unsigned = v.Next - v.First
	}
}
