package debian_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// testInstalled is the life of an installation: first as in a container, without systemd, then on a machine that runs it.
func testInstalled(t *testing.T, deb string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making a root directory takes root")
	}
	need(t, "mmdebstrap", "apt-get", "unshare", "ip")
	if out, err := command(t, "unshare", "--mount", "--pid", "--fork", "--net", "true").CombinedOutput(); err != nil {
		t.Skipf("no namespaces to be had: %v: %s", err, out)
	}
	r := bootstrap(t)
	r.put(t, deb, "/first.deb")
	r.put(t, nextVersion(t, deb), "/next.deb")
	if !t.Run("without systemd", func(t *testing.T) { testContainer(t, r) }) {
		return
	}
	t.Run("with systemd", func(t *testing.T) { testMachine(t, r) })
}

// changed is a setting of the administrator's, in the conffile.
const changed = "\noperator: {name: \"Network team\"}\n"

func testContainer(t *testing.T, r root) {
	t.Helper()
	r.online(t, "apt-get install -qq --no-install-recommends -y /first.deb")
	if _, err := os.Stat(r.path("/usr/bin/systemctl")); err == nil {
		t.Error("the package brought systemd")
	}
	if got := r.offline(t, "gracegate version"); got != "gracegate v1.0.0\n" {
		t.Errorf("version: %q", got)
	}
	for _, want := range []string{
		"drwx------ gracegate gracegate /var/lib/gracegate",
		"drwxr-x--- gracegate gracegate /var/log/gracegate",
		"-rw-r--r-- root root /etc/gracegate/gracegate.yaml",
	} {
		if got := r.offline(t, "stat --format '%A %U %G %n' "+want[strings.LastIndex(want, " "):]); got != want+"\n" {
			t.Errorf("%s, want %s", got, want)
		}
	}
	r.offline(t, "gracegate config --policy --policy-file /usr/share/doc/gracegate/examples/policy.yaml")

	if got := r.offline(t, byHand); !strings.HasPrefix(got, "ready\nHTTP/1.1 451 ") {
		t.Errorf("served by hand: %s", got)
	}
	if got := r.offline(t, "gracegate audit verify"); !regexp.MustCompile(`whole\nrecords +0 to \d`).MatchString(got) {
		t.Errorf("audit verify: %s", got)
	}

	r.edit(t, "/etc/gracegate/gracegate.yaml", changed)
	r.offline(t, "dpkg --force-confold --install /next.deb")
	if got := string(read(t, r.path("/etc/gracegate/gracegate.yaml"))); !strings.HasSuffix(got, changed) {
		t.Errorf("after an upgrade, what the administrator changed is gone:\n%s", got)
	}
	if got := string(read(t, r.path("/usr/lib/systemd/system/gracegate.service"))); !strings.Contains(got, "\nDescription=next\n") {
		t.Errorf("after an upgrade, the service is the old one:\n%s", got)
	}

	r.offline(t, "dpkg --remove gracegate")
	if again := string(read(t, r.path("/etc/gracegate/gracegate.yaml"))); !strings.HasSuffix(again, changed) {
		t.Error("removed, and the settings are gone")
	}
	r.exists(t, true, "/var/lib/gracegate/journal/00000000000000000000.jsonl")
	r.exists(t, false, "/usr/bin/gracegate")
	r.put(t, r.path("/first.deb"), "/etc/gracegate/of-others") // which the package knows nothing of
	r.offline(t, "dpkg --purge gracegate")
	r.exists(t, false, "/var/lib/gracegate")
	r.exists(t, false, "/var/log/gracegate")
	r.exists(t, false, "/etc/gracegate/gracegate.yaml")
	r.exists(t, true, "/etc/gracegate/of-others")
	r.offline(t, "id gracegate")
}

// byHand serves as the service's user, with the settings of the package, until it answered.
const byHand = `
setpriv --reuid gracegate --regid gracegate --init-groups gracegate serve &
until gracegate ready 2>/dev/null; do sleep 0.1; done
` + ask + `
kill $!
wait $!
`

