// Package index keeps the database of what was seen (audit/sqlite) up with the journal (audit/journal). It counts records as they are
// written, and reads from the journal what it missed: before the process began, while the database failed, or because records came
// too fast. So the database may be behind for a while, and is never wrong; if it is lost it is made anew.
package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/audit/journal"
	"github.com/gracegate/gracegate/audit/sqlite"
)

const (
	// Records are counted every countEvery, together, which costs less than one by one; flushEvery is how far behind the database is
	// as a rule.
	countEvery = 250 * time.Millisecond
	flushEvery = 5 * time.Second
	pruneEvery = time.Hour

	maxWaiting = 1 << 15 // records that are to be counted; what comes beyond is read back
	maxKeys    = 4096    // sums that are held before they are added
	maxStep    = 50_000  // records that are read back before their sums are added
	pauseFor   = 30 * time.Second
)

// Config is what an index is made of.
type Config struct {
	Database string // its file
	Journal  string // the directory
	Next     func() uint64
	Retain   time.Duration // hours before are removed; 0: never
	// Real is the real time, and whether it can be believed: nothing is removed while it cannot. Nil: the machine's clock is
	// believed.
	Real func() (now time.Time, believed bool)
	Log  *zap.Logger
}

// Index is behind the journal. It takes every record, and never fails: what it cannot count now it reads back later.
type Index struct {
	cfg Config

	waitingMu sync.Mutex
	waiting   []*audit.Record

	mu     sync.Mutex
	db     *sqlite.DB // nil until it could be opened
	tally  *audit.Tally
	from   uint64 // the first record in the tally
	next   uint64 // the first that is not
	behind bool   // records are read back from the journal, as soon as that is possible
	again  time.Time

	failed atomic.Pointer[error] // why the last try failed; nil if it did not
}

// New makes an index, which opens its database when it runs.
func New(cfg Config) *Index {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Real == nil {
		cfg.Real = func() (time.Time, bool) { return time.Now(), true }
	}
	return &Index{cfg: cfg, behind: true}
}

// open opens the database, or makes it. One that counts records which the journal does not hold is made anew: it belongs to another
// journal, or a power failure took the last of this one.
func (x *Index) open(ctx context.Context) (err error) {
	if x.db == nil {
		if x.db, err = sqlite.Open(ctx, x.cfg.Database); err != nil {
			return err
		}
	}
	if err := x.rewind(ctx); err != nil || x.next <= x.cfg.Next() {
		return err
	}
	x.cfg.Log.Warn("the database counts records that the journal does not hold: it is made anew", zap.Uint64("counts", x.next), zap.Uint64("journal", x.cfg.Next()))
	if err := errors.Join(x.closeDatabase(), x.eachFile(os.Remove)); err != nil {
		return err
	}
	return x.open(ctx) // which is empty then
}

func (x *Index) closeDatabase() error {
	if x.db == nil {
		return nil
	}
	err := x.db.Close()
	x.db = nil
	return err
}

