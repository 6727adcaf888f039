//go:build unix

package main

import (
	"os"
	"syscall"
)

// inode tells a file that was replaced from one that was not.
func inode(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
