package devices

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// reading is a reader of one file, whose leases have an hour to go.
type reading struct {
	*leaseReader
	t    *testing.T
	file string
	logs *observer.ObservedLogs
}

func newReading(t *testing.T) *reading {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	file := filepath.Join(t.TempDir(), "leases")
	return &reading{newLeaseReader([]string{file}, zap.New(core)), t, file, logs}
}

// write writes a file, so long ago that it is believed to be whole; an empty text removes it.
func (r *reading) write(suffix, text string) {
	r.t.Helper()
	if text == "" {
		if err := os.Remove(r.file + suffix); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(r.file+suffix, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.age(suffix, time.Minute)
}

func (r *reading) age(suffix string, by time.Duration) {
	r.t.Helper()
	at := time.Now().Add(-by)
	if err := os.Chtimes(r.file+suffix, at, at); err != nil {
		r.t.Fatal(err)
	}
}

// has compares what is read with the names of 10.0.0.1, 10.0.0.2 and so on, "-" for one that has no lease.
func (r *reading) has(want ...string) {
	r.t.Helper()
	b := r.read()
	for i, name := range want {
		l, ok := b.leases[netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})]
		if !ok {
			l.name = "-"
		}
		if l.name != name {
			r.t.Errorf("10.0.0.%d is %q, want %q", i+1, l.name, name)
		}
	}
}

// logged takes what was logged meanwhile.
func (r *reading) logged(want ...string) {
	r.t.Helper()
	var got []string
	for _, e := range r.logs.TakeAll() {
		got = append(got, e.Message)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		r.t.Errorf("logged %q, want %q", got, want)
	}
}

func inAnHour() int64 { return time.Now().Add(time.Hour).Unix() }

// dnsmasq makes the lines of leases of 10.0.0.1 and so on.
func dnsmasq(names ...string) string {
	var b strings.Builder
	for i, name := range names {
		fmt.Fprintf(&b, "%d 00:16:3e:00:00:%02x 10.0.0.%d %s *\n", inAnHour(), i+1, i+1, name)
	}
	return b.String()
}

// kea makes a file with the lines of leases, each "10.0.0.1 name lifetime".
func kea(lines ...string) string {
	b := "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n"
	for _, l := range lines {
		var addr, name, lifetime string
		if _, err := fmt.Sscan(l, &addr, &name, &lifetime); err != nil {
			panic(err) // a mistake of the test
		}
		b += fmt.Sprintf("%s,00:16:3e:aa:bb:cc,,%s,%d,1,0,0,%s,0,\n", addr, lifetime, inAnHour(), name)
	}
	return b
}

