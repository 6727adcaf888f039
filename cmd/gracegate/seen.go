package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/gracegate/gracegate/audit/index"
	"github.com/gracegate/gracegate/audit/journal"
	reports "github.com/gracegate/gracegate/audit/report"
	"github.com/gracegate/gracegate/audit/sqlite"
	"github.com/gracegate/gracegate/config"
)

func databaseOf(cfg *config.Config) string { return filepath.Join(cfg.Data.Dir, "seen.db") }

// indexOf is the index that keeps the database up with the journal.
func indexOf(cfg *config.Config, next func() uint64) index.Config {
	return index.Config{Database: databaseOf(cfg), Journal: journalDir(cfg), Next: next}
}

// openSeen opens the database of what was seen, for reading. What the journal has and the database not is counted first, unless a
// gateway does that, which runs, or this user may only read; then it tells how many these are.
func openSeen(ctx context.Context, cfg *config.Config) (reader *sqlite.Reader, uncounted int64, err error) {
	dir := journalDir(cfg)
	if err := journal.Exists(dir); err != nil {
		return nil, 0, noJournal(dir, err)
	}
	end, err := journal.End(dir)
	if err != nil {
		return nil, 0, failed(err, "gracegate audit verify tells more")
	}
	db := databaseOf(cfg)
	defer giveToOwner(cfg.Data.Dir, db, db+"-wal", db+"-shm", db+".lock") // a gateway must be able to go on with them
	x := index.New(indexOf(cfg, func() uint64 { return end }))
	behind := errors.Join(x.CatchUp(ctx), x.Close())
	reader, err = sqlite.OpenReader(ctx, db)
	if err != nil {
		err = databaseFailure(err)
		if behind != nil && !errors.Is(behind, sqlite.ErrInUse) {
			err = databaseFailure(behind) // why there is none, or an old one
		}
		return nil, 0, err
	}
	if behind != nil && !errors.Is(behind, sqlite.ErrInUse) && !errors.Is(behind, fs.ErrPermission) {
		return nil, 0, errors.Join(databaseFailure(behind), reader.Close())
	}
	next, err := reader.Next(ctx)
	if err != nil {
		return nil, 0, errors.Join(databaseFailure(err), reader.Close())
	}
	return reader, int64(end - min(next, end)), nil //nolint:gosec // a count
}

func databaseFailure(err error) error {
	known, ok := errors.AsType[*sqlite.Error](err)
	switch {
	case !ok:
		return failed(err, "")
	case errors.Is(err, fs.ErrPermission):
		return failed(known, runAsGateway)
	}
	return failed(known, known.Hint)
}

// usesOf counts the uses of waivers by the records; nil: there are no records that this user may read.
func usesOf(ctx context.Context, cfg *config.Config) (map[string]sqlite.Use, error) {
	if err := journal.Exists(journalDir(cfg)); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	reader, _, err := openSeen(ctx, cfg)
	if err != nil {
		return nil, err
	}
	uses, err := reader.WaiverUses(ctx)
	return uses, databaseFailure(errors.Join(err, reader.Close()))
}

// integrityOf says what can be said of the records that a report rests on: with verify they are proven, which takes some seconds for
// each million.
func integrityOf(cfg *config.Config, verify bool) (*reports.Integrity, error) {
	dir := journalDir(cfg)
	if !verify {
		c, err := journal.Latest(dir)
		if err != nil {
			return nil, nil //nolint:nilerr // there is none yet
		}
		return &reports.Integrity{Checkpoint: c.Root.String(), CheckpointAt: c.Time}, nil
	}
	p, err := journal.Verify(dir, "")
	if err != nil {
		return nil, failed(err, "gracegate audit verify tells more")
	}
	i := &reports.Integrity{Checked: true, Verified: p.Fault == nil, Records: int64(p.Next - p.First), Lost: int64(p.Lost)} //nolint:gosec // counts
	if p.Fault != nil {
		i.Problem = p.Fault.Detail
	}
	if p.Last != nil {
		i.Checkpoint, i.CheckpointAt = p.Last.Root.String(), p.Last.Time
	}
	return i, nil
}
