package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// When descriptors run out, what runs goes on, and others are served as soon as some are free again.
func TestDescriptorsRunOut(t *testing.T) {
	const spare = 60
	origin := echoOrigin(t)
	p := launch(t, buildGateway(t), nil, "--upstream-hosts", `[{"name": "free.example", "address": "`+origin.addr+`"}]`)
	eventually(t, "the database is open", func() bool {
		_, err := os.Stat(filepath.Join(p.cmd.Dir, ".local/state/gracegate/seen.db-shm"))
		return err == nil
	})
	before, err := p.figures()
	if err != nil {
		t.Fatal(err)
	}
	// From outside: at its start it would have raised the limit, or taken fewer connections than need so many.
	limitFiles(t, p.cmd.Process.Pid, uint64(before.files+spare))

	var open, waiting []net.Conn
	t.Cleanup(func() {
		for _, c := range append(open, waiting...) {
			_ = c.Close()
		}
	})
	for c := p.try(); c != nil; c = p.try() {
		if open = append(open, c); len(open) > spare {
			t.Fatalf("%d tunnels are open with %d descriptors", len(open), spare)
		}
	}
	if len(open) < spare/4 {
		t.Fatalf("only %d tunnels are open with %d descriptors", len(open), spare)
	}
	for range 2 * spare { // and then there are many more who want in
		c, err := net.Dial("tcp", p.proxy)
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
		_, _ = io.WriteString(c, "GET http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	for i, c := range open {
		if err := echoes(c); err != nil {
			t.Errorf("tunnel %d of %d: %v", i, len(open), err)
		}
	}

	for _, c := range append(open[len(open)/2:], waiting...) {
		_ = c.Close()
	}
	eventually(t, "a tunnel is granted again", func() bool {
		c := p.try()
		if c == nil {
			return false
		}
		defer c.Close()
		return echoes(c) == nil
	})
	for i, c := range open[:len(open)/2] {
		if err := echoes(c); err != nil {
			t.Errorf("tunnel %d, after the others have gone: %v", i, err)
		}
		_ = c.Close()
	}
	origin.hangUp()
	eventually(t, "everything is as at first", func() bool {
		now, err := p.figures()
		return err == nil && now.files <= before.files+opensLater && now.goroutines <= before.goroutines+opensLater
	})
}

// try asks for a tunnel and returns nil if it does not come at once.
func (p *process) try() net.Conn {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.Dial("tcp", p.proxy)
	if err != nil {
		return nil
	}
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if err := connect(c, "free.example:443"); err != nil {
		_ = c.Close()
		return nil
	}
	return c
}

// echoes makes sure that a tunnel to an echo works.
func echoes(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "still"); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 5))
	return err
}

// limitFiles bounds how many files a process may open from now on.
func limitFiles(t *testing.T, pid int, most uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: most, Max: most}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Skipf("the limit of another process cannot be set: %v", errno)
	}
}
