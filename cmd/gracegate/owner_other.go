//go:build !unix

package main

// giveToOwner leaves files to who made them, where owners have no numbers.
func giveToOwner(string, ...string) {}