// eachFile does something with the files of the database that are there, and lastly with that which the others would be taken to
// belong to if it were made anew.
func (x *Index) eachFile(do func(name string) error) error {
	var errs []error
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := do(x.cfg.Database + suffix); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// damagedSuffix is behind the name of a database that was put aside. There is one such at most.
const damagedSuffix = ".damaged"

// putAside puts a damaged database aside, for who wants to see what is left of it: the journal has everything.
func (x *Index) putAside(why error) error {
	_ = x.closeDatabase() // which tells of the damage again
	aside := x.cfg.Database + damagedSuffix
	err := x.eachFile(func(name string) error { return os.Rename(name, aside+strings.TrimPrefix(name, x.cfg.Database)) })
	if err == nil {
		x.cfg.Log.Warn("the database of what was seen is damaged: it was put aside, and is made anew from the journal", zap.String("aside", aside), zap.Error(why))
	}
	return err
}

// rewind begins anew behind what the database counts.
func (x *Index) rewind(ctx context.Context) error {
	next, err := x.db.Next(ctx)
	if err != nil {
		return err
	}
	x.tally = audit.NewTally(maxKeys)
	x.from, x.next = next, next
	return nil
}

// Queue takes records that the journal has, and keeps them for some time. It never blocks.
func (x *Index) Queue(records []*audit.Record) {
	x.waitingMu.Lock()
	defer x.waitingMu.Unlock()
	if len(x.waiting) < maxWaiting {
		x.waiting = append(x.waiting, records...)
	}
}

// count counts what has come.
func (x *Index) count(ctx context.Context) {
	x.waitingMu.Lock()
	records := x.waiting
	x.waiting = nil
	x.waitingMu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range records {
		switch {
		case x.behind || !r.Numbered || r.Sequence < x.next:
		case r.Sequence > x.next:
			x.note(x.readBack(ctx, r.Sequence+1))
		default:
			x.tally.Add(r)
			x.next++
			if x.tally.Full() {
				x.note(x.flush(ctx))
			}
		}
	}
}

// readBack counts the records up to, but not including, one, as the journal has them. Some at the beginning may be removed by now.
func (x *Index) readBack(ctx context.Context, end uint64) error {
	for line, err := range journal.Read(x.cfg.Journal, x.next) {
		if err != nil {
			return err
		}
		if line.Sequence >= end {
			break
		}
		r, _, err := audit.Parse(line.Text)
		if err != nil {
			x.cfg.Log.Error("a record of the journal cannot be counted", zap.Uint64("record", line.Sequence), zap.Error(err))
		} else {
			x.tally.Add(&r)
		}
		x.next = line.Sequence + 1
		if x.tally.Full() || x.next-x.from >= maxStep {
			if err := x.flush(ctx); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if x.next < end {
		return fmt.Errorf("the journal does not hold the records from %d to %d", x.next, end-1)
	}
	return nil
}

// flush adds what was counted to the database.
func (x *Index) flush(ctx context.Context) error {
	if x.next == x.from {
		return nil
	}
	if err := x.db.Add(ctx, x.from, x.next, x.tally.Take()); err != nil {
		return err
	}
	x.from = x.next
	return nil
}

// note notes a failure. What was counted since the last success is counted anew later.
func (x *Index) note(err error) {
	if err == nil {
		return
	}
	if was := x.Err(); was == nil || was.Error() != err.Error() {
		x.cfg.Log.Error("the database of what was seen falls behind; the journal has everything, and it is tried again", zap.Error(err))
	}
	x.failed.Store(&err)
	x.behind, x.again = true, time.Now().Add(pauseFor)
}

// tick adds what was counted, and catches up after a failure once it is time.
func (x *Index) tick(ctx context.Context) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.behind {
		x.note(x.flush(ctx))
	} else if !time.Now().Before(x.again) {
		x.note(x.recover(ctx))
	}
}

// catchUp counts all that the journal holds and the database does not.
func (x *Index) catchUp(ctx context.Context) error {
	if err := x.open(ctx); err != nil {
		return err
	}
	if err := x.readBack(ctx, x.cfg.Next()); err != nil {
		return err
	}
	return x.flush(ctx)
}

// recover catches up, with a new database where the old one is damaged.
func (x *Index) recover(ctx context.Context) error {
	err := x.catchUp(ctx)
	if errors.Is(err, sqlite.ErrDamaged) {
		if err = x.putAside(err); err == nil {
			err = x.catchUp(ctx)
		}
	}
	if err != nil {
		return err
	}
	if x.Err() != nil {
		x.cfg.Log.Info("the database of what was seen has caught up")
	}
	x.failed.Store(nil)
	x.behind = false
	return nil
}

// CatchUp counts all that the journal holds.
func (x *Index) CatchUp(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.recover(ctx)
}

// Err is why the database is behind; nil if it is not, or only by some seconds. It does not wait, however much is being read back.
func (x *Index) Err() error {
	if err := x.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Run catches up, and then adds what was counted every few seconds, until ctx ends.
func (x *Index) Run(ctx context.Context) {
	x.tick(ctx)
	count, flush, prune := time.NewTicker(countEvery), time.NewTicker(flushEvery), time.NewTicker(pruneEvery)
	defer count.Stop()
	defer flush.Stop()
	defer prune.Stop()
	x.prune(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-count.C:
			x.count(ctx)
		case <-flush.C:
			x.tick(ctx)
		case <-prune.C:
			x.prune(ctx)
		}
	}
}

func (x *Index) prune(ctx context.Context) {
	x.mu.Lock()
	db := x.db
	x.mu.Unlock()
	if x.cfg.Retain <= 0 || db == nil {
		return
	}
	now, believed := x.cfg.Real()
	if !believed {
		return
	}
	if err := db.Prune(ctx, now.Add(-x.cfg.Retain)); err != nil && ctx.Err() == nil {
		x.cfg.Log.Error("what was seen long ago was not removed from the database", zap.Error(err))
	}
}

// Close adds what has come, and closes the database. No record may come any more.
func (x *Index) Close() error {
	x.count(context.Background())
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.db == nil {
		return nil
	}
	var err error
	if !x.behind {
		err = x.flush(context.Background())
	}
	return errors.Join(err, x.closeDatabase())
}
