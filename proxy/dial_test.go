package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gracegate/gracegate/policy/host"
)

// fakeDNS is a DNS server on a loopback socket. Each name has a list of answers; the last one stays. An answer is addresses
// with blanks between, "nxdomain", "servfail", or "silence". A name without a list does not exist.
type fakeDNS struct {
	addr    string
	mu      sync.Mutex
	answers map[string][]string
	asked   []string // names, once for each question of type A
}

func newFakeDNS(t *testing.T, answers map[string][]string) *fakeDNS {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeDNS{addr: conn.LocalAddr().String(), answers: answers}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := f.reply(t, buf[:n]); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return f
}

func (f *fakeDNS) reply(t *testing.T, query []byte) []byte {
	t.Helper()
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		t.Errorf("query: %v", err)
		return nil
	}
	q, err := p.Question()
	if err != nil {
		t.Errorf("question: %v", err)
		return nil
	}
	answer := f.answer(q)
	if answer == "silence" {
		return nil
	}
	head.Response, head.RecursionAvailable, head.RCode = true, true, dnsmessage.RCodeSuccess
	switch answer {
	case "nxdomain":
		head.RCode = dnsmessage.RCodeNameError
	case "servfail":
		head.RCode = dnsmessage.RCodeServerFailure
	}
	b := dnsmessage.NewBuilder(nil, head)
	must := func(err error) {
		if err != nil {
			t.Errorf("answer: %v", err)
		}
	}
	must(b.StartQuestions())
	must(b.Question(q))
	must(b.StartAnswers())
	if head.RCode == dnsmessage.RCodeSuccess {
		rr := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
		for s := range strings.FieldsSeq(answer) {
			switch a := netip.MustParseAddr(s); {
			case a.Is4() && q.Type == dnsmessage.TypeA:
				must(b.AResource(rr, dnsmessage.AResource{A: a.As4()}))
			case a.Is6() && q.Type == dnsmessage.TypeAAAA:
				must(b.AAAAResource(rr, dnsmessage.AAAAResource{AAAA: a.As16()}))
			}
		}
	}
	reply, err := b.Finish()
	must(err)
	return reply
}

// answer returns what is said about a name now. A question for A moves on to the next answer, with AAAA following it, as
// both are asked for one look-up.
func (f *fakeDNS) answer(q dnsmessage.Question) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := strings.TrimSuffix(q.Name.String(), ".")
	times := 0
	for _, n := range f.asked {
		if n == name {
			times++
		}
	}
	list := f.answers[name]
	if q.Type == dnsmessage.TypeA {
		f.asked = append(f.asked, name)
	}
	if len(list) == 0 {
		return "nxdomain"
	}
	return list[min(times, len(list)-1)]
}

func (f *fakeDNS) count(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, a := range f.asked {
		if a == name {
			n++
		}
	}
	return n
}

// listen opens a listener and counts who comes.
type counted struct {
	at    netip.AddrPort
	mu    sync.Mutex
	came  int
	done  chan struct{}
	lower net.Listener
}

func listen(t *testing.T, at string) *counted {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{at: netip.MustParseAddrPort(l.Addr().String()), done: make(chan struct{}), lower: l}
	go func() {
		defer close(c.done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.came++
			c.mu.Unlock()
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { c.end() })
	return c
}

// end stops listening and returns how many connections came.
func (c *counted) end() int {
	_ = c.lower.Close()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.came
}

// loopbackGuard stands in for a guard in the wide world: 127.0.0.1 is its one public address.
func loopbackGuard() *Guard {
	return NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, nobody)
}

