//go:build unix

package main

import "syscall"

// processFiles is RLIMIT_NOFILE of this process. Its type has signed fields on some systems.
func processFiles() openFiles {
	return openFiles{
		get: func() (fileLimit, error) {
			var l syscall.Rlimit
			err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
			return fileLimit{uint64(l.Cur), uint64(l.Max)}, err
		},
		set: func(to fileLimit) error {
			var l syscall.Rlimit
			assign(&l.Cur, to.soft)
			assign(&l.Max, to.hard)
			return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
		},
	}
}

func assign[T int64 | uint64](to *T, value uint64) { *to = T(value) }
