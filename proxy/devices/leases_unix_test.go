//go:build unix

package devices

import (
	"syscall"
	"testing"
)

// Nobody waits for the other end of a pipe.
func TestPipe(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	if err := syscall.Mkfifo(r.file, 0o600); err != nil {
		t.Fatal(err)
	}
	r.has("-")
	r.logged("a lease file cannot be read: its leases are not known")
}
