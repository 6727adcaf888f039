package proxy

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// An address of this machine counts as its own from the moment on that it has it, and until it has it no more.
func TestOwnAddressesChange(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ip"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ip (iproute2) is not installed")
		}
		t.Skip("ip (iproute2) is not installed")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and the network namespace with both
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		defer close(done)
		i := newInterfaces()
		for _, addr := range []string{"198.51.100.7", "2001:db8::7"} {
			for _, step := range []struct {
				command string
				own     bool
			}{{"link set lo up", false}, {"addr add " + addr + " dev lo", true}, {"addr del " + addr + " dev lo", false}, {"addr add " + addr + " dev lo", true}} {
				if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(step.command)...).CombinedOutput(); err != nil {
					t.Errorf("ip %s: %v: %s", step.command, err, out)
				}
				if i.own(netip.MustParseAddr(addr)) != step.own {
					t.Errorf("after ip %s it is its own: %v", step.command, !step.own)
				}
			}
		}
	}()
	if err := <-done; err != nil {
		t.Skip("no network namespace may be made here: ", err)
	}
}