// ask asks the proxy for what it refuses, and prints the first line of the answer.
const ask = `
exec 3<>/dev/tcp/127.0.0.1/3128
printf 'GET http://dnl-01.geo.kaspersky.com/ HTTP/1.1\r\nHost: dnl-01.geo.kaspersky.com\r\n\r\n' >&3
head -1 <&3
exec 3<&-
`

func testMachine(t *testing.T, r root) {
	t.Helper()
	r.online(t, "apt-get install -qq --no-install-recommends -y systemd")
	m := boot(t, r)

	m.run(t, "dpkg --install /first.deb")
	if got := m.run(t, "systemctl is-enabled gracegate.service gracegate.socket || true"); got != "enabled\ndisabled\n" {
		t.Errorf("enabled: %q", got)
	}
	if got := m.run(t, "gracegate ready;"+ask); !strings.HasPrefix(got, "ready\nHTTP/1.1 451 ") {
		t.Errorf("the service: %s", got)
	}
	if got := m.run(t, "systemctl show --property StatusText --value gracegate"); !strings.HasPrefix(got, "policy ") {
		t.Errorf("status: %s", got)
	}
	status := m.run(t, "cat /proc/$(systemctl show --property MainPID --value gracegate)/status")
	for _, want := range []string{`CapEff:\s0000000000002000`, `CapBnd:\s0000000000002000`, `NoNewPrivs:\s1`, `Seccomp:\s2`} { // 13 is CAP_NET_RAW
		if !regexp.MustCompile(want).MatchString(status) {
			t.Errorf("nothing like %s in\n%s", want, status)
		}
	}
	m.run(t, "systemctl reload gracegate && systemctl is-active gracegate")
	if got := m.run(t, "gracegate clock"); !regexp.MustCompile(`(?m)^kernel +(not )?synchronised$`).MatchString(got) {
		t.Errorf("the filter of system calls hides what the kernel says of its clock:\n%s", got)
	}
	m.run(t, "cd /root && chmod 700 . && runuser --user gracegate -- gracegate ca init") // as sudo does, in a directory of others
	if got := m.run(t, "runuser --user gracegate -- gracegate ca show"); !strings.HasPrefix(got, "directory     /var/lib/gracegate/ca\n") {
		t.Errorf("the CA: %s", got)
	}

	// What it may do is enough for transparent mode by TPROXY.
	m.run(t, "mkdir /run/systemd/system/gracegate.service.d && cd /run/systemd/system/gracegate.service.d &&"+
		"printf '[Service]\nEnvironment=GRACEGATE_LISTEN_TRANSPARENT=:3129\n' >transparent.conf && systemctl daemon-reload && systemctl restart gracegate")
	if got := m.run(t, "journalctl --no-pager --output cat --unit gracegate | grep -e '\"transparent\":' -e 'only what is redirected'"); strings.Contains(got, "only what") || got == "" {
		t.Errorf("transparent: %s", got)
	}

	// With its socket, a restart refuses nobody.
	m.run(t, "systemctl stop gracegate && systemctl enable --quiet --now gracegate.socket gracegate-admin.socket gracegate-socks.socket gracegate-transparent.socket && systemctl start gracegate")
	if got := m.run(t, "journalctl --no-pager --output cat --unit gracegate | grep -o '\"socks\":[^]]*]' | tail -n 1"); got != "\"socks\":[\"127.0.0.1:1080\"]\n" {
		t.Errorf("the service listens for SOCKS5 on %s", got)
	}
	if got := m.run(t, restarts); got != "restarted\n" {
		t.Errorf("while it was restarted: %s", got)
	}

	// What only a person can mend is not tried again.
	m.run(t, "echo 'listen: {nosuch: 1}' >/run/invalid.yaml && printf '[Service]\nEnvironment=GRACEGATE_CONFIG=/run/invalid.yaml\n' "+
		">/run/systemd/system/gracegate.service.d/invalid.conf && systemctl daemon-reload && ! systemctl restart gracegate 2>/dev/null")
	if got := m.run(t, "systemctl is-failed gracegate; rm /run/systemd/system/gracegate.service.d/invalid.conf; systemctl daemon-reload; systemctl restart gracegate"); got != "failed\n" {
		t.Errorf("with invalid settings, the service is %s", got)
	}

	before := m.run(t, "systemctl show --property MainPID --value gracegate")
	m.run(t, "dpkg --force-confold --install /next.deb")
	if got := m.run(t, "systemctl show --property ActiveState,Description,NeedDaemonReload gracegate"); got != "Description=next\nActiveState=active\nNeedDaemonReload=no\n" {
		t.Errorf("after an upgrade: %s", got)
	}
	if after := m.run(t, "systemctl show --property MainPID --value gracegate"); after == before {
		t.Errorf("after an upgrade, the old process %s serves", strings.TrimSpace(after))
	}
	m.run(t, "gracegate ready && gracegate audit verify")

	m.run(t, "systemctl disable --quiet gracegate && dpkg --install /next.deb")
	if got := m.run(t, "systemctl is-enabled gracegate || true"); got != "disabled\n" {
		t.Errorf("what the administrator disabled is %s", got)
	}
	m.run(t, "dpkg --purge gracegate")
	if got := m.run(t, "systemctl list-units --all --plain --no-legend 'gracegate*'"); got != "" {
		t.Errorf("purged, and left are: %s", got)
	}
	m.run(t, "! find /etc/systemd /var/lib/systemd -name '*gracegate*' | grep .")
	r.exists(t, false, "/var/lib/gracegate")
}

