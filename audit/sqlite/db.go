package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofrs/flock"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// DB is a database that is open for writing, and for reading too. Its methods may be called by several goroutines.
type DB struct {
	*Reader
	lock *flock.Flock

	mu       sync.Mutex // of what follows: one transaction at a time
	db       *sql.DB    // of one connection
	advance  *sql.Stmt
	add      *sql.Stmt
	clients  interned[client]
	requests interned[request]
	outcomes interned[outcome]
}

// Open opens the database of a path whose directory exists, and makes it (mode 0600) or brings its schema up to date where
// that is needed. It takes the lock PATH.lock, which stays there. Errors are an [*Error]: [ErrInUse] if another process writes,
// [ErrVersion] if it is of a newer gracegate, [ErrDamaged] if it cannot be read.
//
// Writes wait for no disk but at checkpoints (synchronous is NORMAL): a power failure may undo the last transactions, sums and
// cursor together, and these come again from the journal.
func Open(ctx context.Context, path string) (_ *DB, err error) {
	d := &DB{}
	defer func() {
		if err != nil {
			_ = d.Close() // what matters is why it does not open
		}
	}()
	if d.lock, err = takeLock(path); err != nil {
		return nil, err
	}
	if err := touch(path); err != nil {
		return nil, explainedFile(path, err)
	}
	if d.db, err = connect(path, "rw", "synchronous(NORMAL)"); err != nil {
		return nil, err
	}
	d.db.SetMaxOpenConns(1)
	if err := d.prepare(ctx, path); err != nil {
		return nil, explained(path, err)
	}
	if d.Reader, err = OpenReader(ctx, path); err != nil {
		return nil, err
	}
	return d, nil
}

func takeLock(path string) (*flock.Flock, error) {
	l := flock.New(path+".lock", flock.SetPermissions(0o600))
	switch locked, err := l.TryLock(); {
	case err != nil:
		return nil, explainedFile(path, err)
	case !locked:
		return nil, &Error{path, "stop the other gracegate, or give this one a data directory of its own", fmt.Errorf("lock %s: %w", l.Path(), ErrInUse)}
	}
	return l, nil
}

// touch makes the file, so that nobody else can read it, nor what SQLite puts beside it, which gets the same mode.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func explainedFile(path string, err error) error {
	return &Error{path, "its directory must exist and be writable for who runs this, and so must the file", err}
}

// connect returns a pool of connections. Mode is ro or rw.
func connect(path, mode string, pragmas ...string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	location := url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(path), "/")}
	location.RawQuery = url.Values{
		"mode": {mode}, "_txlock": {map[string]string{"ro": "deferred", "rw": "immediate"}[mode]},
		"_pragma": append(pragmas, "busy_timeout(10000)"),
	}.Encode()
	return sql.Open("sqlite", location.String())
}

// prepare brings the schema up to date and readies the statements.
func (d *DB) prepare(ctx context.Context, path string) error {
	v, err := versionOf(ctx, path, d.db)
	if err != nil {
		return err
	}
	var mode string
	if err := d.db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return &Error{path, "put it on a local disk", fmt.Errorf("no write-ahead log is possible there, only journal mode %s", mode)}
	}
	if err := d.migrate(ctx, v); err != nil {
		return err
	}
	return d.statements(ctx)
}

// statements readies what Add executes.
func (d *DB) statements(ctx context.Context) (err error) {
	for text, s := range map[string]**sql.Stmt{
		advanceCursor: &d.advance, addSeen: &d.add,
		internClient: &d.clients.stmt, internRequest: &d.requests.stmt, internOutcome: &d.outcomes.stmt,
	} {
		if *s, err = d.db.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	d.forget()
	return nil
}

// Close closes the database. Nothing may be under way.
func (d *DB) Close() error {
	var errs []error
	if d.Reader != nil {
		errs = append(errs, d.Reader.Close())
	}
	if d.db != nil { // the last to be closed, so that it leaves one file
		errs = append(errs, d.db.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Unlock())
	}
	return errors.Join(errs...)
}

// inTx does all of do, or nothing.
func (d *DB) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		_ = tx.Rollback() // what matters is why
		return err
	}
	return tx.Commit()
}
