package proxy

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/source"
)

// The law of the tests: acme's updates stop at deadline, its cloud has stopped long ago, its reports never stop.
const (
	vendorYAML = `
vendor: acme
name: Acme
sources: {own: {title: "the tests", url: "https://acme.example/endpoints", checked: 2026-01-02, grade: primary}}
endpoints:
  - {zone: upd.acme.example, channels: [signatures], sources: [own]}
  - {host: cloud.acme.example, channels: [cloud], sources: [own]}
  - {host: reports.acme.example, channels: [threat-intelligence], sources: [own]}
  - {host: licence.acme.example, ports: [27200-27299], channels: [cloud], sources: [own]}
  - {host: mixed.acme.example, channels: [corporate], sources: [own]}
  - {host: mixed.acme.example, paths: ["/v6/**"], channels: [cloud], sources: [own]}
`
	restrictionYAML = `
restriction: test-2024-001
title: "Order 1 of the tests"
strength: prohibition
zone: UTC
revisions:
  - published: 2024-06-01T00:00:00Z
    source: {title: "Order 1", citation: "1 TR 1", url: "https://law.example/order-1", checked: 2026-01-02, grade: primary}
    binds: [US]
    vendors: [acme]
    exempt: [threat-intelligence]
    phases:
      - {from: 2024-06-01T00:00:00Z, effect: grace, channels: [signatures]}
      - {from: 2024-07-01T00:00:00Z, effect: block, channels: [cloud]}
      - {from: 2024-09-29T04:00:00Z, effect: block, channels: [signatures]}
`
	operatorYAML = `
version: 1
default-site: {jurisdictions: [US]}
restrictions: [{id: test-2024-001, mode: enforce}]
rules:
  - id: no-games
    hosts: [games.example]
    reason: "not at work"
    phases: [{from: 2024-01-01T00:00:00Z, effect: block}]
`
)

var (
	deadline = time.Date(2024, 9, 29, 4, 0, 0, 0, time.UTC)
	inGrace  = time.Date(2024, 7, 15, 0, 0, 0, 0, time.UTC)
)

// patience is how long a test waits for what must come. A test that passes never waits so long.
const patience = 20 * time.Second

// rig is a proxy on a loopback port, with everything around it that a test looks at.
type rig struct {
	*Server
	t        *testing.T
	addr     string
	clock    *handClock
	policies *policy.Holder
	records  *box[audit.Record]
	seen     *seen
	failing  *atomic.Bool // whether the recorder loses records
	logs     *observer.ObservedLogs
	stop     func() error // Shutdown without patience, and the end of Serve
}

// rigSetup says what differs from the usual. Everything in it may be left out.
type rigSetup struct {
	settings string            // of the operator's file, such as "unseen: {not-tls: block}"
	hosts    map[string]string // upstream.hosts: "name" or "name:port" to the address of an origin
	dns      map[string][]string
	allow    []string // upstream.allow
	refused  []string // listeners that are no destinations
	parent   *Parent
	faults   policy.Verdict
	change   func(*Config)
}