// dial dials and closes, and returns the error.
func dial(t *testing.T, d *Dialer, name string, port uint16) error {
	t.Helper()
	conn, err := d.Dial(t.Context(), host.MustParse(name), port)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func TestDialRefusesWhatANameLeadsTo(t *testing.T) {
	t.Parallel()
	addrs := map[string]string{
		"loopback":     "127.0.0.2",
		"private":      "10.0.0.1",
		"link-local":   "169.254.1.1",
		"metadata":     "169.254.169.254",
		"shared":       "100.64.0.1",
		"unspecified":  "0.0.0.0",
		"protocol":     "192.0.0.1",
		"benchmark":    "198.18.0.1",
		"reserved":     "240.0.0.1",
		"multicast":    "224.0.0.1",
		"broadcast":    "255.255.255.255",
		"unique-local": "fd00::1",
		"site-local":   "fec0::1",
		"compatible":   "::7f00:1",
	}
	answers := map[string][]string{
		"mapped.test": {"::ffff:10.0.0.1"},
		"nat64.test":  {"64:ff9b::a00:1"},
		"6to4.test":   {"2002:a00:1::1"},
		"teredo.test": {"2001:0:808:808::f5ff:fffe"},
		"both.test":   {"10.0.0.1 fd00::1"},
	}
	want := map[string]string{
		"mapped.test": "private", "nat64.test": "private", "6to4.test": "private", "teredo.test": "private", "both.test": "",
	}
	for class, addr := range addrs {
		answers[class+".test"] = []string{addr}
		want[class+".test"] = class
		want[addr] = class
	}
	d := NewDialer(DialConfig{Resolver: newFakeDNS(t, answers).addr, Guard: NewGuard(nil, nobody), Timeout: 5 * time.Second})
	for name, class := range want {
		err := dial(t, d, name, 80)
		var refused *GuardError
		if !errors.As(err, &refused) || class != "" && refused.Class != class {
			t.Errorf("%s: %v, want it guarded as %q", name, err, class)
			continue
		}
		if strings.Contains(err.Error(), refused.Addr.String()) {
			t.Errorf("%s: the text for the client, %q, tells the address", name, err)
		}
	}
}

func TestDialTriesOnlyWhatPassed(t *testing.T) {
	t.Parallel()
	public := listen(t, "127.0.0.1:0")
	inner := listen(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), public.at.Port()).String())
	dns := newFakeDNS(t, map[string][]string{"mixed.test": {"127.0.0.2 127.0.0.1 10.0.0.1 ::1"}})
	d := NewDialer(DialConfig{Resolver: dns.addr, Guard: loopbackGuard(), Timeout: 5 * time.Second})
	conn, err := d.Dial(t.Context(), host.MustParse("mixed.test"), public.at.Port())
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().String(); got != public.at.String() {
		t.Errorf("connected to %s", got)
	}
	_ = conn.Close()
	if n := dns.count("mixed.test"); n != 1 {
		t.Errorf("the name was looked up %d times", n)
	}
	if n := inner.end(); n != 0 {
		t.Errorf("the guarded address was connected to %d times", n)
	}
}

func TestDialJudgesEachTime(t *testing.T) {
	t.Parallel()
	public := listen(t, "127.0.0.1:0")
	inner := listen(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), public.at.Port()).String())
	dns := newFakeDNS(t, map[string][]string{"rebind.test": {"127.0.0.1", "127.0.0.2", "127.0.0.1"}})
	d := NewDialer(DialConfig{Resolver: dns.addr, Guard: loopbackGuard(), Timeout: 5 * time.Second})
	for i, guarded := range []bool{false, true, false} {
		err := dial(t, d, "rebind.test", public.at.Port())
		var refused *GuardError
		if errors.As(err, &refused) != guarded || !guarded && err != nil {
			t.Errorf("dial %d: %v", i, err)
		}
	}
	if n := inner.end(); n != 0 {
		t.Errorf("the guarded address was connected to %d times", n)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	own := listen(t, "127.0.0.1:0")
	d := NewDialer(DialConfig{Guard: loopbackGuard(), Refused: []netip.AddrPort{own.at}})
	var asked []string
	d.lookup = func(_ context.Context, network, name string) ([]netip.Addr, error) {
		asked = append(asked, network+" "+name)
		return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, nil
	}
	var refused *GuardError
	if err := dial(t, d, "host", own.at.Port()); !errors.As(err, &refused) || refused.Class != "listener" {
		t.Errorf("a listener by its mapped address: %v", err)
	}
	if !slices.Equal(asked, []string{"ip host."}) {
		t.Errorf("asked for %q, which a search domain could make another name", asked)
	}
}

