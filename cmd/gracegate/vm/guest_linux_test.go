package vm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// partVariable names the part of a test that is to run, in the environment of a machine's first process.
const partVariable = "VM_PART"

// partRan tells whether it did.
var partRan bool

// TestMain is the first process of a machine, too.
func TestMain(m *testing.M) {
	if os.Getenv(partVariable) == "" {
		m.Run()
		return
	}
	err, code := begin(), 2
	if err == nil {
		code = m.Run()
	}
	if err == nil && !partRan {
		err, code = errors.New("no such part of a test"), 2
	}
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(endLine + fmt.Sprint(code))
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// begin makes of a kernel that has just started a machine with what a gateway needs.
func begin() error {
	var failed error
	for dir, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs", "/tmp": "tmpfs"} {
		failed = errors.Join(failed, os.MkdirAll(dir, 0o755), unix.Mount(kind, dir, kind, 0, ""))
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return errors.Join(failed, err)
	}
	defer func() { _ = unix.Close(s) }() // it has served
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return errors.Join(failed, err)
	}
	loopback.SetUint16(unix.IFF_UP)
	failed = errors.Join(failed, unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, loopback))

	// Soon after its start the kernel knows its counter better, or takes another, and forgets by that that it was synchronised.
	settled := func() bool {
		counter, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
		return err == nil && string(counter) != "tsc-early\n"
	}
	if !holds(settled) {
		failed = errors.Join(failed, errors.New("the kernel does not settle on a counter"))
	}
	return failed
}

// machine is where a test runs that onMachine has brought there.
type machine struct{ *testing.T }

// keep hands a file to the host.
func (m machine) keep(name string) {
	m.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		m.Fatal(err)
	}
	fmt.Println(keepLine + strings.TrimPrefix(name, "/") + " " + base64.StdEncoding.EncodeToString(text))
}

// setClock sets the machine's clock as date(1) does.
func (m machine) setClock(at time.Time) {
	m.Helper()
	tv := unix.NsecToTimeval(at.UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		m.Fatalf("setting the clock to %v: %v", at, err)
	}
}

// stepClock sets it by a step as systemd-timesyncd does: the kernel says before and after that it is synchronised.
func (m machine) stepClock(by time.Duration) {
	m.Helper()
	x := inSync
	x.Modes |= unix.ADJ_SETOFFSET
	x.Time.Sec = int64(by / time.Second)
	m.adjust(x)
}

// sleep has the machine sleep until its battery-backed clock wakes it.
func (m machine) sleep(d time.Duration) {
	m.Helper()
	alarm := fmt.Sprintf("+%d", d/time.Second)
	if err := errors.Join(os.WriteFile("/sys/class/rtc/rtc0/wakealarm", []byte(alarm), 0), os.WriteFile("/sys/power/state", []byte("mem"), 0)); err != nil {
		m.Fatal(err)
	}
}

// inSync is what a time service tells the kernel whose clock it disciplines.
var inSync = unix.Timex{Modes: unix.ADJ_STATUS | unix.ADJ_MAXERROR | unix.ADJ_ESTERROR, Status: unix.STA_PLL}

// synchronise tells the kernel what a time service does.
func (m machine) synchronise() {
	m.Helper()
	m.adjust(inSync)
	if !m.synchronised() {
		m.Fatal("the kernel does not believe it")
	}
}

// synchronised is what the kernel says.
func (m machine) synchronised() bool {
	m.Helper()
	return m.adjust(unix.Timex{}).Status&unix.STA_UNSYNC == 0
}

func (m machine) adjust(x unix.Timex) unix.Timex {
	m.Helper()
	if _, err := unix.Adjtimex(&x); err != nil {
		m.Fatalf("adjtimex: %v", err)
	}
	return x
}

// gateway is the program, running.
type gateway struct {
	machine
	cmd  *exec.Cmd
	data string
}

const (
	program, logFile, policyFile = "/gracegate", "/tmp/log", "/policy.yaml"

	proxyAddr, adminAddr, originAddr = "127.0.0.1:3128", "127.0.0.1:9128", "127.0.0.1:8080"

	// An update server whose time ran out in 2024, a host whose time ends by the operator's rule, and one that nothing governs.
	ended, ending, free = "dnl-01.geo.kaspersky.com", "ending.example", "free.example"
)

