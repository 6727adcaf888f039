package journal

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Proven is a record with the proof that it is in the tree of a checkpoint (RFC 6962, section 2.1.1).
type Proven struct {
	Line
	Proof tlog.RecordProof
}

// Range says which records are meant: those written at or after Since and before Until, in real time, and all between the first and
// the last of them. A zero bound is none.
type Range struct{ Since, Until time.Time }

// Records are records with their proofs, or why there are no more.
type Records = iter.Seq2[Proven, error]

// Export returns the records of a range that the latest checkpoint tells of, with their proofs, and how many of the range are
// behind it, and so are left out.
func Export(dir string, r Range) (c *Checkpoint, key string, list Records, behind uint64, err error) {
	if key, err = PublicKey(dir); err != nil {
		return nil, "", nil, 0, err
	}
	if c, err = Latest(dir); err != nil {
		return nil, "", nil, 0, err
	}
	from, to, err := r.find(dir)
	if err != nil {
		return nil, "", nil, 0, err
	}
	if to > c.Size {
		behind = to - max(c.Size, from)
		to = c.Size
	}
	return c, key, proven(dir, c, from, to), behind, nil
}

// find turns a range into numbers: from, and up to but not including to.
func (r Range) find(dir string) (from, to uint64, err error) {
	for line, err := range Read(dir, 0) {
		if err != nil {
			return 0, 0, err
		}
		at := writtenAt(line.Text)
		if at.Before(r.Since) || !r.Until.IsZero() && !at.Before(r.Until) {
			continue
		}
		if to == 0 {
			from = line.Sequence
		}
		to = line.Sequence + 1
	}
	return from, to, nil
}

// writtenAt is timeOf for a line as we write it, without reading the whole of it.
func writtenAt(line []byte) time.Time {
	if _, rest, ok := bytes.Cut(line, []byte(`"@timestamp":"`)); ok {
		text, _, _ := bytes.Cut(rest, []byte(`"`))
		if at, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
			return at
		}
	}
	return timeOf(line)
}

// proven goes through records with their proofs.
func proven(dir string, c *Checkpoint, from, to uint64) Records {
	return func(yield func(Proven, error) bool) {
		t, err := openTree(dir)
		if err != nil {
			yield(Proven{}, err)
			return
		}
		for line, err := range Read(dir, from) {
			if err == nil && line.Sequence >= to {
				return
			}
			p := Proven{Line: line}
			if err == nil {
				p.Proof, err = tlog.ProveRecord(int64(c.Size), int64(line.Sequence), t) //nolint:gosec // below 2^62
			}
			if err == nil {
				err = p.check(c)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// check proves that a record is in the tree of a checkpoint.
func (p *Proven) check(c *Checkpoint) error {
	err := tlog.CheckRecord(p.Proof, int64(c.Size), c.Root, int64(p.Sequence), tlog.RecordHash(p.Text)) //nolint:gosec // below 2^62
	if err != nil {
		return fmt.Errorf("record %d was altered: it is not the one that was signed", p.Sequence)
	}
	return nil
}

// openTree reads the hashes of a directory.
func openTree(dir string) (*tree, error) {
	list, err := segments(dir)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("there are no records")
	}
	base, err := startOf(list, 0)
	if err != nil {
		return nil, err
	}
	var held struct {
		segment
		leaves []tlog.Hash
	}
	at := func(n uint64) (tlog.Hash, error) {
		if held.leaves == nil || n < held.first || n >= held.first+uint64(len(held.leaves)) {
			for _, s := range list {
				if s.first <= n {
					held.segment = s
				}
			}
			var err error
			if held.leaves, err = held.allLeaves(); err != nil {
				return tlog.Hash{}, err
			}
		}
		if n-held.first >= uint64(len(held.leaves)) {
			return tlog.Hash{}, fmt.Errorf("%s: the hash of record %d is not there", held.leavesName(), n)
		}
		return held.leaves[n-held.first], nil
	}
	return &tree{base: base, known: make(map[int64]tlog.Hash), leaves: func(first uint64, n int) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, n)
		for i := range hashes {
			var err error
			if hashes[i], err = at(first + uint64(i)); err != nil {
				return nil, err
			}
		}
		return hashes, nil
	}}, nil
}
