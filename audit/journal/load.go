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
	"slices"
	"strings"
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
	j.removePieces(list)
	fresh, err := j.isFresh(list)
	if err != nil {
		return err
	}
	if j.signer, j.public, err = readKey(j.dir, fresh); err != nil {
		return err
	}
	last, err := j.lastCheckpoint()
	if err != nil {
		return err
	}
	j.signed, j.kept = last.Size, last.Kept
	switch {
	case len(list) == 0 && j.signed > 0:
		return &CutError{j.dir, last, j.kept, j.signed}
	case len(list) == 0:
		return j.begin()
	case list[0].first > j.kept: // what is removed by its age is signed away before
		return &CutError{j.dir, last, j.kept, list[0].first}
	}
	j.segment = list[len(list)-1]
	if j.tree, err = startOf(list, len(list)-1); err != nil {
		return err
	}
	if err := j.resume(last); err != nil {
		return err
	}
	if j.signed > j.tree.size {
		return &CutError{j.dir, last, j.tree.size, j.signed}
	}
	if j.signed == 0 && j.tree.size > 0 {
		j.opts.Log.Warn("no checkpoint tells of the records that are there: they count as they are now", zap.Uint64("records", j.tree.size))
	}
	return nil
}

// isFresh tells whether nothing was ever recorded here, as far as can be seen: then a key may be made.
func (j *Journal) isFresh(list []segment) (bool, error) {
	info, err := os.Stat(filepath.Join(j.dir, checkpointsName))
	if errors.Is(err, fs.ErrNotExist) {
		return len(list) == 0, nil
	}
	return len(list) == 0 && err == nil && info.Size() == 0, err
}

// begin makes the first file.
func (j *Journal) begin() error {
	j.segment = segment{j.dir, 0}
	var err error
	j.lines, j.leaves, err = j.create(j.segment)
	return err
}

// removePieces removes what a run left behind that ended while it wrote a file, or began the next one: leaves of no record, without
// a file of lines.
func (j *Journal) removePieces(list []segment) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		first, isLeaves := numberOf(e.Name(), leavesSuffix)
		if !isLeaves && !strings.HasPrefix(e.Name(), newPrefix) || slices.Contains(list, segment{j.dir, first}) {
			continue
		}
		if info, err := e.Info(); err == nil && (!isLeaves || info.Size() == frontierSize(first)) {
			_ = os.Remove(filepath.Join(j.dir, e.Name()))
		}
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

// resume goes through the last file: it drops a torn line, or what a power failure left behind the first block that it took, and
// writes the leaves that are missing.
func (j *Journal) resume(last *Checkpoint) error {
	known, err := j.segment.allLeaves()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines, err := j.segment.scan()
	if err != nil {
		return err
	}
	defer lines.close()
	var leaves []tlog.Hash
	for err = lines.next(); err == nil; err = lines.next() {
		if bytes.IndexByte(lines.line, 0) >= 0 && j.tree.size+uint64(len(leaves)) >= j.signed { // no record has one
			err = io.EOF
			break
		}
		if j.size == 0 {
			j.began = timeOf(lines.line)
		}
		leaves = append(leaves, tlog.RecordHash(lines.line))
		j.size = lines.size
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", j.segment.linesName(), err)
	}
	leaves = j.choose(leaves, known, last)
	file := j.tree.bytes()
	for _, leaf := range leaves {
		j.tree.add(leaf)
		file = append(file, leaf[:]...)
	}
	if len(leaves) == 0 || !slices.Equal(leaves, known) {
		if err := writeFile(j.segment.leavesName(), file); err != nil {
			return err
		}
	}
	if j.lines, j.leaves, err = j.segment.open(0); err != nil {
		return err
	}
	info, err := j.lines.Stat()
	if err != nil || info.Size() == j.size {
		return err
	}
	j.opts.Log.Warn("the last run ended while it wrote a record: the piece was dropped", zap.Int64("bytes", info.Size()-j.size), zap.String("file", j.segment.linesName()))
	return j.lines.Truncate(j.size)
}

// choose tells which leaves of the last file count. What was signed is judged by those that were written then, so that a line that
// was altered since does not become the truth; where these do not lead to what was signed, and the lines do, the leaves were spoilt.
// Behind what was signed a power failure may have left anything for leaves.
func (j *Journal) choose(lines, known []tlog.Hash, last *Checkpoint) []tlog.Hash {
	if last.Size < j.segment.first {
		return lines // nothing of this file was signed
	}
	signed := slices.Clone(lines)
	copy(signed[:min(last.Size-j.segment.first, uint64(len(signed)))], known)
	switch {
	case j.leadsTo(last, signed):
		return signed
	case j.leadsTo(last, lines):
		j.opts.Log.Warn("the hashes of some records were spoilt, and are made anew: the records are those that were signed", zap.String("file", j.segment.leavesName()))
		return lines
	}
	j.opts.Log.Error("the records are not those that were signed; gracegate audit verify tells more", zap.Time("signed_at", last.Time))
	return signed
}

// leadsTo tells whether leaves, from the start of the last file on, are those of a checkpoint. It cannot be told where they are too few.
func (j *Journal) leadsTo(c *Checkpoint, leaves []tlog.Hash) bool {
	f := frontier{j.tree.size, slices.Clone(j.tree.roots)}
	for _, leaf := range leaves {
		if f.size == c.Size {
			break
		}
		f.add(leaf)
	}
	return f.size < c.Size || f.root() == c.Root
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
	return latestOf(list), nil
}

// dropTorn removes a last line that is not whole.
func dropTorn(name string) error {
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	if whole == len(data) {
		return nil
	}
	return os.Truncate(name, int64(whole))
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
