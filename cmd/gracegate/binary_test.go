package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// buildGateway makes the program as it is shipped. The one that the tests run elsewhere has the race detector in it, which knows
// 8128 goroutines at most and costs several times the memory.
func buildGateway(tb testing.TB) string {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "gracegate")
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-o", binary, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return binary
}

// process is a gateway that runs on its own, on free ports.
type process struct {
	t            testing.TB
	cmd          *exec.Cmd
	proxy, admin string
	wait         func() error // for its end

	dial func(ctx context.Context, network, addr string) (net.Conn, error) // to the admin listener; nil: as anywhere

	mu     sync.Mutex
	counts map[string]int // lines that hold a text
	lines  []string       // the last ones, but for those of flows
	more   chan struct{}  // closed when a line was counted
}

// launch starts a gateway and waits until it listens. It counts the lines of its log that hold one of the texts.
func launch(tb testing.TB, binary string, texts []string, flags ...string) *process {
	tb.Helper()
	return launchBy(tb, []string{binary}, texts, flags...)
}

// launchBy is launch by a command whose last argument is the program.
func launchBy(tb testing.TB, command, texts []string, flags ...string) *process {
	tb.Helper()
	p := &process{t: tb, counts: map[string]int{}, more: make(chan struct{})}
	args := slices.Concat(command[1:], []string{"serve", "--listen-proxy", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0", "--audit-file", "-"}, flags)
	p.cmd = exec.Command(command[0], args...)
	p.cmd.Dir = tb.TempDir()
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.cmd.Dir}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.cmd.Stdout = p.cmd.Stderr // the records are with the log
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	listens, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		p.read(log, texts, listens)
	}()
	p.wait = sync.OnceValue(func() error {
		<-ended // the log is read
		return p.cmd.Wait()
	})
	tb.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		_ = p.wait()
	})
	select {
	case <-listens:
	case <-ended:
		tb.Fatalf("%v ended:\n%s", p.cmd, strings.Join(p.lines, ""))
	case <-time.After(patience):
		tb.Fatalf("%v does not listen:\n%s", p.cmd, p.log())
	}
	return p
}

// read takes the log apart, to its end.
func (p *process) read(log io.Reader, texts []string, listens chan<- struct{}) {
	in := bufio.NewReaderSize(log, 256<<10)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if p.proxy == "" && strings.Contains(line, `"message":"listening"`) {
			var said struct {
				Proxy []string
				Admin string
			}
			if err := json.Unmarshal([]byte(line), &said); err == nil {
				p.proxy, p.admin = said.Proxy[0], said.Admin
				close(listens)
			}
		}
		p.note(line, texts)
	}
}

func (p *process) note(line string, texts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range texts {
		if strings.Contains(line, text) {
			p.counts[text]++
			close(p.more)
			p.more = make(chan struct{})
		}
	}
	if !strings.Contains(line, `"event.action"`) {
		p.lines = append(p.lines, line)
		p.lines = p.lines[max(0, len(p.lines)-50):]
	}
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "")
}

func (p *process) count(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[text]
}

// stop has it drain and end, and fails unless it does so by itself.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	kill := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	return p.wait()
}

// logged waits until so many lines with the text came.
func (p *process) logged(text string, n int) {
	p.t.Helper()
	for timeout := time.After(patience); ; {
		p.mu.Lock()
		got, more := p.counts[text], p.more
		p.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-more:
		case <-timeout:
			p.t.Fatalf("%d lines with %s, want %d:\n%s", got, text, n, p.log())
		}
	}
}

