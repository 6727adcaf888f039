package divert_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// space is a network namespace: a machine with nothing but a network. It lives as long as the thread that it was made on.
type space struct {
	path  string // of it, for ip
	calls chan func()
}

// newSpace makes one, with its loopback interface up. Where that is not allowed the test is skipped.
func newSpace(t *testing.T) *space {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces are made by root")
	}
	for _, name := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatal(name + " is not installed")
		}
		t.Skip(name + " is not installed (of iproute2 and nftables)")
	}
	s := &space{calls: make(chan func())}
	made := make(chan error)
	go s.live(made)
	if err := <-made; errors.Is(err, unix.EPERM) {
		t.Skip("no network namespaces may be made here")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(s.calls) })
	s.run(t, "ip link set lo up")
	return s
}

// live runs what is called on a thread that ends with the space.
func (s *space) live(made chan<- error) {
	runtime.LockOSThread() // and never unlocked
	s.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
	made <- unix.Unshare(unix.CLONE_NEWNET)
	for call := range s.calls {
		call()
	}
}

// in calls f on the thread of the space: the sockets that it opens are the space's, and stay so.
func (s *space) in(f func()) {
	done := make(chan struct{})
	s.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// try runs a command in the space.
func (s *space) try(stdin string, command ...string) (out string, err error) {
	s.in(func() {
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		var text []byte
		text, err = cmd.CombinedOutput()
		out = string(text)
		if err != nil {
			err = fmt.Errorf("%v: %w\n%s", cmd, err, text)
		}
	})
	return out, err
}

// run runs commands, one a line, that must succeed.
func (s *space) run(t *testing.T, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if words := strings.Fields(line); len(words) > 0 {
			if _, err := s.try("", words...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// set sets what is below /proc/sys/net, which every thread sees of its own space.
func (s *space) set(t *testing.T, name, value string) {
	t.Helper()
	var err error
	s.in(func() { err = os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) })
	if err != nil {
		t.Fatal(err)
	}
}

// load gives a text to nft.
func (s *space) load(t *testing.T, text string, flags ...string) {
	t.Helper()
	if _, err := s.try(text, append(append([]string{"nft"}, flags...), "-f", "-")...); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// ruleset is what is loaded.
func (s *space) ruleset(t *testing.T) string {
	t.Helper()
	out, err := s.try("", "nft", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	return out
}
