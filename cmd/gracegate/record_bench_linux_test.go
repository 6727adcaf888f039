package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/proxy"
)

const (
	recordedProgram   = "gracegate-recorded"   // is gracegate, on the machine's own clock, unlike that of the scripts
	unrecordedProgram = "gracegate-unrecorded" // is the same, and keeps no record

	paceHost    = "dnl-01.geo.kaspersky.com"
	paceAt      = "2024-08-01T00:00:00-04:00" // in its grace period
	paceClients = 32
	paceRate    = 5000 // requests a second, of all clients
)

// BenchmarkRecorded is what the record costs: the CPU that a gateway takes for a governed request of 1 KiB, at 5,000 a second, with
// the record as it is kept by default and with none. It tells as well what a request costs that the policy does not govern, and by
// how much the memory of the recording gateway grew, in all and in the second half. They take turns of a second, of which the medians
// are told: the machine may have other work. For a minute of each,
//
//	go test -run '^$' -bench '^BenchmarkRecorded$' -benchtime 300000x ./cmd/gracegate
func BenchmarkRecorded(b *testing.B) {
	origin := paceOrigin(b)
	on := startPaced(b, recordedProgram, paceHost, origin)
	off := startPaced(b, unrecordedProgram, paceHost, origin)
	free := startPaced(b, recordedProgram, "free.example", origin)
	all := []*paced{on, off, free}
	for _, p := range all {
		p.ask(2 * paceRate) // what is made once is made
	}
	before, middle := on.memory(), int64(0)
	for left, turn := b.N, 0; left > 0; left, turn = left-paceRate, turn+1 {
		if middle == 0 && left <= b.N/2 {
			middle = on.memory()
		}
		for i := range all {
			at := (i + turn) % len(all)
			if turn%2 == 1 { // who comes after whom matters
				at = len(all) - 1 - at
			}
			all[at].measure(min(left, paceRate))
		}
	}
	for _, p := range all {
		p.settle()
	}
	b.ReportMetric(0, "ns/op") // the pace, which is given
	b.ReportMetric(median(on.costs), "µs-recorded")
	b.ReportMetric(median(off.costs), "µs-unrecorded")
	b.ReportMetric(median(free.costs), "µs-ungoverned")
	b.ReportMetric(median(on.over(off)), "recorded/unrecorded")
	b.ReportMetric(median(on.over(free)), "recorded/ungoverned")
	const mib = 1 << 20
	b.ReportMetric(float64(on.memory()-before)/mib, "MiB-grown")
	b.ReportMetric(float64(on.memory()-middle)/mib, "MiB-grown-late")
}

// unrecorded takes the place of the record: what is to be recorded is found out, and goes nowhere.
type unrecorded struct{}

func (unrecorded) Record(*audit.Record) {}
func (unrecorded) Failing() bool        { return false }

func init() {
	programs[recordedProgram] = main
	programs[unrecordedProgram] = func() {
		recorder = func(*records) proxy.Recorder { return unrecorded{} }
		main()
	}
}

// paceOrigin answers every request with 1 KiB.
func paceOrigin(b *testing.B) (address string) {
	b.Helper()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1<<10))
	o := newStandIn(b, func(c net.Conn) {
		for in := bufio.NewReader(c); skipHead(in) == nil; {
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	return o.addr
}

// skipHead reads to the end of a head.
func skipHead(in *bufio.Reader) error {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil || len(line) == len("\r\n") {
			return err
		}
	}
}

// paced is a gateway under a steady load.
type paced struct {
	b       *testing.B
	gateway *process
	request []byte
	clients [paceClients]*bufio.ReadWriter

	asked  int           // in the last turn
	before time.Duration // what it had taken of the processor then
	costs  []float64     // µs a request, of each turn
}

// startPaced runs this very binary as a program.
func startPaced(b *testing.B, program, host, origin string) *paced {
	b.Helper()
	binary := filepath.Join(b.TempDir(), program)
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, binary)
	}
	if err != nil {
		b.Fatal(err)
	}
	p := &paced{b: b, request: fmt.Appendf(nil, "GET http://%[1]s/pace HTTP/1.1\r\nHost: %[1]s\r\nUser-Agent: updater\r\n\r\n", host)}
	p.gateway = launch(b, binary, nil, "--audit-file", "", "--clock-at", paceAt,
		"--upstream-hosts", fmt.Sprintf(`[{"name": %q, "address": %q}]`, host, origin))
	for i := range p.clients {
		c, err := net.Dial("tcp", p.gateway.proxy)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		p.clients[i] = bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c))
	}
	return p
}

// measure asks n times.
func (p *paced) measure(n int) {
	p.settle()
	p.ask(n)
	p.asked = n
}

// settle notes what the last turn took of the processor: also what was done after it, such as bringing records to the disk.
func (p *paced) settle() {
	taken := p.processor()
	if p.asked > 0 {
		p.costs = append(p.costs, float64((taken-p.before).Nanoseconds())/1e3/float64(p.asked))
	}
	p.before = taken
}

// over is the ratio of the costs to those of another in the same turns.
func (p *paced) over(other *paced) []float64 {
	ratios := make([]float64, len(p.costs))
	for i, cost := range p.costs {
		ratios[i] = cost / other.costs[i]
	}
	return ratios
}

func median(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }

// ask asks n times, at the pace. The clients do not wait for each other.
func (p *paced) ask(n int) {
	p.b.Helper()
	var group sync.WaitGroup
	errs := make([]error, paceClients)
	begin := time.Now()
	for i, c := range p.clients {
		group.Go(func() {
			for at := i; at < n && errs[i] == nil; at += paceClients {
				time.Sleep(time.Until(begin.Add(time.Duration(at) * time.Second / paceRate)))
				errs[i] = exchange(c, p.request)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			p.b.Fatal(err)
		}
	}
}

func exchange(c *bufio.ReadWriter, request []byte) error {
	_, _ = c.Write(request) // Flush tells
	if err := c.Flush(); err != nil {
		return err
	}
	status, err := c.ReadString('\n')
	if err == nil && !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		err = fmt.Errorf("answered %q", status)
	}
	if err == nil {
		err = skipHead(c.Reader)
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, c, 1<<10)
	}
	return err
}

// processor is the user and system time that the gateway has taken.
func (p *paced) processor() time.Duration {
	p.b.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^p.gateway.cmd.Process.Pid<<3|2), &t); err != nil { // the clock of a process, as the kernel numbers them
		p.b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// memory is the resident memory, in bytes.
func (p *paced) memory() int64 {
	p.b.Helper()
	f, err := p.gateway.figures()
	if err != nil {
		p.b.Fatal(err)
	}
	return f.rss
}
