package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/gracegate/gracegate/audit"
)

const (
	// syncEvery is how often what was recorded is brought to the disk: the most that a power failure can take.
	syncEvery = time.Second

	// signEvery is how often the tree is signed, if something was recorded.
	signEvery = time.Minute

	// pruneEvery is how often old files are looked for.
	pruneEvery = time.Hour

	// A file of lines is followed by the next once it is so large, or its first record so old: old records are removed a whole
	// file at a time.
	defaultSegmentSize = 64 << 20
	segmentAge         = 24 * time.Hour

	// rollPause is how long it is not tried again after it failed.
	rollPause = 10 * time.Second

	checkpointsName = "checkpoints"
	lockName        = "lock"
)

// Options are how a journal is kept.
type Options struct {
	Encoder audit.Encoder
	Retain  time.Duration // records are removed once all of their file are older by real time; 0: never
	// Real is the real time, and whether it can be believed: nothing is removed while it cannot. Nil: the machine's clock is
	// believed.
	Real        func() (now time.Time, believed bool)
	SegmentSize int64       // 0: 64 MiB
	Log         *zap.Logger // of what goes on beside the records; nil: nowhere
}

// Journal appends records. It is an [audit.Sink], and numbers what it is given. It is safe for concurrent use.
type Journal struct {
	dir    string
	opts   Options
	lock   *flock.Flock
	signer note.Signer
	public string

	mu        sync.Mutex
	segment   segment
	lines     *os.File
	leaves    *os.File  // open all along: descriptors may run out
	size      int64     // of the whole lines in it
	began     time.Time // when its first record was written
	rollAfter time.Time // a new file is not tried before
	torn      bool      // there may be more in it than whole lines
	tree      frontier
	kept      uint64 // the first record that is there
	unwritten []byte // leaves that are not in their file yet
	dirty     bool   // lines are not synced yet
	signed    uint64 // the size of the last checkpoint
	buf       []byte
	ends      []int

	failing      atomic.Bool // the last sync failed
	checkpointMu sync.Mutex  // one at a time
}

// LockedError tells that another process writes the journal.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return "the records in " + e.Dir + " are being written by another process"
}

// Open opens the journal in a directory, and makes it if it is not there. A torn last line is dropped. It fails with a
// [LockedError] if another process has it open, and with a [CutError] if the last checkpoint tells of records that are gone.
func Open(dir string, opts Options) (*Journal, error) {
	if opts.SegmentSize <= 0 {
		opts.SegmentSize = defaultSegmentSize
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.Real == nil {
		opts.Real = func() (time.Time, bool) { return time.Now(), true }
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, opts: opts, lock: flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))}
	switch locked, err := j.lock.TryLock(); {
	case err != nil:
		return nil, err
	case !locked:
		return nil, &LockedError{dir}
	}
	if err := j.load(); err != nil {
		if j.lines != nil {
			_, _ = j.lines.Close(), j.leaves.Close()
		}
		return nil, errors.Join(err, j.lock.Unlock())
	}
	return j, nil
}

// Next is the number of the next record.
func (j *Journal) Next() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tree.size
}

// Failing reports whether what is written may not reach the disk. It waits for nobody: it is asked at each request.
func (j *Journal) Failing() bool { return j.failing.Load() }

// Write appends records, as [audit.Sink] says. They are with the system when it returns: they survive the end of the process,
// and after the next second the end of the machine.
func (j *Journal) Write(records []*audit.Record) (written int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(); err != nil {
		return 0, err
	}
	j.buf, j.ends = j.buf[:0], j.ends[:0]
	for i, r := range records {
		r.Sequence, r.Numbered = j.tree.size+uint64(i), true
		j.buf = j.opts.Encoder.Append(j.buf, r)
		j.ends = append(j.ends, len(j.buf))
	}
	n, err := j.lines.Write(j.buf)
	start := 0
	for written < len(j.ends) && j.ends[written] <= n {
		leaf := tlog.RecordHash(j.buf[start : j.ends[written]-1])
		j.tree.add(leaf)
		j.unwritten = append(j.unwritten, leaf[:]...)
		start = j.ends[written]
		written++
	}
	j.size += int64(start)
	j.dirty = j.dirty || written > 0
	if n > start {
		j.torn = true
		j.mend()
	}
	return written, err
}

