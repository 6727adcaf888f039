package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/tlog"
)

// load finds where the journal ends, and makes it ready to go on.
func (j *Journal) load() error {
	list, err := segments(j.dir)
	if err != nil {
		return err
	}
	j.removePieces()
	if j.signer, j.public, err = readKey(j.dir, len(list) == 0); err != nil {
		return err
	}
	if len(list) == 0 {
		return j.begin()
	}
	last, err := j.lastCheckpoint()
	if err != nil {
		return err
	}
	j.signed, j.kept = last.Size, last.Kept
	if list[0].first > j.kept { // what is removed by its age is signed away before
		return &CutError{j.dir, last, j.kept, list[0].first}
	}
	j.segment = list[len(list)-1]
	if j.tree, err = startOf(list, len(list)-1); err != nil {
		return err
	}
	if err := j.resume(); err != nil {
		return err
	}
	if j.signed > j.tree.size {
		return &CutError{j.dir, last, j.tree.size, j.signed}
	}
	return nil
}

// begin makes the first file.
func (j *Journal) begin() error {
	j.segment = segment{j.dir, 0}
	var err error
	j.lines, j.leaves, err = j.create(j.segment)
	return err
}

// removePieces removes what a run left behind that ended while it wrote a file.
func (j *Journal) removePieces() {
	pieces, err := filepath.Glob(filepath.Join(j.dir, ".new-*"))
	if err != nil {
		return
	}
	for _, name := range pieces {
		_ = os.Remove(name)
	}
}

// startOf is the frontier at the start of a segment. Where a power failure took it, it is made from the segment before.
func startOf(list []segment, i int) (frontier, error) {
	if list[i].first == 0 {
		return frontier{}, nil
	}
	f, err := list[i].frontier()
	if err == nil {
		return f, nil
	}
	if i == 0 {
		return frontier{}, fmt.Errorf("%s: what stands for the records before it cannot be read: %w", list[i].leavesName(), err)
	}
	if f, err = startOf(list, i-1); err != nil {
		return frontier{}, err
	}
	lines, err := list[i-1].scan()
	if err != nil {
		return frontier{}, err
	}
	defer lines.close()
	for err = lines.next(); err == nil; err = lines.next() {
		f.add(tlog.RecordHash(lines.line))
	}
	if !errors.Is(err, io.EOF) || f.size != list[i].first {
		return frontier{}, fmt.Errorf("%s: it should hold the records from %d to %d: %w", list[i-1].linesName(), list[i-1].first, list[i].first-1, err)
	}
	return f, nil
}

// resume goes through the last file: it drops a torn line, and writes the leaves that are missing. Leaves that were signed are taken
// as they are, since what was recorded is judged by them; behind these a power failure may have left anything.
func (j *Journal) resume() error {
	start := j.tree.bytes()
	known, err := j.segment.allLeaves()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines, err := j.segment.scan()
	if err != nil {
		return err
	}
	defer lines.close()
	leaves, whole := start, true
	for err = lines.next(); err == nil; err = lines.next() {
		if j.size == 0 {
			j.began = timeOf(lines.line)
		}
		leaf := tlog.RecordHash(lines.line)
		if n := j.tree.size - j.segment.first; n < uint64(len(known)) && known[n] != leaf {
			if j.tree.size < j.signed {
				leaf = known[n]
			} else {
				whole = false
			}
		}
		j.tree.add(leaf)
		leaves = append(leaves, leaf[:]...)
		j.size = lines.size
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", j.segment.linesName(), err)
	}
	if n := j.tree.size - j.segment.first; n != uint64(len(known)) || n == 0 || !whole {
		if err := writeFile(j.segment.leavesName(), leaves); err != nil {
			return err
		}
	}
	if j.lines, j.leaves, err = j.segment.open(0); err != nil {
		return err
	}
	if lines.torn > 0 {
		j.opts.Log.Warn("the last run ended while it wrote a record: the piece was dropped", zap.Int("bytes", lines.torn), zap.String("file", j.segment.linesName()))
		return j.lines.Truncate(j.size)
	}
	return nil
}

// lastCheckpoint is the latest that can be believed; one of nothing if there is none.
func (j *Journal) lastCheckpoint() (*Checkpoint, error) {
	name := filepath.Join(j.dir, checkpointsName)
	if err := dropTorn(name); err != nil {
		return nil, err
	}
	list, bad, err := readCheckpoints(name, j.public)
	if err != nil {
		return nil, err
	}
	for _, b := range bad {
		j.opts.Log.Error("a checkpoint of the records cannot be believed", zap.Int("line", b.line), zap.Error(b.err))
	}
	if len(list) == 0 {
		return &Checkpoint{}, nil
	}
	return list[len(list)-1], nil
}

// dropTorn removes a last line that is not whole.
func dropTorn(name string) error {
	data, err := os.ReadFile(name)
	whole := bytes.LastIndexByte(data, '\n') + 1
	if errors.Is(err, fs.ErrNotExist) || err == nil && whole == len(data) {
		return nil
	}
	return errors.Join(err, os.Truncate(name, int64(whole)))
}

// timeOf is when a record was written; zero if its line does not tell.
func timeOf(line []byte) time.Time {
	var r struct {
		Time time.Time `json:"@timestamp"`
	}
	if json.Unmarshal(line, &r) != nil {
		return time.Time{}
	}
	return r.Time
}
