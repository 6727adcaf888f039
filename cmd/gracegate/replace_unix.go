//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/gofrs/flock"
)

// lockDir waits until nobody else holds the lock of a directory, and takes it. It goes with the process at the latest.
func lockDir(dir string) (release func(), err error) {
	l := flock.New(dir, flock.SetFlag(os.O_RDONLY)) // the directory itself: nothing is left behind
	if err := l.Lock(); err != nil {
		return nil, err
	}
	return func() { _ = l.Unlock() }, nil
}

// keepOwner gives a file to the owner and group of another, or to its group alone, as far as this user may.
func keepOwner(f *os.File, like fs.FileInfo) {
	owner, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	if f.Chown(int(owner.Uid), int(owner.Gid)) != nil {
		_ = f.Chown(-1, int(owner.Gid))
	}
}
