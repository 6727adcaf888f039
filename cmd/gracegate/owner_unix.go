//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// giveToOwner gives files that root has made in a directory to the owner of that, who must be able to use them.
func giveToOwner(dir string, files ...string) {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return
	}
	for _, name := range files {
		if info, err := os.Lstat(name); err == nil {
			if is, ok := info.Sys().(*syscall.Stat_t); ok && is.Uid == 0 {
				_ = os.Lchown(name, int(owner.Uid), int(owner.Gid))
			}
		}
	}
}

// ownerOf returns the user whom a file belongs to.
func ownerOf(info fs.FileInfo) (uid int, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