// Kea's cleanup, step by step, as kea-lfc and its server do it. No step loses a lease.
func TestKeaCleanup(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	r.write("", kea("10.0.0.1 a 3600", "10.0.0.2 b 3600", "10.0.0.3 c 3600", "10.0.0.1 a2 3600"))
	r.has("a2", "b", "c", "-")
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(r.file+from, r.file+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("", ".1")
	r.write("", kea())
	r.has("a2", "b", "c", "-")
	r.write("", kea("10.0.0.4 d 3600", "10.0.0.2 b 0"))
	r.has("a2", "-", "c", "d")
	r.write(".output", kea("10.0.0.2 b 3600", "10.0.0.3 c 3600", "10.0.0.1 a2 3600"))
	r.has("a2", "-", "c", "d")
	rename(".output", ".completed")
	r.has("a2", "-", "c", "d")
	r.write(".1", "")
	r.has("a2", "-", "c", "d")
	rename(".completed", ".2")
	r.has("a2", "-", "c", "d")
	rename("", ".1") // the next cleanup, in which the deletion of b is older than what is appended
	r.write("", kea("10.0.0.2 b2 3600"))
	r.has("a2", "b2", "c", "d")
	r.logged()
}

// Files of such names beside dnsmasq's are none of its own.
func TestDnsmasqHasOneFile(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	r.write("", dnsmasq("a"))
	r.write(".1", dnsmasq("b", "c"))
	r.has("a", "-")
	r.logged()
}

func TestChanges(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	r.has("-")
	r.logged("a lease file cannot be read: its leases are not known")
	if r.changed() {
		t.Error("nothing has changed")
	}
	r.has("-")
	r.logged()

	r.write("", dnsmasq("a"))
	if !r.changed() {
		t.Error("a new file is not seen")
	}
	r.has("a", "-")
	r.logged("the lease file can be read again")
	if r.changed() {
		t.Error("nothing has changed")
	}

	r.write("", dnsmasq("b"))
	r.age("", 30*time.Second) // of the same size
	if !r.changed() {
		t.Error("another file of the same size is not seen")
	}
	r.has("b")

	// One that has just been written is read once more.
	r.write("", dnsmasq("a", "b"))
	r.age("", 0)
	r.has("a", "b")
	r.age("", 0)
	if r.print = strings.Replace(r.fingerprint(), "false", "true", 1); r.changed() {
		t.Error("it is as young as before")
	}
	r.age("", 2*settling)
	if !r.changed() {
		t.Error("it is not read again, once it is whole")
	}
	r.logged()

	r.write("", dnsmasq("a")+"nonsense\nmore of it\n")
	r.has("a", "-")
	skipped := r.logs.All()
	if len(skipped) != 1 || skipped[0].ContextMap()["lines_skipped"] != int64(2) || skipped[0].ContextMap()["first"] != r.file+":2" {
		t.Errorf("logged %+v", skipped)
	}
	r.logged("lease files hold what cannot be read, or more than is kept")
	r.has("a", "-")
	r.logged()
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		make func(t *testing.T, file string) error
		want string
	}{
		"directory": {func(_ *testing.T, file string) error { return os.Mkdir(file, 0o700) }, "not a regular file"},
		"large": {func(_ *testing.T, file string) error {
			f, err := os.Create(file)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Truncate(maxFile + 1)
		}, "more than the 67108864"},
		"forbidden": {func(t *testing.T, file string) error {
			t.Helper()
			if os.Geteuid() == 0 || runtime.GOOS == "windows" {
				t.Skip("root may read everything")
			}
			return os.WriteFile(file, []byte(dnsmasq("a")), 0)
		}, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReading(t)
			if err := tt.make(t, r.file); err != nil {
				t.Fatal(err)
			}
			r.has("-")
			logs := r.logs.All()
			if len(logs) != 1 || !strings.Contains(fmt.Sprint(logs[0].ContextMap()["error"]), tt.want) || logs[0].ContextMap()["hint"] == "" {
				t.Errorf("logged %+v, want %s", logs, tt.want)
			}
			if !r.changed() {
				t.Error("it is not tried again, though its mode may have changed")
			}
		})
	}
}

func TestManyLeases(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	var b strings.Builder
	addr := netip.MustParseAddr("10.0.0.1")
	for range maxLeases + 3 {
		fmt.Fprintf(&b, "%d 00:16:3e:aa:bb:cc %v a *\n", inAnHour(), addr)
		addr = addr.Next()
	}
	fmt.Fprintf(&b, "%d 00:16:3e:aa:bb:cc 10.0.0.1 b *\n", inAnHour())
	r.write("", b.String())
	if book := r.read(); len(book.leases) != maxLeases || len(book.names) != 1 {
		t.Errorf("%d leases, %d names", len(book.leases), len(book.names))
	}
	r.has("b", "a")
	if logs := r.logs.All(); len(logs) != 1 || logs[0].ContextMap()["leases_over_the_limit"] != int64(3) {
		t.Errorf("logged %+v", logs)
	}
	if r.took = time.Second; r.pause() != share*time.Second {
		t.Errorf("a pause of %v after a second of reading", r.pause())
	}
}

// The table takes up what changes, by itself.
func TestRun(t *testing.T) {
	t.Parallel()
	r := newReading(t)
	synctest.Test(t, func(t *testing.T) {
		table := New(Config{Leases: []string{r.file}})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go table.Run(ctx)
		for _, name := range []string{"a", "b"} {
			r.write("", dnsmasq(name))
			time.Sleep(lookEvery)
			synctest.Wait()
			if mac, got := table.Lookup(netip.MustParseAddr("10.0.0.1")); mac != "00:16:3e:00:00:01" || got != name {
				t.Errorf("got %q, %q, want the name %q", mac, got, name)
			}
		}
		time.Sleep(time.Hour)
		if mac, name := table.Lookup(netip.MustParseAddr("10.0.0.1")); mac+name != "" {
			t.Errorf("%q, %q is known of a lease that is over", mac, name)
		}
	})
}