func TestDialOverride(t *testing.T) {
	t.Parallel()
	plain, exact := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	own := listen(t, "127.0.0.1:0")
	name := host.MustParse("updates.test")
	d := NewDialer(DialConfig{
		Resolver: newFakeDNS(t, nil).addr,
		Guard:    NewGuard(nil, nobody),
		Timeout:  5 * time.Second,
		Hosts: []HostOverride{
			{Name: name, Address: plain.at},
			{Name: name, Port: 8443, Address: netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), exact.at.Port())},
			{Name: name, Port: 8443, Address: plain.at},
			{Name: host.MustParse("10.0.0.1"), Address: plain.at},
			{Name: host.MustParse("self.test"), Address: own.at},
			{Name: host.MustParse("only.test"), Port: 80, Address: plain.at},
		},
		Refused: []netip.AddrPort{own.at},
	})
	for _, c := range []struct {
		name string
		port uint16
		want netip.AddrPort
	}{
		{"updates.test", 80, plain.at},
		{"updates.test", 443, plain.at},
		{"updates.test", 8443, exact.at},
		{"10.0.0.1", 80, plain.at},
		{"only.test", 80, plain.at},
	} {
		conn, err := d.Dial(t.Context(), host.MustParse(c.name), c.port)
		if err != nil {
			t.Errorf("%s:%d: %v", c.name, c.port, err)
			continue
		}
		if got := conn.RemoteAddr().String(); got != c.want.String() {
			t.Errorf("%s:%d leads to %s, want %s", c.name, c.port, got, c.want)
		}
		_ = conn.Close()
	}
	var refused *GuardError
	if err := dial(t, d, "self.test", 80); !errors.As(err, &refused) || refused.Class != "listener" || refused.Hint() != "" {
		t.Errorf("a listener of the gateway as an override: %v", err)
	}
	var failed *DialError
	if err := dial(t, d, "only.test", 81); !errors.As(err, &failed) || failed.Reason != "dns" {
		t.Errorf("a port without override: %v", err)
	}
	if err := dial(t, d, "below.updates.test", 80); !errors.As(err, &failed) || failed.Reason != "dns" {
		t.Errorf("a name below the one overridden: %v", err)
	}
}

func TestDialNeverReachesOwnListeners(t *testing.T) {
	t.Parallel()
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("192.0.2.7/32")}
	own := func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.7") }
	for _, c := range []struct{ listener, refused, passes string }{
		{"127.0.0.1:3128", "127.0.0.1:3128 0.0.0.0:3128 [::]:3128 [::ffff:127.0.0.1]:3128 [64:ff9b::7f00:1]:3128", "127.0.0.1:3129 127.0.0.2:3128 192.0.2.7:3128"},
		{"0.0.0.0:3128", "127.0.0.1:3128 127.9.9.9:3128 192.0.2.7:3128 0.0.0.0:3128 [::1]:3128 [64:ff9b::c000:207]:3128", "127.0.0.1:80 192.0.2.8:3128"},
		{"[::]:3128", "127.0.0.1:3128 192.0.2.7:3128 [::1]:3128", "192.0.2.8:3128"},
		{"[::ffff:192.0.2.7]:9128", "192.0.2.7:9128", "192.0.2.7:3128 127.0.0.1:9128"},
	} {
		d := NewDialer(DialConfig{Guard: NewGuard(all, own), Refused: []netip.AddrPort{netip.MustParseAddrPort(c.listener)}})
		for at := range strings.FieldsSeq(c.refused) {
			var refused *GuardError
			if err := d.check(unmap(netip.MustParseAddrPort(at))); !errors.As(err, &refused) || refused.Class != "listener" {
				t.Errorf("listener %s: %s: %v", c.listener, at, err)
			}
		}
		for at := range strings.FieldsSeq(c.passes) {
			if err := d.check(unmap(netip.MustParseAddrPort(at))); err != nil {
				t.Errorf("listener %s: %s: %v", c.listener, at, err)
			}
		}
	}
}

