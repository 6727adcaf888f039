package proxy

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// An idle tunnel costs two descriptors and no buffer, whatever it did before: there may be tens of thousands.
func TestIdleTunnelsHoldLittle(t *testing.T) {
	const (
		tunnels = 100
		much    = 1_500_000
	)
	o := rawOrigin(t, func(c *net.TCPConn) { // an echo that takes no pipes itself
		_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 4<<10))
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) { c.Idle = time.Hour }})
	carry := func(c net.Conn, n int) {
		sent := make(chan error, 1)
		go func() {
			_, err := c.Write(make([]byte, n))
			sent <- err
		}()
		if _, err := io.CopyN(io.Discard, c, int64(n)); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	open := func() net.Conn {
		w := r.tunnel("free.example:443")
		carry(w, 2)
		return w.TCPConn
	}
	carry(open(), much) // so that there are pipes, and nothing is done for the first time
	memory, files := inUse(t)
	var all []net.Conn
	for range tunnels {
		all = append(all, open())
	}
	check := func(when string) {
		t.Helper()
		moreMemory, moreFiles := inUse(t)
		// The clients and the origin of this test are in the same process: two descriptors more, and two goroutines with
		// their connections. Two buffers would be 64 KiB.
		if each := (moreMemory - memory) / tunnels; each > 32<<10 {
			t.Errorf("%s: %d bytes a tunnel", when, each)
		}
		if each := float64(moreFiles-files) / tunnels; each > 4.1 {
			t.Errorf("%s: %.1f descriptors a tunnel", when, each)
		}
	}
	check("fresh")
	for _, c := range all {
		carry(c, much)
	}
	check("after much")
}

// inUse is the memory of the heap and the stacks, and the number of descriptors.
func inUse(t *testing.T) (memory int64, files int) {
	t.Helper()
	debug.FreeOSMemory()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", os.Getpid()))
	if err != nil || len(names) == 0 {
		t.Skip("no /proc on this system")
	}
	return int64(m.HeapAlloc + m.StackInuse), len(names)
}