// restarts connects all the time while the service is restarted.
const restarts = `
(until [ -e /tmp/restarted ]; do (exec 3<>/dev/tcp/127.0.0.1/3128) 2>/dev/null || echo refused; done) &
systemctl restart gracegate && systemctl restart gracegate && echo restarted
touch /tmp/restarted
wait
`

// nextVersion makes of a package the one of a later version, with another service and another conffile.
func nextVersion(t *testing.T, deb string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "next")
	run(t, "dpkg-deb", "--raw-extract", deb, dir)
	replace := func(name, old, to string) {
		t.Helper()
		name = filepath.Join(dir, name)
		text := read(t, name)
		if !bytes.Contains(text, []byte(old)) {
			t.Fatalf("%s has no %q", name, old)
		}
		if err := os.WriteFile(name, bytes.Replace(text, []byte(old), []byte(to), 1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	replace("DEBIAN/control", "Version: 1.0.0-1", "Version: 1.0.1-1")
	replace("usr/lib/systemd/system/gracegate.service", "Description=gracegate, a forward proxy with dated policy", "Description=next")
	replace("etc/gracegate/gracegate.yaml", "# Settings of gracegate", "# The settings of gracegate")
	run(t, "dpkg-deb", "-Znone", "--build", dir)
	return dir + ".deb"
}

// root is a directory with a small Debian.
type root struct{ dir string }

// bootstrap makes one of what apt here gets its packages from.
func bootstrap(t *testing.T) root {
	t.Helper()
	r := root{filepath.Join(t.TempDir(), "root")}
	t.Cleanup(func() { run(t, "rm", "-rf", "--one-file-system", r.dir) })
	mirror := strings.Fields(run(t, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Codename: bookworm", "Component: main"))
	if len(mirror) == 0 {
		t.Skip("apt here has no packages of Debian 12")
	}
	// How apt gets them here, such as a proxy.
	settings := filepath.Join(t.TempDir(), "apt.conf")
	var acquire []string
	for line := range strings.Lines(run(t, "apt-config", "dump", "--format", "%f \"%v\";%n", "Acquire")) {
		acquire = append(acquire, line)
	}
	acquire = append(acquire, "Acquire::Retries \"3\";\n")
	if err := os.WriteFile(settings, []byte(strings.Join(acquire, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	r.fetch(t, "mmdebstrap", "--mode=root", "--variant=apt", "--include=mount", "--skip=cleanup/apt", "--aptopt="+settings, "bookworm", r.dir, mirror[0])
	return r
}

// fetch runs a command that makes the root from packages. It is tried again, from the start: a mirror that does not answer for a
// moment says nothing of this package.
func (r root) fetch(t *testing.T, name string, args ...string) {
	t.Helper()
	for try := 1; ; try++ {
		run(t, "rm", "-rf", "--one-file-system", r.dir)
		out, err := command(t, name, args...).CombinedOutput()
		switch {
		case err == nil:
			return
		case try < 3:
			t.Logf("%s, try %d: %v\n%s", name, try, err, out)
		case bytes.Contains(out, []byte("apt-get update")):
			t.Skipf("no packages of Debian to be had: %s: %v\n%s", name, err, out)
		default:
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
	}
}

func (r root) path(name string) string { return filepath.Join(r.dir, name) }

func (r root) put(t *testing.T, file, name string) {
	t.Helper()
	if err := os.WriteFile(r.path(name), read(t, file), 0o644); err != nil {
		t.Fatal(err)
	}
}

// edit adds to the end of a file.
func (r root) edit(t *testing.T, name, more string) {
	t.Helper()
	if err := os.WriteFile(r.path(name), append(read(t, r.path(name)), more...), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r root) exists(t *testing.T, want bool, name string) {
	t.Helper()
	_, err := os.Lstat(r.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if got := err == nil; got != want {
		t.Errorf("%s: there is %t, want %t", name, got, want)
	}
}

// online runs a script in the root, with the network of this machine.
func (r root) online(t *testing.T, script string) string {
	t.Helper()
	return run(t, "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "testdata/enter.sh", r.dir, "bash", "-c", script)
}

// offline runs a script in the root, with loopback for a network.
func (r root) offline(t *testing.T, script string) string {
	t.Helper()
	cmd := command(t, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "sh", "testdata/enter.sh", r.dir, "bash", "-euc", script)
	cmd.Env = append(os.Environ(), "LOOPBACK=yes")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, out.String(), errs.String())
	}
	return out.String()
}

// machine is a root whose systemd runs.
type machine struct{ pid string }

// boot runs the root's systemd until the test ends.
func boot(t *testing.T, r root) machine {
	t.Helper()
	pid := filepath.Join(t.TempDir(), "pid")
	cmd := command(t, "unshare", "--mount", "sh", "testdata/boot.sh", r.dir)
	cmd.Env = append(os.Environ(), "PIDFILE="+pid)
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // what it said is read where it is missed
	}()
	var m machine
	t.Cleanup(func() {
		if m.pid != "" {
			_ = m.command(t, "systemctl poweroff --force --force").Run() // the end of the machine may be that of the command
		}
		<-ended
	})
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-ended:
			t.Skipf("systemd does not run here:\n%s", console.String())
		case <-tick.C:
		}
		id, err := os.ReadFile(pid)
		if err != nil || len(id) == 0 {
			continue
		}
		m = machine{strings.TrimSpace(string(id))}
		state, _ := command(t, "nsenter", "--target", m.pid, "--all", "systemctl", "is-system-running", "--wait").Output()
		if s := strings.TrimSpace(string(state)); s == "running" || s == "degraded" {
			return m
		}
	}
}

// command is a script to be run on the machine.
func (m machine) command(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	return command(t, "nsenter", "--target", m.pid, "--all", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "bash", "-euc", script)
}

// run runs a script on the machine.
func (m machine) run(t *testing.T, script string) string {
	t.Helper()
	cmd := m.command(t, script)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		told, _ := command(t, "nsenter", "--target", m.pid, "--all", "journalctl", "--no-pager", "--lines", "50").CombinedOutput()
		t.Fatalf("%s: %v\n%s%s\n%s", script, err, out.String(), errs.String(), told)
	}
	return out.String()
}