func TestDialErrors(t *testing.T) {
	t.Parallel()
	closed := listen(t, "127.0.0.1:0")
	closed.end()
	dns := newFakeDNS(t, map[string][]string{
		"fails.test":   {"servfail"},
		"empty.test":   {""},
		"refuses.test": {"127.0.0.1"},
		"silent.test":  {"silence"},
	})
	config := DialConfig{Resolver: dns.addr, Guard: loopbackGuard(), Timeout: patience}
	d := NewDialer(config)
	config.Timeout = 200 * time.Millisecond
	hasty := NewDialer(config)
	port := closed.at.Port()
	for _, c := range []struct {
		name, reason, text string
		timeout            bool
	}{
		{"absent.test", "dns", "the name does not exist or has no address", false},
		{"empty.test", "dns", "the name does not exist or has no address", false},
		{"silent.test", "dns", "the name could not be resolved", true},
		{"refuses.test", "refused", "connection refused", false},
		{"127.0.0.1", "refused", "connection refused", false},
	} {
		start, d := time.Now(), d
		if c.timeout {
			d = hasty
		}
		err := dial(t, d, c.name, port)
		var failed *DialError
		if !errors.As(err, &failed) {
			t.Errorf("%s: %v is no DialError", c.name, err)
			continue
		}
		if failed.Reason != c.reason || failed.Timeout() != c.timeout || failed.Error() != host.Join(host.MustParse(c.name), port)+": "+c.text {
			t.Errorf("%s: %q, reason %q, timeout %v", c.name, failed, failed.Reason, failed.Timeout())
		}
		if c.name != "127.0.0.1" && strings.Contains(failed.Error(), "127.0.0.1") {
			t.Errorf("%s: the text for the client, %q, tells an address", c.name, failed)
		}
		if errors.Unwrap(failed) == nil || !strings.HasPrefix(failed.Detail(), failed.Error()+": ") {
			t.Errorf("%s: nothing for the log in %q", c.name, failed.Detail())
		}
		if took := time.Since(start); took > patience {
			t.Errorf("%s: took %v under a limit of 200 ms", c.name, took)
		}
	}
	var failed *DialError
	if err := dial(t, NewDialer(DialConfig{Resolver: dns.addr, Guard: loopbackGuard()}), "fails.test", port); !errors.As(err, &failed) || failed.Reason != "dns" {
		t.Errorf("a failing server: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := d.Dial(gone, host.MustParse("refuses.test"), port); !errors.As(err, &failed) || failed.Reason != "canceled" {
		t.Errorf("the client left: %v", err)
	}
}

func TestDialErrorReasons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		reason string
	}{
		{syscall.ECONNREFUSED, "refused"},
		{syscall.ECONNRESET, "reset"},
		{syscall.ENETUNREACH, "unreachable"},
		{syscall.EHOSTUNREACH, "unreachable"},
		{syscall.ETIMEDOUT, "timeout"},
		{syscall.EMFILE, "other"},
		{&lookupError{&net.DNSError{Err: "x", UnwrapErr: syscall.ECONNREFUSED}}, "dns"},
	} {
		err := dialError(t.Context(), "example.com:443", &net.OpError{Op: "dial", Net: "tcp", Err: c.err})
		var failed *DialError
		if !errors.As(err, &failed) || failed.Reason != c.reason || !errors.Is(err, c.err) || failed.Timeout() != (c.reason == "timeout") {
			t.Errorf("%v: %v, reason %q", c.err, err, failed.Reason)
		}
	}
}

