//go:build !unix

package main

import "io/fs"

// giveToOwner leaves files to who made them, where owners have no numbers.
func giveToOwner(string, ...string) {}

func ownerOf(fs.FileInfo) (uid int, known bool) { return 0, false }
