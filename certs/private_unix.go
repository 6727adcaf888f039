//go:build unix

package certs

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private refuses a key that anybody else can read, or has given us. From root it is taken: there is no keeping anything from root.
func private(name string, info fs.FileInfo) error {
	if wide := info.Mode().Perm() &^ 0o600; wide != 0 {
		return &FileError{name, fmt.Errorf("has the mode %04o: others could read the key", info.Mode().Perm()), "chmod 600 " + name}
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return &FileError{name, fmt.Errorf("belongs to another user (%d)", stat.Uid), fmt.Sprintf("chown %d %s", os.Geteuid(), name)}
	}
	return nil
}

// guarded refuses a directory in which others than its owner could replace files, or put new ones. A group may be joined, and the sticky
// bit keeps nobody from putting a file where none is.
func guarded(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return missing(dir, err)
	}
	if wide := info.Mode().Perm() & 0o022; wide != 0 {
		return &FileError{dir, fmt.Errorf("has the mode %04o: others could put a key or a certificate there", info.Mode().Perm()), "chmod go-w " + dir}
	}
	return nil
}
