package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	manyTunnels = 9000
	fewTunnels  = 500 // with -short
)

// With 9,000 governed tunnels open, the last is gone within a second of the deadline, by a reset; the others stay.
func TestManyTunnelsAreCutInTime(t *testing.T) {
	n, lead := manyTunnels, 10*time.Second
	if testing.Short() {
		n, lead = fewTunnels, 5*time.Second
	}
	allowFiles(t, uint64(2*n+1000))
	binary := buildGateway(t)
	for ; ; lead *= 3 {
		m := newMany(t, binary, n, lead)
		opened, err := m.open()
		if errors.Is(err, errTooLate) && lead < time.Minute {
			t.Logf("in %v only some of %d tunnels could be opened; once more with more time", lead, n)
			m.close()
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		m.check(opened)
		return
	}
}

var errTooLate = errors.New("the deadline came before all tunnels were open")

// many is a gateway with a deadline, and a lot of tunnels through it.
type many struct {
	t       *testing.T
	gateway *process
	n       int
	hello   []byte
	end     time.Time // of the grace, in real time, give or take off
	off     time.Duration

	origin  net.Listener
	mu      sync.Mutex
	arrived []net.Conn // at the origin

	tunnels []net.Conn
	free    net.Conn // a tunnel that nothing governs
}

const (
	openedLine = `"message":"opened s01.upd.kaspersky.com"`
	cutLine    = `"gracegate.ended":"cut"`
)

func newMany(t *testing.T, binary string, n int, lead time.Duration) *many {
	t.Helper()
	m := &many{t: t, n: n, hello: clientHello(t, "s01.upd.kaspersky.com")}
	m.listen()
	free := echoOrigin(t).addr
	hosts := fmt.Sprintf(`[{"name": "s01.upd.kaspersky.com", "address": %q}, {"name": "free.example", "address": %q}]`, m.origin.Addr(), free)
	m.gateway = launch(t, binary, []string{openedLine, cutLine}, "--upstream-hosts", hosts,
		"--clock-at", demoDeadline.Add(-lead).Format(time.RFC3339), "--limits-hello", "2m")
	policy, real, off := m.gateway.policyTime()
	m.end, m.off = real.Add(demoDeadline.Sub(policy)), off
	var err error
	if m.free, err = dialTunnel("127.0.0.1", m.gateway.proxy, "free.example:443"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	return m
}

// listen opens an origin, which says a word to everybody who comes, and then nothing.
func (m *many) listen() {
	m.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	m.origin = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "!")
			m.mu.Lock()
			m.arrived = append(m.arrived, c)
			m.mu.Unlock()
		}
	}()
}

