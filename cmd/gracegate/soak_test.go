package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	soakPolicy = `version: 1
default-site: {jurisdictions: [US]}
restrictions: [{id: us-icts-2021-002, mode: enforce}]
waivers:
  - {id: CHG-1, hosts: [dnl-01.geo.kaspersky.com, s01.upd.kaspersky.com], until: 2035-01-01T00:00:00Z, owner: ops@example.org, reason: the load of the test}
rules:
  - {id: no-games, hosts: [games.example], reason: not at work, phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}
`
	soakMore = `  - {id: no-more, zones: [never-asked.example], reason: something to reload for, phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}
`

	// soakGrowth is how much the memory of a gateway may grow from the warm-up to the end, by the line that fits its course
	// best: less than the measurements of a minute vary, and nothing at all in an hour.
	soakGrowth = 16 << 20

	reloadedLine = `"because":"SIGHUP","revision":`
	errorLine    = `"log.level":"error"`
)

// TestSoak puts a gateway under full load for as long as GRACEGATE_SOAK says, such as 60s or 1h, while its policy changes
// every second. No request may be lost or answered wrongly, memory must not grow, descriptors and goroutines must come back
// to what they were. The program is built without the race detector, unless GRACEGATE_SOAK_BINARY names another one.
//
//	GRACEGATE_SOAK=1h go test -timeout 80m -run TestSoak -v ./cmd/gracegate
func TestSoak(t *testing.T) {
	wanted := os.Getenv("GRACEGATE_SOAK")
	if wanted == "" {
		t.Skip("GRACEGATE_SOAK does not say how long, as in GRACEGATE_SOAK=60s")
	}
	length, err := time.ParseDuration(wanted)
	if err != nil {
		t.Fatalf("GRACEGATE_SOAK: %v", err)
	}
	if end, ok := t.Deadline(); ok && time.Until(end) < length+patience {
		t.Fatalf("GRACEGATE_SOAK=%s needs go test -timeout %v or more", wanted, length+2*patience)
	}
	binary := os.Getenv("GRACEGATE_SOAK_BINARY")
	if binary == "" {
		binary = buildGateway(t)
	}
	s := newSoak(t, binary)
	s.run(length)
	s.judge()
}

// soak is a gateway under load.
type soak struct {
	t       *testing.T
	gateway *process
	origins *soakOrigins
	policy  string // its file
	works   []*soakWork

	start    figures
	samples  []sample // one a second
	reloads  int      // asked for
	length   time.Duration
	end      figures // after the load
	mu       sync.Mutex
	losses   []string // the first ones
	lost     atomic.Int64
	cpuInUse time.Duration
}

type sample struct {
	at time.Duration
	figures
}

func newSoak(t *testing.T, binary string) *soak {
	t.Helper()
	s := &soak{t: t, origins: newSoakOrigins(t), policy: filepath.Join(t.TempDir(), "policy.yaml")}
	s.writePolicy()
	s.gateway = launch(t, binary, []string{reloadedLine, errorLine}, "--policy-file", s.policy, "--upstream-hosts", s.origins.hosts(), "--clock-at", "2025-01-01T00:00:00Z")
	s.start = s.figures()
	return s
}

func (s *soak) figures() figures {
	s.t.Helper()
	f, err := s.gateway.figures()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.gateway.log())
	}
	return f
}

