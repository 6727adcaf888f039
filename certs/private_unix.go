//go:build unix

package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private refuses a key that anybody else can read, or has given us.
func private(name string, info fs.FileInfo) error {
	if wide := info.Mode().Perm() &^ 0o600; wide != 0 {
		return &FileError{name, fmt.Errorf("has the mode %04o: others could read the key", info.Mode().Perm()), "chmod 600 " + name}
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return &FileError{name, errors.New("belongs to another user"), fmt.Sprintf("chown %d %s", os.Geteuid(), name)}
	}
	return nil
}