// mend takes back a piece of a line. What cannot be taken back now is tried again before the next write.
func (j *Journal) mend() {
	if j.torn {
		j.torn = j.lines.Truncate(j.size) != nil
	}
}

// ready makes sure that a line can be appended.
func (j *Journal) ready() error {
	if j.mend(); j.torn {
		return errors.New("the journal ends with a piece of a line that cannot be removed")
	}
	if j.lines == nil {
		return fs.ErrClosed
	}
	now := time.Now()
	if j.size == 0 {
		j.began = now
	}
	if (j.size >= j.opts.SegmentSize || j.size > 0 && now.Sub(j.began) >= segmentAge) && !now.Before(j.rollAfter) {
		if err := j.roll(); err != nil { // then the old file goes on
			j.rollAfter = now.Add(rollPause)
			j.opts.Log.Error("the journal cannot begin a new file", zap.Error(err))
		}
	}
	return nil
}

// roll begins a new file.
func (j *Journal) roll() error {
	if err := errors.Join(j.writeLeaves(), j.leaves.Sync(), j.lines.Sync()); err != nil {
		return err
	}
	next := segment{j.dir, j.tree.size}
	lines, leaves, err := j.create(next)
	if err != nil {
		return err
	}
	_, _ = j.lines.Close(), j.leaves.Close() // what matters was synced
	j.segment, j.lines, j.leaves, j.size, j.began = next, lines, leaves, 0, time.Now()
	return nil
}

// create makes the files of a segment: that of the leaves first, since lines without a frontier before them cannot be proven.
func (j *Journal) create(s segment) (lines, leaves *os.File, err error) {
	if err := writeFile(s.leavesName(), j.tree.bytes()); err != nil {
		return nil, nil, err
	}
	if lines, leaves, err = s.open(os.O_CREATE | os.O_EXCL); err != nil {
		return nil, nil, errors.Join(err, os.Remove(s.leavesName()))
	}
	syncDir(s.dir) // what is brought to the disk is found there
	return lines, leaves, nil
}

// open opens both files for writing.
func (s segment) open(also int) (lines, leaves *os.File, err error) {
	if leaves, err = os.OpenFile(s.leavesName(), os.O_WRONLY, 0o600); err != nil {
		return nil, nil, err
	}
	if lines, err = os.OpenFile(s.linesName(), os.O_WRONLY|os.O_APPEND|also, 0o600); err != nil {
		return nil, nil, errors.Join(err, leaves.Close())
	}
	return lines, leaves, nil
}

// writeLeaves appends the leaves that are not in their file yet. A piece that a failure left there is written over.
func (j *Journal) writeLeaves() error {
	if len(j.unwritten) == 0 {
		return nil
	}
	done := int64(j.tree.size-j.segment.first)*tlog.HashSize - int64(len(j.unwritten)) //nolint:gosec // within a file
	_, err := j.leaves.WriteAt(j.unwritten, frontierSize(j.segment.first)+done)
	if err == nil {
		j.unwritten = j.unwritten[:0]
	}
	return err
}

// inPlace makes sure that what is written is found where it should be: somebody may have removed the file, put another in its place,
// or emptied it.
func (j *Journal) inPlace() error {
	if j.lines == nil || j.torn {
		return nil
	}
	is, err := j.lines.Stat()
	if err != nil {
		return err
	}
	found, err := os.Stat(j.segment.linesName())
	switch {
	case err != nil:
		return err
	case !os.SameFile(is, found):
		return fmt.Errorf("%s is another file than the one that is written", j.segment.linesName())
	case found.Size() != j.size:
		return fmt.Errorf("%s has %d bytes, and %d were written: somebody else changed it", j.segment.linesName(), found.Size(), j.size)
	}
	return nil
}

