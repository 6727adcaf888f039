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
)

// An idle tunnel costs two descriptors and no buffer: there may be tens of thousands.
func TestIdleTunnelsHoldLittle(t *testing.T) {
	const tunnels = 300
	o := rawOrigin(t, func(c *net.TCPConn) {
		b := make([]byte, 2)
		for readFull(c, b) != "" {
			_, _ = c.Write(b)
		}
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	open := func() {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		answer := make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\nhi"))
		_, _ = io.WriteString(c, "CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\n\r\nhi")
		if _, err := io.ReadFull(c, answer); err != nil {
			t.Fatal(err)
		}
	}
	open()
	memory, files := inUse(t)
	for range tunnels {
		open()
	}
	moreMemory, moreFiles := inUse(t)
	// The clients and the origin of this test are in the same process: two descriptors more, and two goroutines with their
	// connections. Two buffers would be 64 KiB.
	if each := (moreMemory - memory) / tunnels; each > 32<<10 {
		t.Errorf("%d bytes a tunnel", each)
	}
	if each := float64(moreFiles-files) / tunnels; each > 4.1 {
		t.Errorf("%.1f descriptors a tunnel", each)
	}
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
