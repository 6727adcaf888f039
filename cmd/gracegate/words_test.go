package main

import "testing"

func TestCounted(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 names", 1: "1 name", 2: "2 names", 1000: "1000 names"} {
		if got := counted(n, "name", "names"); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
