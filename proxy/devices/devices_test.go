package devices

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

var (
	laptop  = netip.MustParseAddr("2001:db8:1::10")
	phone   = netip.MustParseAddr("10.0.0.7")
	abroad  = netip.MustParseAddr("10.9.0.9")
	macA    = []byte{0, 0x16, 0x3e, 0xaa, 0xbb, 0xcc}
	macB    = []byte{0, 0x16, 0x3e, 0xaa, 0xbb, 0xcd}
	macText = "00:16:3e:aa:bb:cc"
)

// fakeKernel answers from a table by address and link, and counts the questions.
type fakeKernel struct {
	mu    sync.Mutex
	macs  map[string][]byte
	err   error
	asked atomic.Int64
}

func (k *fakeKernel) set(addr netip.Addr, link int, mac []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.macs == nil {
		k.macs = map[string][]byte{}
	}
	k.macs[fmt.Sprint(addr, link)] = mac
}

func (k *fakeKernel) ask(addr netip.Addr, link int) ([]byte, error) {
	k.asked.Add(1)
	runtime.Gosched() // others ask meanwhile
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.macs[fmt.Sprint(addr, link)], k.err
}

func (k *fakeKernel) close() {}

// newFake is a table with a kernel of its own, and two links: all but abroad are neighbours on both.
func newFake(log *zap.Logger) (*Table, *fakeKernel) {
	k := &fakeKernel{}
	t := New(Config{Log: log, Links: func(addr netip.Addr) []int {
		if addr == abroad {
			return nil
		}
		return []int{1, 2}
	}})
	t.kernel = k
	return t, k
}

func (k *fakeKernel) checkAsked(t *testing.T, want int64) {
	t.Helper()
	if got := k.asked.Swap(0); got != want {
		t.Errorf("the kernel was asked %d times, want %d", got, want)
	}
}

func checkMAC(t *testing.T, table *Table, addr netip.Addr, want string) {
	t.Helper()
	if mac, _ := table.Lookup(addr); mac != want {
		t.Errorf("%v has %q, want %q", addr, mac, want)
	}
}

// What was found out is believed for a while, and then asked for anew.
func TestAges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table, k := newFake(nil)
		k.set(laptop, 2, macA)
		checkMAC(t, table, laptop, macText)
		k.checkAsked(t, 2)
		k.set(laptop, 2, macB)
		time.Sleep(foundAge - 1)
		checkMAC(t, table, laptop, macText)
		k.checkAsked(t, 0)
		time.Sleep(time.Nanosecond)
		checkMAC(t, table, laptop, "00:16:3e:aa:bb:cd")
		k.checkAsked(t, 2)

		checkMAC(t, table, phone, "")
		k.set(phone, 1, macA)
		time.Sleep(lostAge - 1)
		checkMAC(t, table, phone, "")
		k.checkAsked(t, 2)
		time.Sleep(time.Nanosecond)
		checkMAC(t, table, phone, macText)
		k.checkAsked(t, 2)
	})
}

// Many who ask at once cost one question.
func TestOneQuestionAtATime(t *testing.T) {
	t.Parallel()
	table, k := newFake(nil)
	k.set(phone, 1, macA)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { checkMAC(t, table, netip.MustParseAddr("::ffff:10.0.0.7"), macText) })
	}
	all.Wait()
	k.checkAsked(t, 2)
}

func TestWhoIsNoNeighbour(t *testing.T) {
	t.Parallel()
	table, k := newFake(nil)
	k.set(abroad, 1, macA)
	checkMAC(t, table, abroad, "")
	checkMAC(t, table, netip.Addr{}, "")
	k.checkAsked(t, 0)
	checkMAC(t, New(Config{}), laptop, "")

	for name, mac := range map[string][]byte{
		"none": {}, "zero": make([]byte, 6), "broadcast": {255, 255, 255, 255, 255, 255}, "group": {1, 0, 0x5e, 0, 0, 1},
		"InfiniBand": make([]byte, 20), "IPv4, of a tunnel": {10, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, k := newFake(nil)
			k.set(phone, 1, mac)
			checkMAC(t, table, phone, "")
		})
	}
}

// A link-local address may be that of two devices on two links: then it tells neither.
func TestTwoLinks(t *testing.T) {
	t.Parallel()
	table, k := newFake(nil)
	local := netip.MustParseAddr("fe80::1%eth0")
	k.set(local.WithZone(""), 1, macA)
	k.set(local.WithZone(""), 2, macA)
	checkMAC(t, table, local, macText)

	table, k = newFake(nil)
	k.set(local.WithZone(""), 1, macA)
	k.set(local.WithZone(""), 2, macB)
	checkMAC(t, table, local, "")
}