func TestSocketIsJudgedAgain(t *testing.T) {
	t.Parallel()
	judged := netip.MustParseAddrPort("192.0.2.7:443")
	passes := func(netip.AddrPort) error { return nil }
	if err := checkSocket("192.0.2.7:443", judged, passes); err != nil {
		t.Error(err)
	}
	for _, other := range []string{"127.0.0.1:443", "192.0.2.7:444", "updates.test:443"} {
		if err := checkSocket(other, judged, passes); err == nil {
			t.Errorf("a socket for %s passes as %s", other, judged)
		}
	}
	refused := errors.New("no")
	if err := checkSocket("192.0.2.7:443", judged, func(netip.AddrPort) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("the second check is ignored: %v", err)
	}
	// The real thing: a check that changes its mind between the two.
	at := listen(t, "127.0.0.1:0")
	if _, err := connect(t.Context(), at.at, func(netip.AddrPort) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("connected in spite of the second check: %v", err)
	}
	if n := at.end(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestAlternate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                "",
		"1.1.1.1 1.1.1.2":                 "1.1.1.1 1.1.1.2",
		"2003::1 2003::2 2003::3 1.1.1.1": "2003::1 1.1.1.1 2003::2 2003::3",
		"1.1.1.1 2003::1 2003::2 2003::3": "1.1.1.1 2003::1 2003::2 2003::3",
		"1.1.1.1 1.1.1.2 2003::1 1.1.1.3": "1.1.1.1 2003::1 1.1.1.2 1.1.1.3",
	} {
		var addrs []netip.Addr
		for a := range strings.FieldsSeq(in) {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
		var got []string
		for _, a := range alternate(addrs) {
			got = append(got, a.String())
		}
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// trial is a connection that a race may bring about.
type trial struct {
	after  time.Duration // until it succeeds or fails; 0: never
	err    error
	start  time.Duration // when it was begun
	tried  bool
	closed bool
}

func (c *trial) Close() error { c.closed = true; return nil }

func TestRace(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	second := errors.New("second")
	ms := time.Millisecond
	for name, c := range map[string]struct {
		trials []*trial
		wins   int // -1: none
		err    error
		took   time.Duration
		starts []time.Duration // -1: never begun
	}{
		"the first":                 {[]*trial{{after: 10 * ms}, {after: ms}}, 0, nil, 10 * ms, []time.Duration{0, -1}},
		"a silent first":            {[]*trial{{}, {after: 10 * ms}, {after: ms}}, 1, nil, 260 * ms, []time.Duration{0, 250 * ms, -1}},
		"a slow first wins anyway":  {[]*trial{{after: 300 * ms}, {}}, 0, nil, 300 * ms, []time.Duration{0, 250 * ms}},
		"a broken first":            {[]*trial{{after: 20 * ms, err: broken}, {after: 10 * ms}, {}}, 1, nil, 30 * ms, []time.Duration{0, 20 * ms, -1}},
		"a delay after a failure":   {[]*trial{{after: 20 * ms, err: broken}, {}, {after: 10 * ms}}, 2, nil, 280 * ms, []time.Duration{0, 20 * ms, 270 * ms}},
		"both at the same time":     {[]*trial{{after: 260 * ms}, {after: 10 * ms}}, -2, nil, 260 * ms, []time.Duration{0, 250 * ms}},
		"all broken":                {[]*trial{{after: 20 * ms, err: broken}, {after: 10 * ms, err: second}}, -1, broken, 30 * ms, []time.Duration{0, 20 * ms}},
		"the first breaks last":     {[]*trial{{after: 400 * ms, err: broken}, {after: 10 * ms, err: second}}, -1, broken, 400 * ms, []time.Duration{0, 250 * ms}},
		"silence until the timeout": {[]*trial{{}, {}}, -1, context.DeadlineExceeded, time.Second, []time.Duration{0, 250 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				to := make([]netip.AddrPort, len(c.trials))
				for i := range to {
					to[i] = netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(i))
				}
				won, err := race[io.Closer](ctx, to, 250*ms, func(ctx context.Context, at netip.AddrPort) (io.Closer, error) {
					trial := c.trials[at.Port()]
					trial.start, trial.tried = time.Since(began), true
					var done <-chan time.Time
					if trial.after > 0 {
						done = time.After(trial.after)
					}
					select {
					case <-done:
						return trial, trial.err
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})
				if took := time.Since(began); took != c.took || !errors.Is(err, c.err) || (err == nil) != (c.wins != -1) {
					t.Errorf("%v after %v, want %v after %v", err, took, c.err, c.took)
				}
				for i, trial := range c.trials {
					if !trial.tried {
						trial.start = -1
					}
					if trial.start != c.starts[i] {
						t.Errorf("address %d was begun at %v, want %v", i, trial.start, c.starts[i])
					}
					if wins := won == trial; c.wins != -2 && wins != (i == c.wins) || wins && trial.closed {
						t.Errorf("address %d: won %v, closed %v", i, wins, trial.closed)
					}
				}
			})
		})
	}
}

// TestRaceClosesTheLate has a second connection come about although the first has won.
func TestRaceClosesTheLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := &trial{}
		to := []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), 1), netip.AddrPortFrom(netip.IPv4Unspecified(), 2)}
		won, err := race[io.Closer](t.Context(), to, time.Second, func(ctx context.Context, at netip.AddrPort) (io.Closer, error) {
			if at.Port() == 1 {
				<-ctx.Done()
				return late, nil
			}
			return &trial{}, nil
		})
		if err != nil || won == late || !late.closed {
			t.Errorf("won %v, %v, closed %v", won, err, late.closed)
		}
	})
}