// writePolicy puts one of two policies in place, in turns, in one step.
func (s *soak) writePolicy() {
	s.t.Helper()
	text := soakPolicy
	if s.reloads%2 == 1 {
		text += soakMore
	}
	err := os.WriteFile(s.policy+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(s.policy+".new", s.policy)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// run keeps the load up, reloads and measures.
func (s *soak) run(length time.Duration) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	var working sync.WaitGroup
	began := time.Now()
	s.works = s.load()
	for _, w := range s.works {
		for range w.workers {
			working.Go(func() { w.run(ctx, s) })
		}
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for now := began; now.Sub(began) < length && s.lost.Load() < 100; {
		now = <-second.C
		s.reloads++
		s.writePolicy()
		if err := s.gateway.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			s.t.Fatalf("%v\n%s", err, s.gateway.log())
		}
		f := s.figures()
		s.samples = append(s.samples, sample{time.Since(began), f})
		if !f.reloadOK {
			s.lose("reload", fmt.Errorf("it failed:\n%s", s.gateway.log()))
		}
	}
	s.length = time.Since(began)
	cancel()
	working.Wait()
	s.cpuInUse = s.figures().cpu - s.start.cpu
}

// lose notes that a request got no answer, or a wrong one.
func (s *soak) lose(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost.Add(1) <= 20 {
		s.losses = append(s.losses, fmt.Sprintf("%s: %v", what, err))
	}
}

// judge waits until nothing of the load is left, prints what was measured, and fails for what must not be.
func (s *soak) judge() {
	t := s.t
	s.origins.close()
	settled := func() bool {
		s.end = s.figures()
		return s.end.files <= s.start.files+opensLater && s.end.goroutines <= s.start.goroutines+opensLater
	}
	for _, l := range s.losses {
		t.Errorf("lost: %s", l)
	}
	if !holdsWithin(patience, settled) {
		t.Errorf("descriptors or goroutines do not come back: %d and %d at first, %d and %d a minute after the load", s.start.files, s.start.goroutines, s.end.files, s.end.goroutines)
	}
	slope, growth := s.slope()
	t.Log(s.summary(slope))
	if growth > soakGrowth {
		t.Errorf("memory grew by %.0f KiB from the warm-up on, more than %d", growth/1024, soakGrowth>>10)
	}
	if got := s.gateway.count(reloadedLine); got < s.reloads*9/10 { // two signals that come at once are one
		t.Errorf("%d reloads of %d", got, s.reloads)
	}
	if n := s.gateway.count(errorLine); n > 0 {
		t.Errorf("%d errors in the log:\n%s", n, s.gateway.log())
	}
	if err := s.gateway.stop(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	for _, w := range s.works {
		if w.done.Load() == 0 {
			t.Errorf("%s: nothing was done", w.name)
		}
	}
}

// slope is the growth of the resident memory in bytes a minute, by least squares over the samples after the warm-up, and
// what it comes to over their time.
func (s *soak) slope() (perMinute, growth float64) {
	warm := min(s.length/3, 5*time.Minute)
	var n, sumX, sumY, sumXX, sumXY float64
	for _, p := range s.samples {
		if p.at < warm {
			continue
		}
		x, y := p.at.Minutes(), float64(p.rss)
		n, sumX, sumY, sumXX, sumXY = n+1, sumX+x, sumY+y, sumXX+x*x, sumXY+x*y
	}
	if n < 2 {
		return math.NaN(), 0
	}
	perMinute = (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
	return perMinute, perMinute * (s.length - warm).Minutes()
}

func (s *soak) summary(slope float64) string {
	var b strings.Builder
	var all, bytes int64
	fmt.Fprintf(&b, "%v of load, %d reloads asked for, %d done, %d requests lost\n", s.length.Round(time.Second), s.reloads, s.gateway.count(reloadedLine), s.lost.Load())
	for _, w := range s.works {
		n := w.done.Load()
		all, bytes = all+n, bytes+n*w.bytes
		fmt.Fprintf(&b, "  %-28s %9d done, %8.1f a second, the slowest took %v\n", w.name, n, float64(n)/s.length.Seconds(), time.Duration(w.slowest.Load()).Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "  %-28s %9d done, %8.1f a second, %.1f MiB a second\n", "all", all, float64(all)/s.length.Seconds(), float64(bytes)/s.length.Seconds()/(1<<20))
	fmt.Fprintf(&b, "  CPU of the gateway           %.1f s, %.0f µs for each\n", s.cpuInUse.Seconds(), float64(s.cpuInUse.Microseconds())/float64(max(all, 1)))
	least, most, files, goroutines := int64(math.MaxInt64), int64(0), 0, 0
	for _, p := range s.samples {
		least, most = min(least, p.rss), max(most, p.rss)
		files, goroutines = max(files, p.files), max(goroutines, p.goroutines)
	}
	fmt.Fprintf(&b, "  resident memory              %d KiB at first, %d to %d under load, slope %+.0f KiB a minute\n", s.start.rss>>10, least>>10, most>>10, slope/1024)
	fmt.Fprintf(&b, "  descriptors                  %d at first, up to %d under load, %d after it\n", s.start.files, files, s.end.files)
	fmt.Fprintf(&b, "  goroutines                   %d at first, up to %d under load, %d after it", s.start.goroutines, goroutines, s.end.goroutines)
	return b.String()
}
