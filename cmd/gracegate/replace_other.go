//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// lockDir takes the lock of a directory, a file in it. Where another holds it, it does not wait: a process that died leaves its
// lock behind.
func lockDir(dir string) (release func(), err error) {
	name := filepath.Join(dir, ".gracegate.lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there: another edits; remove it if nobody does", name)
	}
	if err != nil {
		return nil, err
	}
	_ = f.Close()
	return func() { _ = os.Remove(name) }, nil
}

// keepOwner leaves a file to who makes it, as systems without owners by number do.
func keepOwner(*os.File, fs.FileInfo) {}