// serve starts a gateway. Its policy is the built-in one and a rule that blocks from an instant on.
func (m machine) serve(from time.Time, data string, flags ...string) *gateway {
	m.Helper()
	policy := fmt.Sprintf(`version: 1
default-site: {jurisdictions: [US]}
restrictions: [{id: us-icts-2021-002, mode: enforce}]
rules: [{id: ending, hosts: [%s], reason: "it ends", phases: [{from: %s, effect: block}]}]
settings: {mode: "off"}
`, ending, from.UTC().Format(time.RFC3339))
	if err := os.WriteFile(policyFile, []byte(policy), 0o600); err != nil {
		m.Fatal(err)
	}
	var hosts []string
	for _, name := range []string{ended, ending, free} {
		hosts = append(hosts, fmt.Sprintf(`{"name": %q, "address": %q}`, name, originAddr))
	}
	log, err := os.Create(logFile)
	if err != nil {
		m.Fatal(err)
	}
	g := &gateway{machine: m, data: data}
	g.cmd = exec.Command(program, append([]string{
		"serve", "--data-dir", data, "--policy-file", policyFile,
		"--listen-proxy", proxyAddr, "--listen-admin", adminAddr, "--upstream-hosts", "[" + strings.Join(hosts, ",") + "]",
	}, flags...)...)
	g.cmd.Stdout, g.cmd.Stderr = log, log
	if err := errors.Join(g.cmd.Start(), log.Close()); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		if m.Failed() {
			text, _ := os.ReadFile(logFile)
			m.Logf("its log:\n%s", text)
		}
		_ = g.cmd.Process.Kill() // it may have ended
		_ = g.cmd.Wait()
	})
	eventually(m.T, "it listens", func() bool {
		c, err := net.Dial("tcp", proxyAddr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return g
}

// stop ends it as a service manager does.
func (g *gateway) stop() {
	g.Helper()
	if err := errors.Join(g.cmd.Process.Signal(syscall.SIGTERM), g.cmd.Wait()); err != nil {
		g.Fatal(err)
	}
}

// origin stands in for every host.
func (m machine) origin() {
	m.Helper()
	l, err := net.Listen("tcp", originAddr)
	if err != nil {
		m.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	m.Cleanup(func() { _ = s.Close() })
	go func() { _ = s.Serve(l) }()
}

// answers checks what clients get for a host.
func (g *gateway) answers(host string, want int) {
	g.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxyAddr})}}
	resp, err := client.Get("http://" + host + "/")
	if err != nil {
		g.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != want {
		g.Errorf("%s gets %s, want %d", host, resp.Status, want)
	}
}

// readiness is what /readyz says.
type readiness struct {
	Ready    bool
	Problems []string
	Clock    struct {
		Trusted    bool
		State      string
		Detail     string
		Kernel     string
		PolicyTime time.Time `json:"policy_time"`
		WallTime   time.Time `json:"wall_time"`
	}
}

func (g *gateway) readiness() (r readiness) {
	g.Helper()
	if err := json.Unmarshal(g.admin("/readyz"), &r); err != nil {
		g.Fatal(err)
	}
	return r
}

// admin is a page of the admin listener.
func (g *gateway) admin(path string) []byte {
	g.Helper()
	resp, err := http.Get("http://" + adminAddr + path)
	if err != nil {
		g.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		g.Fatal(err)
	}
	return body.Bytes()
}

// becomes waits for a state of the clock, which everything says then; why is a pattern of its explanation.
func (g *gateway) becomes(state, why string) {
	g.Helper()
	var r readiness
	eventually(g.T, "the clock is "+state, func() bool {
		r = g.readiness()
		return r.Clock.State == state
	})
	g.Logf("%s: %s", state, r.Clock.Detail)
	if r.Clock.Trusted != (state == "trusted") || !regexp.MustCompile(why).MatchString(r.Clock.Detail) {
		g.Errorf("trusted is %t, the explanation %q, want %s", r.Clock.Trusted, r.Clock.Detail, why)
	}
	if problem := "the clock cannot be believed: " + r.Clock.Detail; strings.Contains(strings.Join(r.Problems, "\n"), problem) == r.Clock.Trusted {
		g.Errorf("the problems are %q", r.Problems)
	}
	metric := map[bool]string{true: "\ngracegate_clock_trusted 1\n", false: "\ngracegate_clock_trusted 0\n"}[r.Clock.Trusted]
	if !bytes.Contains(g.admin("/metrics"), []byte(metric)) {
		g.Errorf("the metrics do not have %q", metric)
	}
}

// hears waits until the gateway has heard what the kernel says.
func (g *gateway) hears(kernel string) {
	g.Helper()
	eventually(g.T, "the kernel is "+kernel, func() bool { return g.readiness().Clock.Kernel == kernel })
}

// policyTime checks what time it is by the policy.
func (g *gateway) policyTime(want time.Time) {
	g.Helper()
	if got := g.readiness().Clock.PolicyTime; got.Sub(want).Abs() > tolerance {
		g.Errorf("policy time is %v, want %v", got, want)
	}
}

// tolerance is more than anything takes here between two looks at the clock.
const tolerance = 30 * time.Second

// records checks how many records there are that match a pattern.
func (g *gateway) records(pattern string, want int) {
	g.Helper()
	count := func() int {
		text, err := os.ReadFile(g.data + "/journal/00000000000000000000.jsonl")
		if err != nil {
			g.Fatal(err)
		}
		return len(regexp.MustCompile(pattern).FindAll(text, -1))
	}
	if !holds(func() bool { return count() == want }) {
		g.Errorf("%d records match %s, want %d", count(), pattern, want)
	}
}

// runs checks what a command of the program says, and its exit code.
func (g *gateway) runs(code int, says string, args ...string) {
	g.Helper()
	cmd := exec.Command(program, args...)
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited || cmd.ProcessState.ExitCode() != code || !regexp.MustCompile(says).Match(out) {
		g.Errorf("%v: %v, want the code %d and %s:\n%s", cmd, err, code, says, out)
	}
}

// pass lets time pass, which is free on a machine that has nothing to do.
func pass(d time.Duration) { time.Sleep(d) }

// eventually waits for what nobody reports.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	if !holds(is) {
		t.Fatalf("never: %s", what)
	}
}

func holds(is func() bool) bool {
	for range 300 {
		if is() {
			return true
		}
		pass(200 * time.Millisecond)
	}
	return false
}
