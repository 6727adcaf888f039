package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/audit/index"
	"github.com/gracegate/gracegate/audit/journal"
	"github.com/gracegate/gracegate/config"
)

// records keeps what was decided: first in the journal, then in the database and wherever else it is to go. It is the recorder of the proxy.
type records struct {
	*audit.Recorder // of the journal
	journal         *journal.Journal
	outlets         *audit.Fan
	index           *index.Index

	stop    context.CancelFunc
	running sync.WaitGroup
}

// simulatedName marks a data directory whose records were made on a simulated clock.
const simulatedName = "simulated-clock"

// openRecords opens the journal in the data directory. What it has goes on to the outlets, each of which has a queue of its own:
// one that is slow, or fails, holds nothing up.
func openRecords(cfg *config.Config, clk *edgeClock, log *zap.Logger, always []zap.Field, outlets *audit.Fan) (*records, error) {
	if err := os.MkdirAll(cfg.Data.Dir, 0o700); err != nil {
		return nil, failed(fmt.Errorf("the data directory: %w", err), "data.dir names a directory that this user may write")
	}
	if err := keepApart(cfg.Data.Dir, clk.Simulated()); err != nil {
		return nil, err
	}
	j, err := journal.Open(journalDir(cfg), journal.Options{
		Encoder: audit.NewEncoder(always...), Retain: cfg.Audit.Retain, Real: clk.real, Log: log.Named("journal"),
	})
	if err != nil {
		return nil, journalFailure(err)
	}
	r := &records{journal: j, outlets: outlets}
	indexing := indexOf(cfg, j.Next)
	if indexing.Log = log.Named("database"); !clk.Simulated() { // by real time, while its hours are those of the policy clock
		indexing.Retain, indexing.Real = cfg.Audit.Retain, clk.real
	}
	r.index = index.New(indexing)
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.running.Go(func() { j.Run(ctx) })
	r.running.Go(func() { r.index.Run(ctx) })
	r.Recorder = audit.New(toldOf(sinkOf(r.write), tellOf(log, "journal")), queueSize)
	r.running.Go(func() { r.recover(ctx) })
	return r, nil
}

func journalDir(cfg *config.Config) string { return filepath.Join(cfg.Data.Dir, "journal") }

// keepApart refuses to mix real records with simulated ones: nobody could tell later what had really happened.
func keepApart(dir string, simulated bool) error {
	is, some := isSimulated(dir)
	switch {
	case some && is && !simulated:
		return invalid(fmt.Errorf("%s holds the records of a simulated clock", dir), "--data-dir names another directory, or remove this one")
	case some && !is && simulated:
		return invalid(fmt.Errorf("%s holds records of real time, and the policy clock is a simulated one", dir), "with clock.at, --data-dir names another directory, which is made")
	case !simulated:
		return nil
	}
	mark := filepath.Join(dir, simulatedName)
	return failed(os.WriteFile(mark, []byte("The records in this directory were made on a simulated policy clock (clock.at).\n"), 0o600), "data.dir names a directory that this user may write")
}

// isSimulated tells whether the records of a directory were made on a simulated clock, and whether there are any. The records say so
// themselves, and are signed; the mark counts until there is one.
func isSimulated(dir string) (simulated, some bool) {
	journalled := filepath.Join(dir, "journal")
	for line, err := range journal.Read(journalled, 0) {
		if err != nil {
			break // who opens the journal is told
		}
		return bytes.Contains(line.Text, []byte(`,"gracegate.simulated_clock":true`)), true
	}
	if _, err := os.Stat(filepath.Join(dir, simulatedName)); err == nil {
		return true, true
	}
	_, err := os.Stat(journalled)
	return false, err == nil
}

// journalFailure tells what to do where the journal cannot be opened.
func journalFailure(err error) error {
	if cut, ok := errors.AsType[*journal.CutError](err); ok {
		return &codedError{cut, exitRefused, "keep " + cut.Dir + " as evidence, and move it away: a new journal begins then; gracegate audit verify tells more"}
	}
	if locked, ok := errors.AsType[*journal.LockedError](err); ok {
		return failed(locked, "one gateway for one directory: stop the other, or name another directory with --data-dir")
	}
	hint := "gracegate audit verify tells more"
	for _, place := range []error{fs.ErrPermission, fs.ErrExist, syscall.ENOTDIR, syscall.EROFS, syscall.ENOSPC} {
		if errors.Is(err, place) {
			hint = "data.dir names a directory that this user may write"
		}
	}
	return failed(fmt.Errorf("the records cannot be written: %w", err), hint)
}

// Failing reports whether records are being lost, or do not reach the disk.
func (r *records) Failing() bool { return r.Recorder.Failing() || r.journal.Failing() }

// recover finds out that the journal can be written again, while nothing comes that is to be recorded: nobody may send traffic here
// until it is so.
func (r *records) recover(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if r.Recorder.Failing() && r.journal.Probe() == nil {
				r.Works()
			}
		}
	}
}

// write writes to the journal. What that has goes on to the outlets.
func (r *records) write(list []*audit.Record) (written int, err error) {
	written, err = r.journal.Write(list)
	r.outlets.Queue(list[:written])
	r.index.Queue(list[:written])
	return written, err
}

type sinkOf func([]*audit.Record) (int, error)

func (f sinkOf) Write(list []*audit.Record) (written int, err error) { return f(list) }

// close writes out what there is, at most until ctx ends.
func (r *records) close(ctx context.Context) error {
	err := errors.Join(r.Close(ctx), r.outlets.Close(ctx))
	r.stop()
	r.running.Wait()
	return errors.Join(err, r.index.Close(), r.journal.Close())
}
