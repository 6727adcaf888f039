package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What can be wrong with a database, for errors.Is.
var (
	ErrInUse   = errors.New("in use by another process")
	ErrVersion = errors.New("of another version")
	ErrDamaged = errors.New("damaged")
)

// Error tells what is wrong with a database, and what can be done about it.
type Error struct {
	Path string
	Hint string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("database %s: %v", e.Path, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// remake is what helps where the content of the file is lost.
const remake = "remove %s with its -wal and -shm, and start again: it is made anew from the journal"

// explained says which database an error is about, and what helps.
func explained(path string, err error) error {
	if err == nil {
		return nil
	}
	if _, is := errors.AsType[*Error](err); is {
		return err
	}
	if errors.Is(err, ErrDamaged) {
		return &Error{path, fmt.Sprintf(remake, path), err}
	}
	failed, is := errors.AsType[*sqlite.Error](err)
	if !is {
		return &Error{path, "", err}
	}
	switch failed.Code() & 0xff { // the rest is detail
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return &Error{path, fmt.Sprintf(remake, path), fmt.Errorf("%w: %w", ErrDamaged, err)}
	case sqlite3.SQLITE_FULL:
		return &Error{path, "make room on its disk", err}
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return &Error{path, "its directory must be writable for who runs this, and so must the file", err}
	}
	return &Error{path, "", err}
}
