package devices

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace runs a test on a machine of its own, with two links whose neighbours are set by hand. It needs root.
func inNamespace(t *testing.T, test func(t *testing.T, one, two int)) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ip (iproute2) is not installed")
		}
		t.Skip("ip (iproute2) is not installed")
	}
	done := make(chan struct{})
	var refused error
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and the namespace with both
		if refused = unix.Unshare(unix.CLONE_NEWNET); refused != nil {
			return
		}
		for _, command := range []string{
			"link add dev1 type veth peer name dev1p", "link add dev2 type veth peer name dev2p",
			"link set dev1 up", "link set dev1p up", "link set dev2 up", "link set dev2p up",
			"addr add 10.0.0.1/24 dev dev1", "addr add 2001:db8:1::1/64 dev dev1 nodad", "addr add 10.0.2.1/24 dev dev2",
			"neigh add 10.0.0.2 lladdr 00:16:3e:00:00:02 dev dev1 nud reachable",
			"neigh add 10.0.0.3 lladdr 00:16:3e:00:00:03 dev dev1 nud stale",
			"neigh add 10.0.0.4 lladdr 00:16:3e:00:00:04 dev dev1 nud permanent",
			"neigh add 10.0.0.5 lladdr 00:16:3e:00:00:05 dev dev1 nud noarp",
			"neigh add 10.0.0.6 lladdr 00:16:3e:00:00:06 dev dev1 nud delay",
			"neigh add 10.0.0.7 dev dev1 nud failed",
			"neigh add 10.0.0.8 dev dev1 nud incomplete",
			"neigh add proxy 10.0.0.9 dev dev1",
			"neigh add 2001:db8:1::2 lladdr 00:16:3e:00:00:02 dev dev1 nud stale",
			"neigh add 2001:db8:1::dead lladdr 00:16:3e:00:00:02 dev dev1 nud reachable",
			"neigh add fe80::2 lladdr 00:16:3e:00:00:12 dev dev1 nud permanent",
			"neigh add fe80::2 lladdr 00:16:3e:00:00:22 dev dev2 nud permanent",
		} {
			if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(command)...).CombinedOutput(); err != nil {
				t.Errorf("ip %s: %v: %s", command, err, out)
				return
			}
		}
		var index [2]int
		for i, name := range []string{"dev1", "dev2"} {
			link, err := net.InterfaceByName(name)
			if err != nil {
				t.Error(err)
				return
			}
			index[i] = link.Index
		}
		test(t, index[0], index[1])
	}()
	<-done
	if refused != nil {
		t.Skip("no network of its own for this test: ", refused)
	}
}

func TestKernel(t *testing.T) {
	t.Parallel()
	inNamespace(t, func(t *testing.T, one, two int) {
		t.Helper()
		for name, kernel := range map[string]*neighbourTable{"one entry": {}, "the whole table, of an old kernel": {whole: true}} {
			defer kernel.close()
			for _, tt := range []struct {
				addr string
				link int
				want string
			}{
				{"10.0.0.2", one, "00:16:3e:00:00:02"},
				{"10.0.0.3", one, "00:16:3e:00:00:03"},
				{"10.0.0.4", one, "00:16:3e:00:00:04"},
				{"10.0.0.5", one, ""},
				{"10.0.0.6", one, "00:16:3e:00:00:06"},
				{"10.0.0.7", one, ""},
				{"10.0.0.8", one, ""},
				{"10.0.0.9", one, ""},  // we answer for it
				{"10.0.0.1", one, ""},  // our own
				{"10.0.0.10", one, ""}, // nobody
				{"10.0.0.2", two, ""},
				{"2001:db8:1::2", one, "00:16:3e:00:00:02"},
				{"2001:db8:1::dead", one, "00:16:3e:00:00:02"},
				{"fe80::2", one, "00:16:3e:00:00:12"},
				{"fe80::2", two, "00:16:3e:00:00:22"},
				{"10.0.0.2", 9999, ""}, // a link that has gone
			} {
				mac, err := kernel.ask(netip.MustParseAddr(tt.addr), tt.link)
				if got := textOf(mac); got != tt.want || err != nil {
					t.Errorf("%s: %s on %d has %q, %v, want %q", name, tt.addr, tt.link, got, err, tt.want)
				}
			}
			if strings.HasPrefix(name, "one") == kernel.whole {
				t.Errorf("%s: whole is %v", name, kernel.whole)
			}
		}
	})
}

// A connection that was lost is opened anew.
func TestKernelAgain(t *testing.T) {
	t.Parallel()
	inNamespace(t, func(t *testing.T, one, _ int) {
		t.Helper()
		kernel := &neighbourTable{}
		defer kernel.close()
		addr := netip.MustParseAddr("10.0.0.2")
		for range 2 {
			if mac, err := kernel.ask(addr, one); textOf(mac) == "" || err != nil {
				t.Fatalf("%v, %v", mac, err)
			}
			_ = kernel.conn.Close()
			if _, err := kernel.ask(addr, one); err == nil {
				t.Error("an answer from a connection that is closed")
			}
		}
	})
}

func BenchmarkKernel(b *testing.B) {
	kernel := &neighbourTable{}
	defer kernel.close()
	addr := netip.MustParseAddr("127.0.0.1") // which nobody is a neighbour of, on the first link
	for b.Loop() {
		if _, err := kernel.ask(addr, 1); err != nil {
			b.Fatal(err)
		}
	}
}