// open opens the tunnels, and returns once the gateway has seen a hello in each. It tells how long it took.
func (m *many) open() (time.Duration, error) {
	began := time.Now()
	m.tunnels = make([]net.Conn, m.n)
	errs := make([]error, m.n)
	var next atomic.Int64
	var dialling sync.WaitGroup
	for range 32 {
		dialling.Go(func() {
			for i := next.Add(1) - 1; i < int64(m.n); i = next.Add(1) - 1 {
				// Not so many of one client that a limit on these would count.
				if m.tunnels[i], errs[i] = m.one(fmt.Sprintf("127.0.0.%d", 2+i/1000)); errs[i] != nil {
					return
				}
			}
		})
	}
	dialling.Wait()
	if time.Until(m.end) < time.Second {
		return 0, errTooLate
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	m.gateway.logged(openedLine, m.n)
	if time.Until(m.end) < time.Second {
		return 0, errTooLate
	}
	return time.Since(began), nil
}

func (m *many) one(from string) (net.Conn, error) {
	c, err := dialTunnel(from, m.gateway.proxy, "s01.upd.kaspersky.com:443")
	if err != nil {
		return nil, err
	}
	if _, err = io.ReadFull(c, make([]byte, 1)); err == nil {
		_, err = c.Write(m.hello)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// check waits for the deadline and looks at what comes of it.
func (m *many) check(opened time.Duration) {
	t := m.t
	before, err := m.gateway.figures()
	if err != nil {
		t.Fatal(err)
	}
	ends := untilEnd(t, m.tunnels, m.end.Add(patience))
	first, last := slices.MinFunc(ends, time.Time.Compare).Sub(m.end), slices.MaxFunc(ends, time.Time.Compare).Sub(m.end)
	t.Logf("%d tunnels were opened in %v, and cost %d KiB and %.2f descriptors each; after the deadline the first was gone in %v, the last in %v (give or take %v)",
		m.n, opened.Round(time.Millisecond), before.rss/int64(m.n)>>10, float64(before.files)/float64(m.n), first, last, m.off)
	if first < -m.off {
		t.Errorf("the first is gone %v before the deadline", -first)
	}
	limit := time.Second
	if underRace() {
		limit = 2 * time.Second
	}
	if last > limit+m.off {
		t.Errorf("the last is gone %v after the deadline, want %v", last, limit)
	}
	m.mu.Lock()
	arrived := slices.Clone(m.arrived)
	m.mu.Unlock()
	if len(arrived) != m.n {
		t.Errorf("%d connections came to the origin for %d tunnels", len(arrived), m.n)
	}
	for side, conns := range map[string][]net.Conn{"client": m.tunnels, "origin": arrived} {
		for i, c := range conns {
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("the %s of tunnel %d sees %v, want a reset", side, i, err)
			}
		}
	}
	closed := `gracegate_flows_closed_total{reason="cut"}`
	eventually(t, "all are counted as cut", func() bool { return m.gateway.metric(closed) == float64(m.n) })
	if lost := m.gateway.readiness().Recorder.Lost; lost > 0 {
		t.Fatalf("%d records were lost", lost)
	}
	m.gateway.logged(cutLine, m.n)
	if _, err := io.WriteString(m.free, "still"); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(m.free, buf); err != nil || string(buf) != "still" {
		t.Errorf("the ungoverned tunnel: %q, %v", buf, err)
	}
	if _, err := dialTunnel("127.0.0.1", m.gateway.proxy, "s01.upd.kaspersky.com:443"); err == nil {
		t.Error("after the deadline a tunnel is granted")
	}
	eventually(t, "the descriptors are closed", func() bool {
		now, err := m.gateway.figures()
		return err == nil && now.files < 50
	})
}

func (m *many) close() {
	_ = m.origin.Close()
	_ = m.gateway.cmd.Process.Kill()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range slices.Concat(m.tunnels, m.arrived, []net.Conn{m.free}) {
		if c != nil {
			_ = c.Close()
		}
	}
}

// untilEnd waits until each connection has ended, and returns when that was. A goroutine each would be too many for the race
// detector.
func untilEnd(t *testing.T, conns []net.Conn, by time.Time) []time.Time {
	t.Helper()
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(poll) //nolint:errcheck // nothing is lost
	for i, c := range conns {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) {
				event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: int32(i)}
				if err := syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, int(fd), &event); err != nil {
					t.Error(err)
				}
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ends := make([]time.Time, len(conns))
	events := make([]syscall.EpollEvent, 512)
	for ended := 0; ended < len(conns); {
		n, err := syscall.EpollWait(poll, events, 100)
		now := time.Now()
		if err != nil && !errors.Is(err, syscall.EINTR) {
			t.Fatal(err)
		}
		for i := range max(n, 0) {
			ends[events[i].Fd] = now
			ended++
		}
		if now.After(by) {
			t.Fatalf("%d of %d tunnels are still open", len(conns)-ended, len(conns))
		}
	}
	return ends
}

// underRace tells whether this process has the race detector in it, and so little time for anything else.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// allowFiles makes sure that this process, and the gateway that it starts, may open so many files.
func allowFiles(t *testing.T, need uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Also where it is enough: a child would get back what held before the runtime raised it.
	raised := syscall.Rlimit{Cur: max(need, limit.Cur), Max: max(need, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		t.Skipf("%d open files are needed, and %d are allowed: %v", need, limit.Max, err)
	}
}

// clientHello is what Go's client says first to a server of this name.
func clientHello(t *testing.T, name string) []byte {
	t.Helper()
	var said bytes.Buffer
	_ = tls.Client(recording{to: &said}, &tls.Config{ServerName: name}).HandshakeContext(t.Context())
	return said.Bytes()
}

// recording is a connection to nobody.
type recording struct {
	net.Conn
	to io.Writer
}

func (r recording) Write(p []byte) (int, error)    { return r.to.Write(p) }
func (recording) Read([]byte) (int, error)         { return 0, io.EOF }
func (recording) Close() error                     { return nil }
func (recording) SetWriteDeadline(time.Time) error { return nil }
func (recording) SetDeadline(time.Time) error      { return nil }