// Sync brings what was recorded to the disk.
func (j *Journal) Sync() error {
	j.mu.Lock()
	lines, dirty := j.lines, j.dirty
	err := errors.Join(j.inPlace(), j.writeLeaves())
	j.dirty = false
	j.mu.Unlock()
	if dirty { // without the lock: records go on meanwhile
		if syncErr := lines.Sync(); !errors.Is(syncErr, fs.ErrClosed) { // roll has synced it then
			err = errors.Join(err, syncErr)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch was := j.failing.Swap(err != nil); {
	case err != nil && !was:
		j.opts.Log.Error("the records do not reach the disk", zap.Error(err))
	case err == nil && was:
		j.opts.Log.Info("the records reach the disk again")
	}
	j.dirty = j.dirty || err != nil
	return err
}

// Sign writes a checkpoint, if something was recorded since the last one.
func (j *Journal) Sign() error { return j.sign(0) }

// sign is Sign, and signs away the records before one.
func (j *Journal) sign(before uint64) error {
	j.checkpointMu.Lock()
	defer j.checkpointMu.Unlock()
	j.mu.Lock()
	c := Checkpoint{Origin: j.signer.Name(), Size: j.tree.size, Root: j.tree.root(), Kept: max(j.kept, before), Time: time.Now()}
	known := c.Size == j.signed && c.Kept == j.kept
	j.mu.Unlock()
	if known {
		return nil
	}
	if err := j.Sync(); err != nil { // a checkpoint must not tell of what is not there after a power failure
		return err
	}
	j.mu.Lock()
	leaves := j.leaves
	j.mu.Unlock()
	if err := leaves.Sync(); err != nil && !errors.Is(err, fs.ErrClosed) { // roll has synced it then
		return err
	}
	if err := c.sign(j.signer); err != nil {
		return err
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(j.dir, checkpointsName), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := appendWhole(f, line); err != nil {
		return err
	}
	if j.signed == 0 { // the file is new
		syncDir(j.dir)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.signed, j.kept = c.Size, c.Kept
	return nil
}

// appendWhole appends to a file, syncs and closes it. It leaves no piece behind.
func appendWhole(f *os.File, line []byte) error {
	info, err := f.Stat()
	if err == nil {
		_, err = f.Write(line)
		if err != nil {
			err = errors.Join(err, f.Truncate(info.Size()))
		}
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// Run syncs, signs and removes what is old, until ctx ends.
func (j *Journal) Run(ctx context.Context) {
	sync, sign, prune := time.NewTicker(syncEvery), time.NewTicker(signEvery), time.NewTicker(pruneEvery)
	defer sync.Stop()
	defer sign.Stop()
	defer prune.Stop()
	j.pruneOld()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sync.C:
			_ = j.Sync() // it has told the log
		case <-sign.C:
			if err := j.Sign(); err != nil {
				j.opts.Log.Error("no checkpoint of the records was written", zap.Error(err))
			}
		case <-prune.C:
			j.pruneOld()
		}
	}
}

// Close signs what was recorded, and gives the directory up.
func (j *Journal) Close() error {
	err := j.Sign()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lines == nil {
		return err
	}
	err = errors.Join(err, j.lines.Close(), j.leaves.Close())
	j.lines, j.leaves = nil, nil
	return errors.Join(err, j.lock.Unlock())
}

// CutError tells that records are gone that must be there.
type CutError struct {
	Dir        string
	Checkpoint *Checkpoint // the last one; of no size if there is none
	From, To   uint64      // the records from From up to, but not including To, are gone
}

func (e *CutError) Error() string {
	which := fmt.Sprintf("the records from %d to %d in %s are gone", e.From, e.To-1, e.Dir)
	if e.Checkpoint.Size == 0 {
		return which + ", and no checkpoint says that they were removed by their age"
	}
	return fmt.Sprintf("%s, which the checkpoint of %s tells of: they were taken out", which, e.Checkpoint.Time.Format(time.RFC3339))
}

// Probe tries whether records can be written, without leaving anything behind.
func (j *Journal) Probe() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(); err != nil {
		return err
	}
	_, err := j.lines.Write(make([]byte, 4<<10)) // about as much as a record
	j.torn = true
	j.mend()
	return err
}