func newRig(t *testing.T, setup rigSetup) *rig {
	t.Helper()
	r := &rig{t: t, clock: newHandClock(inGrace), policies: &policy.Holder{}, records: newBox[audit.Record](), seen: newSeen(), failing: new(atomic.Bool)}
	r.enforce(setup.settings, setup.faults)
	clients, err := NewClients([]string{"loopback"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	core, logs := observer.New(zapcore.InfoLevel)
	r.logs = logs
	cfg := Config{
		Policies: r.policies, Clock: r.clock.now, Recorder: rigRecorder{r}, Observer: r.seen, Clients: clients,
		Dialer: NewDialer(setup.dialling(t, r.addr)),
		Ports:  func(uint16) bool { return false },
		Local:  http.HandlerFunc(NotAProxyRequest),
		Log:    zap.New(core),
		Head:   64 << 10, Headers: 100, Hello: patience, Idle: patience, RetryAfter: time.Hour, Ungoverned: true,
		Operator: Operator{Name: "The Tests", Contact: "ops@test.example", URL: "https://test.example/blocked"},
	}
	if setup.change != nil {
		setup.change(&cfg)
	}
	r.Server = New(cfg)
	done := make(chan error, 1)
	go func() { done <- r.Serve(l) }()
	r.stop = sync.OnceValue(func() error {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Shutdown(ctx)
		return <-done
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

// dialling is what the Dialer of the rig is set up with.
func (s *rigSetup) dialling(t *testing.T, own string) DialConfig {
	t.Helper()
	cfg := DialConfig{Timeout: patience, Parent: s.parent, Refused: []netip.AddrPort{netip.MustParseAddrPort(own)}, Resolver: newFakeDNS(t, s.dns).addr}
	for name, at := range s.hosts {
		n, port, err := host.ParseAuthority(name)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Hosts = append(cfg.Hosts, HostOverride{Name: n, Port: port, Address: netip.MustParseAddrPort(at)})
	}
	var allow []netip.Prefix
	for _, p := range s.allow {
		allow = append(allow, netip.MustParsePrefix(p))
	}
	cfg.Guard = NewGuard(allow, nobody)
	for _, l := range s.refused {
		cfg.Refused = append(cfg.Refused, netip.MustParseAddrPort(l))
	}
	return cfg
}

// enforce puts a policy with these settings in force.
func (r *rig) enforce(settings string, faults policy.Verdict) {
	r.t.Helper()
	text := operatorYAML
	if settings != "" {
		text += "settings: {" + settings + "}\n"
	}
	r.enforceText(text, faults)
}

// enforceText puts an operator's file in force.
func (r *rig) enforceText(text string, faults policy.Verdict) {
	r.t.Helper()
	r.enact(vendorYAML, text, policy.Options{Revision: "test", ClockFaults: faults, RecordFaults: faults})
}

// enact puts a law in force.
func (r *rig) enact(vendorText, operatorText string, options policy.Options) {
	r.t.Helper()
	vendor, problems := source.Vendor(source.File{Name: "acme.yaml", Data: []byte(vendorText)}, nil)
	restriction, more := source.Restriction(source.File{Name: "test-2024-001.yaml", Data: []byte(restrictionYAML)})
	operator, evenMore := source.Operator(source.File{Name: "policy.yaml", Data: []byte(operatorText)})
	if err := slices.Concat(problems, more, evenMore).Err(); err != nil {
		r.t.Fatal(err)
	}
	catalog, err := policy.NewCatalog([]policy.Vendor{vendor}, []policy.Restriction{restriction}, []policy.Jurisdiction{{ID: "US", Name: "Us"}}, "digest")
	if err != nil {
		r.t.Fatal(err)
	}
	err = r.policies.Reload(func(*policy.Policy) (*policy.Policy, error) {
		return policy.Compile(catalog, &operator, options)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// handClock is the policy clock, set by hand.
type handClock struct {
	mu sync.Mutex
	is Instant
}

func newHandClock(at time.Time) *handClock {
	c := &handClock{}
	c.set(at)
	return c
}

func (c *handClock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.Before(c.is.At) {
		c.is.Turn++
	}
	c.is.At = at
}

// turn makes it one to believe, or not.
func (c *handClock) turn(state policy.ClockState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.is.State = state
	c.is.Turn++
}

func (c *handClock) now() Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.is
}

// box collects what happens in other goroutines, and lets a test wait for it.
type box[T any] struct {
	mu      sync.Mutex
	list    []T
	changed chan struct{}
}

func newBox[T any]() *box[T] { return &box[T]{changed: make(chan struct{})} }

func (b *box[T]) add(v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, v)
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *box[T]) all() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.list)
}

// wait returns the first that fits, once it is there.
func (b *box[T]) wait(t *testing.T, what string, fits func(T) bool) T {
	t.Helper()
	timeout := time.After(patience)
	for {
		b.mu.Lock()
		changed := b.changed
		i := slices.IndexFunc(b.list, fits)
		if i >= 0 {
			defer b.mu.Unlock()
			return b.list[i]
		}
		b.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no %s among %v", what, b.all())
		}
	}
}

// rigRecorder keeps records.
type rigRecorder struct{ r *rig }

func (c rigRecorder) Record(rec *audit.Record) { c.r.records.add(*rec) }
func (c rigRecorder) Failing() bool            { return c.r.failing.Load() }

// recorded waits for a record of an event.
func (r *rig) recorded(event audit.Event) audit.Record {
	r.t.Helper()
	return r.records.wait(r.t, "record of "+event.String(), func(rec audit.Record) bool { return rec.Event == event })
}

// seen is an Observer that writes down one line a call.
type seen struct{ *box[string] }

func newSeen() *seen { return &seen{newBox[string]()} }

func (s *seen) Decided(d *policy.Decision, _ policy.Cause, _ time.Duration) {
	s.add("decided " + d.Verdict.String() + " " + d.State.String())
}
func (s *seen) Guarded(guard string)           { s.add("guarded " + guard) }
func (s *seen) FlowOpened(kind string)         { s.add("opened " + kind) }
func (s *seen) FlowClosed(kind, reason string) { s.add("closed " + kind + " " + reason) }
func (s *seen) DialFailed(reason string)       { s.add("dial failed " + reason) }
func (s *seen) Limited(limit string)           { s.add("limited " + limit) }

// observed waits until the observer was told this.
func (r *rig) observed(line string) {
	r.t.Helper()
	r.seen.wait(r.t, line, func(s string) bool { return s == line })
}

// count tells how often the observer was told something that begins so.
func (s *seen) count(prefix string) int {
	n := 0
	for _, line := range s.all() {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}