// However many addresses come, no more than so many are remembered.
func TestManyAddresses(t *testing.T) {
	t.Parallel()
	table, _ := newFake(nil)
	for addr := laptop; table.known.Len() < maxKnown; addr = addr.Next() {
		table.Lookup(addr)
	}
	table.Lookup(phone)
	if n := table.known.Len(); n != maxKnown {
		t.Errorf("%d are remembered", n)
	}
}

func TestSilentKernel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		table, k := newFake(zap.New(core))
		k.err = errors.New("operation not permitted")
		for range 3 {
			checkMAC(t, table, phone, "")
			time.Sleep(lostAge)
		}
		if n := logs.FilterLevelExact(zapcore.WarnLevel).Len(); n != 1 || logs.Len() != 1 {
			t.Errorf("%d lines in the log, want 1: %v", n, logs.All())
		}
		k.err = nil
		k.set(phone, 2, macA)
		checkMAC(t, table, phone, macText)
		if n := logs.Len(); n != 2 {
			t.Errorf("%d lines in the log, want one more", n)
		}
	})
}

// Where the neighbours and the leases disagree, the former tell which device it is, and the leases how it is called.
func TestDevice(t *testing.T) {
	t.Parallel()
	later := now.Add(time.Hour).Unix()
	b := newBook(map[netip.Addr]lease{
		netip.MustParseAddr("10.0.0.1"):       {mac: "00:16:3e:00:00:01", name: "one", until: later},
		netip.MustParseAddr("10.0.0.2"):       {mac: "00:16:3e:00:00:02", until: later},
		netip.MustParseAddr("10.0.0.3"):       {name: "three", until: later},
		netip.MustParseAddr("10.0.0.4"):       {mac: "00:16:3e:00:00:04", name: "four", until: now.Unix()},
		netip.MustParseAddr("10.0.0.5"):       {mac: "00:16:3e:00:00:05", name: "z", until: later},
		netip.MustParseAddr("10.0.0.6"):       {mac: "00:16:3e:00:00:05", name: "a", until: later + 1},
		netip.MustParseAddr("2001:db8:1::2"):  {mac: "00:16:3e:00:00:02", name: "two-v6", until: later - 1},
		netip.MustParseAddr("2001:db8:1::22"): {mac: "00:16:3e:00:00:02", name: "two", until: later},
	})
	for _, tt := range []struct{ addr, neighbour, mac, name string }{
		{"10.0.0.1", "00:16:3e:00:00:01", "00:16:3e:00:00:01", "one"},
		{"10.0.0.1", "", "00:16:3e:00:00:01", "one"},                  // behind a router
		{"10.0.0.1", "00:16:3e:00:00:09", "00:16:3e:00:00:09", ""},    // somebody took its address
		{"10.0.0.1", "00:16:3e:00:00:02", "00:16:3e:00:00:02", "two"}, // somebody who has a name
		{"10.0.0.2", "", "00:16:3e:00:00:02", "two"},                  // by another lease of the device, the one that ends last
		{"10.0.0.3", "", "", "three"},
		{"10.0.0.3", "00:16:3e:00:00:03", "00:16:3e:00:00:03", "three"},
		{"10.0.0.4", "", "", ""}, // it has ended
		{"10.0.0.4", "00:16:3e:00:00:04", "00:16:3e:00:00:04", ""},
		{"2001:db8:1::77", "00:16:3e:00:00:05", "00:16:3e:00:00:05", "a"}, // an address without a lease
		{"2001:db8:1::77", "", "", ""},
		{"10.0.0.5", "", "00:16:3e:00:00:05", "z"},
	} {
		mac, name := b.device(netip.MustParseAddr(tt.addr), tt.neighbour, now)
		if mac != tt.mac || name != tt.name {
			t.Errorf("%s, neighbour %q: got %q, %q, want %q, %q", tt.addr, tt.neighbour, mac, name, tt.mac, tt.name)
		}
	}
}

// The second look-up of an address costs no memory.
func TestLookupAllocates(t *testing.T) {
	table, k := newFake(nil)
	k.set(laptop, 1, macA)
	if n := testing.AllocsPerRun(100, func() { table.Lookup(laptop) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	table, k := newFake(nil)
	k.set(laptop, 1, macA)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			table.Lookup(laptop)
		}
	})
}
