package certs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// lockFile is locked while somebody writes into its directory. It stays: if it were removed, two could lock a file of this name.
const lockFile = "ca.lock"

// lock keeps others from writing into directories until unlock is called, and fails if somebody does already. What those left who were
// killed is removed.
func (s Store) lock(dirs ...string) (unlock func(), err error) {
	var held []*flock.Flock
	unlock = func() {
		for _, l := range held {
			_ = l.Unlock()
		}
	}
	for n, dir := range dirs {
		if n > 0 && sameFile(dir, dirs[0]) {
			continue
		}
		if err := guarded(dir); err != nil {
			unlock()
			return nil, err
		}
		l := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))
		locked, err := l.TryLock()
		switch {
		case err != nil:
			err = &FileError{l.Path(), reason(err), "choose a directory that may be written, with ca.dir or --offline-root"}
		case !locked:
			err = &FileError{dir, errors.New("another gracegate ca init or ca renew is at work in this directory"), "run it again when that one has ended"}
		}
		if err == nil {
			held = append(held, l)
			err = s.sweep(dir)
		}
		if err != nil {
			unlock()
			return nil, err
		}
	}
	return unlock, nil
}

// sweep removes what nobody writes any more, as the lock tells.
func (s Store) sweep(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return &FileError{dir, reason(err), ""}
	}
	for _, file := range list {
		if !strings.HasPrefix(file.Name(), unfinished) {
			continue
		}
		name := filepath.Join(dir, file.Name())
		if err := os.Remove(name); err != nil {
			return &FileError{name, reason(err), "it was left by a run that was killed, and may hold a key: remove it"}
		}
		if s.Removed != nil {
			s.Removed(name)
		}
	}
	return nil
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}
