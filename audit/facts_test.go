package audit

import (
	"testing"

	"github.com/gracegate/gracegate/policy"
)

// A record keeps a path in one reading: the other is found again.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	read := 0
	for _, raw := range rawPaths {
		path, again, ok := policy.ReadPath(raw)
		if !ok {
			continue
		}
		if again != "" {
			read++
		}
		if got := readAgain(path); got != again {
			t.Errorf("%q is %q, and again %q, want %q", raw, path, got, again)
		}
	}
	if read < 4 {
		t.Errorf("%d paths have a second reading", read)
	}
}

var rawPaths = []string{
	"/", "/index/u1.xml", "/a%20b", "/a%2520b", "/%252e%252e/x", "/a;x=1/b", "/a%3Bx/b", `/a%5Cb`, "/a%255Cb", "/%25", "/%2525", "/a//b", "/a/../b",
	"/%C3%A4", "/%FF", "/a%3Fb", "/a%23b", "/a%252Fb",
}

func FuzzReadAgain(f *testing.F) {
	for _, raw := range rawPaths {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, again, ok := policy.ReadPath(raw)
		if got := readAgain(path); ok && got != again {
			t.Errorf("%q is %q, and again %q, want %q", raw, path, got, again)
		}
	})
}