// ask asks the admin listener, on a connection that does not stay.
func (p *process) ask(path string) ([]byte, error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: p.dial}}
	resp, err := client.Get("http://" + p.admin + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// opensLater is how many descriptors, or goroutines, a gateway may have more than when it had just begun: the database opens its
// files, and connections to them, beside the traffic.
const opensLater = 6

// figures are what a process says that it uses.
type figures struct {
	rss        int64 // bytes
	files      int
	goroutines int
	cpu        time.Duration
	reloadOK   bool
}

func (p *process) figures() (f figures, err error) {
	values, err := p.metrics()
	if err != nil {
		return f, err
	}
	for _, name := range []string{"process_resident_memory_bytes", "process_open_fds", "go_goroutines", "process_cpu_seconds_total", "gracegate_policy_last_reload_successful"} {
		if _, ok := values[name]; !ok {
			return f, fmt.Errorf("no %s in the metrics", name)
		}
	}
	return figures{
		rss: int64(values["process_resident_memory_bytes"]), files: int(values["process_open_fds"]), goroutines: int(values["go_goroutines"]),
		cpu:      time.Duration(values["process_cpu_seconds_total"] * float64(time.Second)),
		reloadOK: values["gracegate_policy_last_reload_successful"] == 1,
	}, nil
}

// metrics are those of the gateway now, by name and labels.
func (p *process) metrics() (map[string]float64, error) {
	text, err := p.ask("/metrics")
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			values[name] = v
		}
	}
	return values, nil
}

// metric is one of them; 0 if it is not there.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	values, err := p.metrics()
	if err != nil {
		p.t.Fatal(err)
	}
	return values[name]
}

// readiness is what /readyz says, as far as the tests ask.
type readiness struct {
	Clock struct {
		PolicyTime time.Time `json:"policy_time"`
	}
	Recorder struct{ Lost int }
}

func (p *process) readiness() (r readiness) {
	p.t.Helper()
	text, err := p.ask("/readyz")
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || r.Clock.PolicyTime.IsZero() {
		p.t.Fatalf("/readyz: %v: %s", err, text)
	}
	return r
}

// policyTime asks what time it is by the policy clock, and tells when that was so, give or take off.
func (p *process) policyTime() (policy, real time.Time, off time.Duration) {
	p.t.Helper()
	asked := time.Now()
	policy = p.readiness().Clock.PolicyTime
	took := time.Since(asked)
	return policy, asked.Add(took / 2), took / 2
}

// eventually waits for a condition that nobody reports.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !holdsWithin(patience, holds) {
		t.Fatalf("never: %s", what)
	}
}

// holdsWithin looks again and again whether a condition holds, for a while.
func holdsWithin(limit time.Duration, holds func() bool) bool {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for timeout := time.After(limit); !holds(); {
		select {
		case <-look.C:
		case <-timeout:
			return false
		}
	}
	return true
}

// dialTunnel asks for a tunnel from an address of this machine. It fails with the status if it is refused.
func dialTunnel(from, proxy, authority string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", proxy)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := connect(c, authority); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// connect asks for a tunnel. It fails with what was answered if that is a refusal.
func connect(c net.Conn, authority string) error {
	if _, err := io.WriteString(c, "CONNECT "+authority+" HTTP/1.1\r\nHost: "+authority+"\r\n\r\n"); err != nil {
		return err
	}
	const granted = "HTTP/1.1 200 Connection established\r\n\r\n"
	answer := make([]byte, len(granted))
	if n, err := io.ReadFull(c, answer); err != nil || string(answer) != granted {
		return fmt.Errorf("CONNECT %s: %q, %w", authority, answer[:n], cmp.Or(err, errRefused))
	}
	return nil
}

var errRefused = errors.New("refused")

// standIn is an origin.
type standIn struct {
	addr string
	l    net.Listener

	mu   sync.Mutex
	open map[net.Conn]bool
}

// newStandIn hands every connection to serve, and closes it after that.
func newStandIn(tb testing.TB, serve func(c net.Conn)) *standIn {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	o := &standIn{addr: l.Addr().String(), l: l, open: map[net.Conn]bool{}}
	tb.Cleanup(o.close)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.open[c] = true
			o.mu.Unlock()
			go func() {
				serve(c)
				o.mu.Lock()
				delete(o.open, c)
				o.mu.Unlock()
				_ = c.Close()
			}()
		}
	}()
	return o
}

// close closes the origin with all its connections.
func (o *standIn) close() {
	_ = o.l.Close()
	o.hangUp()
}

// hangUp closes all connections, also those that a gateway keeps for later.
func (o *standIn) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.open {
		_ = c.Close()
	}
}

// echoOrigin sends back what it gets.
func echoOrigin(t *testing.T) *standIn {
	t.Helper()
	return newStandIn(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
}
