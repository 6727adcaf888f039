package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	xproxy "golang.org/x/net/proxy"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/proxy/socks"
)

// socksRig is a rig that also listens for SOCKS.
type socksRig struct {
	*rig
	addr string
}

func newSOCKSRig(t *testing.T, setup rigSetup) *socksRig {
	t.Helper()
	return newRig(t, setup).socks()
}

// socks has the rig listen for SOCKS.
func (r *rig) socks() *socksRig {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.ServeSOCKS(l) }()
	r.t.Cleanup(func() {
		if err := errors.Join(r.stop(), <-done); err != nil {
			r.t.Errorf("ServeSOCKS: %v", err)
		}
	})
	return &socksRig{r, l.Addr().String()}
}

// wire connects to the listener for SOCKS.
func (r *socksRig) wire() *wire {
	r.t.Helper()
	return (&rig{t: r.t, addr: r.addr}).wire()
}

const (
	noLogin   = "\x05\x01\x00"
	succeeded = "\x05\x00" + anywhere
	anywhere  = "\x00\x01\x00\x00\x00\x00\x00\x00"
)

// socksConnect is a request for a name, which is sent as one.
func socksConnect(name string, port uint16) string {
	return "\x05\x01\x00\x03" + string([]byte{byte(len(name))}) + name + string([]byte{byte(port >> 8), byte(port)})
}

// socksAddress is a request for an address.
func socksAddress(at string) string {
	a := netip.MustParseAddrPort(at)
	family := byte(1)
	if a.Addr().Is6() {
		family = 4
	}
	return "\x05\x01\x00" + string(slices.Concat([]byte{family}, a.Addr().AsSlice(), []byte{byte(a.Port() >> 8), byte(a.Port())}))
}

// tunnel asks for a tunnel, and gets it.
func (r *socksRig) tunnel(name string) *wire {
	r.t.Helper()
	w := r.wire().send(noLogin)
	w.expect("\x05\x00")
	w.send(socksConnect(name, 443)).expect(succeeded)
	return w
}

// What clients send, and what they get for it, to the end.
func TestSOCKSHandshakes(t *testing.T) {
	t.Parallel()
	echo := echoOrigin(t)
	gone := goneOrigin(t)
	accepted := func(rest string) string { return "\x05\x00" + rest }
	reply := func(code byte) string { return "\x05\x00\x05" + string([]byte{code}) + anywhere }
	for _, c := range []struct {
		name, sent, want string
		seen             string // by the observer
	}{
		{"a name", noLogin + socksConnect("free.example", 443) + "hi", accepted(succeeded + "hi"), "decided allow unmatched"},
		{"a name in another spelling", noLogin + socksConnect("FREE.example.", 443) + "hi", accepted(succeeded + "hi"), ""},
		{"an IPv4 address", noLogin + socksAddress("192.0.2.9:443") + "hi", accepted(succeeded + "hi"), ""},
		{"an IPv6 address", noLogin + socksAddress("[2001:db8::9]:443") + "hi", accepted(succeeded + "hi"), ""},
		{"an address as a name", noLogin + socksConnect("192.0.2.9", 443) + "hi", accepted(succeeded + "hi"), ""},
		{"a mapped address", noLogin + socksAddress("[::ffff:192.0.2.9]:443") + "hi", accepted(succeeded + "hi"), ""},
		{"many methods", "\x05\x03\x02\x01\x00" + socksConnect("free.example", 443) + "hi", accepted(succeeded + "hi"), ""},

		{"a blocked name", noLogin + socksConnect("cloud.acme.example", 443), reply(2), "decided block blocked"},
		{"a blocked name, in another spelling", noLogin + socksConnect("Cloud.ACME.example.", 443), reply(2), "decided block blocked"},
		{"a name that a rule blocks", noLogin + socksConnect("games.example", 443), reply(2), "decided block rule-blocked"},
		{"a port that is not opened", noLogin + socksConnect("free.example", 22), reply(2), "guarded port"},
		{"an address that is not dialled", noLogin + socksAddress("127.0.0.1:443"), reply(2), "guarded destination"},
		{"another one", noLogin + socksAddress("[::ffff:169.254.169.254]:80"), reply(2), "guarded destination"},
		{"a name that is not known", noLogin + socksConnect("nowhere.example", 443), reply(4), "dial failed dns"},
		{"a host that refuses", noLogin + socksConnect("gone.example", 443), reply(5), "dial failed refused"},

		{"BIND", noLogin + "\x05\x02" + socksConnect("free.example", 443)[2:], reply(7), ""},
		{"UDP", noLogin + "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00", reply(7), ""},
		{"an unknown command", noLogin + "\x05\x09" + socksConnect("free.example", 443)[2:], reply(7), ""},
		{"an unknown type of address", noLogin + "\x05\x01\x00\x02free", reply(8), ""},
		{"port 0", noLogin + socksConnect("free.example", 0), reply(1), ""},
		{"no name", noLogin + socksConnect("", 443), reply(1), ""},
		{"no name that is one", noLogin + socksConnect("free..example", 443), reply(1), ""},
		{"a port in the name", noLogin + socksConnect("free.example:443", 443), reply(1), ""},
		{"a number for an address", noLogin + socksConnect("2130706433", 443), reply(1), ""},
		{"a name with a NUL", noLogin + socksConnect("free.example\x00.acme.example", 443), reply(1), ""},
		{"a request of version 4", noLogin + "\x04" + socksConnect("free.example", 443)[1:], reply(1), ""},

		{"no methods", "\x05\x00", "\x05\xff", ""},
		{"only log-in, where there are no users", "\x05\x01\x02", "\x05\xff", ""},
		{"only GSSAPI", "\x05\x01\x01", "\x05\xff", ""},
		{"SOCKS4", "\x04\x01\x01\xbb\xc0\x00\x02\x09\x00", "\x00\x5b\x00\x00\x00\x00\x00\x00", ""},
		{"SOCKS4a", "\x04\x01\x01\xbb\x00\x00\x00\x01\x00free.example\x00", "\x00\x5b\x00\x00\x00\x00\x00\x00", ""},
		{"HTTP", "CONNECT free.example:443 HTTP/1.1\r\nHost: free.example\r\n\r\n", "", ""},
		{"TLS", helloFor("free.example"), "", ""},
		{"an end in the greeting", "\x05\x02\x00", "", ""},
		{"an end before the request", noLogin, "\x05\x00", ""},
		{"an end in the request", noLogin + socksConnect("free.example", 443)[:9], "\x05\x00", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newSOCKSRig(t, rigSetup{hosts: map[string]string{
				"free.example": echo.addr, "192.0.2.9": echo.addr, "[2001:db8::9]": echo.addr, "cloud.acme.example": echo.addr,
				"games.example": echo.addr, "gone.example": gone,
			}})
			w := r.wire().send(c.sent)
			_ = w.CloseWrite()
			if got, err := w.rest(); got != c.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if c.seen != "" {
				r.observed(c.seen)
			}
		})
	}
}

// goneOrigin is an address at which nobody listens.
func goneOrigin(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A tunnel by SOCKS is judged as one by CONNECT is, at each of its stages, whatever is in it.
func TestSOCKSIsJudgedLikeConnect(t *testing.T) {
	t.Parallel()
	const http = "GET / HTTP/1.1\r\nHost: free.example\r\n\r\n"
	for _, settings := range []string{"", "unseen: {not-tls: block, address: block}", "unseen: {no-sni: block, mismatch: block}", "default: block"} {
		for _, at := range []time.Time{inGrace, deadline} {
			for _, name := range []string{"free.example", "upd.acme.example", "reports.acme.example", "192.0.2.9", "mixed.acme.example"} {
				for _, port := range []uint16{80, 443} {
					for _, said := range []string{http, helloFor(name), helloFor("cloud.acme.example"), helloRecords(helloMessage(), 1<<14), "\x16\x03\x01\x00\x01\x01"} {
						if name == "192.0.2.9" && said == helloFor(name) {
							continue // which is no hello
						}
						t.Run(fmt.Sprintf("%s/%s/%s/%d/%.8q", settings, at.Format("Jan"), name, port, said), func(t *testing.T) {
							t.Parallel()
							judgedAlike(t, settings, at, name, port, said)
						})
					}
				}
			}
		}
	}
}

func judgedAlike(t *testing.T, settings string, at time.Time, name string, port uint16, said string) {
	t.Helper()
	var records [2]audit.Record
	for i, start := range []func(r *socksRig) *wire{
		func(r *socksRig) *wire {
			to := host.Join(host.MustParse(name), port)
			w := r.rig.wire().send("CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n\r\n")
			readHead(w)
			return w
		},
		func(r *socksRig) *wire {
			w := r.wire().send(noLogin + socksConnect(name, port))
			_ = readFull(w, make([]byte, len("\x05\x00"+succeeded)))
			return w
		},
	} {
		o := newSink(t)
		r := newSOCKSRig(t, rigSetup{settings: settings, hosts: map[string]string{name: o.addr}})
		r.clock.set(at)
		w := start(r)
		_, _ = io.WriteString(w.TCPConn, said) // it may be closed already
		_ = w.CloseWrite()
		_ = w.end()
		records[i] = r.records.wait(t, "last record", func(rec audit.Record) bool { return rec.Event != audit.Start })
	}
	c, s := records[0], records[1]
	if c.Verdict != s.Verdict || c.State != s.State || c.Event != s.Event || c.Guard != s.Guard || c.Ended != s.Ended || c.Hello != s.Hello || c.SNI != s.SNI {
		t.Errorf("CONNECT: %s %s %s %q %q, SOCKS: %s %s %s %q %q", c.Event, c.Verdict, c.State, c.Guard, c.Ended, s.Event, s.Verdict, s.State, s.Guard, s.Ended)
	}
	if s.Kind != "tunnel" || s.Scheme != "socks5" || s.Method != "CONNECT" || s.Status != 0 || s.URL != "socks5://"+host.Join(host.MustParse(name), port) || s.Host.String() != name || s.Port != port {
		t.Errorf("recorded as %+v", s)
	}
}

// A hello is forwarded as it came, and what the name in it is not allowed is not.
func TestSOCKSHoldsTheHello(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newSOCKSRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	hello := helloFor("free.example")
	w := r.tunnel("free.example")
	for _, part := range []string{hello[:1], hello[1:20], hello[20:]} {
		w.send(part)
	}
	w.expect("seen")
	_ = w.Close()
	if got := o.only(t); got != hello {
		t.Errorf("the origin got %q", got)
	}
	w = r.tunnel("free.example").send(helloFor("cloud.acme.example"))
	if got, err := w.rest(); got != accessDenied || err != nil {
		t.Errorf("refused by %q, %v", got, err)
	}
	if rec := r.recorded(audit.Refused); rec.SNI.String() != "cloud.acme.example" || rec.State != policy.Blocked {
		t.Errorf("recorded %+v", rec)
	}
}

func TestSOCKSIsCutAtTheDeadline(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newSOCKSRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
	w := r.tunnel("upd.acme.example").send(helloFor("upd.acme.example"))
	w.expect("seen")
	r.clock.set(deadline)
	if got, err := w.rest(); got != "" || !isReset(err) {
		t.Errorf("it ended with %q, %v", got, err)
	}
	if rec := r.recorded(audit.End); rec.Ended != "cut" {
		t.Errorf("recorded as %q", rec.Ended)
	}
}

// Where the policy must see the request, it is seen.
func TestSOCKSIsIntercepted(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, greet)
	l := newLooker(t, rigSetup{hosts: map[string]string{"mixed.acme.example": o.addr}}, roots)
	r := l.socks()
	dialer, err := xproxy.SOCKS5("tcp", r.addr, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: dialer.(xproxy.ContextDialer).DialContext, TLSClientConfig: &tls.Config{RootCAs: l.trust}}
	t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Transport: transport, Timeout: patience}
	if a := l.look(c, "https://mixed.acme.example/other").want(t, http.StatusOK); a.body != "hello from the origin" {
		t.Errorf("answered %q", a.body)
	}
	l.look(c, "https://mixed.acme.example/v6/x").want(t, http.StatusUnavailableForLegalReasons)
}

func TestSOCKSLogin(t *testing.T) {
	t.Parallel()
	echo := echoOrigin(t)
	const ask, chosen = "\x05\x02\x00\x02", "\x05\x02"
	pair := func(user, password string) string {
		return "\x01" + string([]byte{byte(len(user))}) + user + string([]byte{byte(len(password))}) + password
	}
	to := socksConnect("free.example", 443) + "hi"
	for _, c := range []struct {
		name, sent, want string
		wrong            bool // recorded as such
	}{
		{"right", ask + pair("ann", "of:ann") + to, chosen + "\x01\x00" + succeeded + "hi", false},
		{"right, beyond ASCII", ask + pair("Jürgen", "schön") + to, chosen + "\x01\x00" + succeeded + "hi", false},
		{"right, and nothing else offered", "\x05\x01\x02" + pair("ann", "of:ann") + to, chosen + "\x01\x00" + succeeded + "hi", false},
		{"wrong password", ask + pair("ann", "of:Ann") + to, chosen + "\x01\x01", true},
		{"wrong name", ask + pair("bob", "of:ann") + to, chosen + "\x01\x01", true},
		{"control characters", ask + pair("ann\x00", "of:ann") + to, chosen + "\x01\x01", true},
		{"not UTF-8", ask + pair("J\xfcrgen", "sch\xf6n") + to, chosen + "\x01\x01", true},
		{"too many", ask + pair("slow", "x") + to, chosen + "\x01\x01", false},
		{"no name", ask + "\x01\x00\x01x" + to, chosen + "\x01\x01", false},
		{"no password", ask + "\x01\x03ann\x00" + to, chosen + "\x01\x01", false},
		{"another version", ask + "\x05\x03ann\x01x" + to, chosen + "\x01\x01", false},
		{"without", noLogin + to, "\x05\xff", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newSOCKSRig(t, rigSetup{hosts: map[string]string{"free.example": echo.addr}, change: asked(newPeople())})
			w := r.wire().send(c.sent)
			_ = w.CloseWrite()
			if got, err := w.rest(); got != c.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			switch {
			case strings.HasSuffix(c.want, "hi"):
				if rec := r.recorded(audit.End); !slices.Contains([]string{"ann", "Jürgen"}, rec.User) {
					t.Errorf("user %q", rec.User)
				}
			case c.wrong:
				rec := r.recorded(audit.Refused)
				if rec.Guard != "auth" || rec.User != "" || !rec.Host.IsZero() || rec.URL != "" || rec.Scheme != "socks5" {
					t.Errorf("recorded %+v", rec)
				}
			default:
				if all := r.records.all(); len(all) > 0 {
					t.Errorf("recorded %+v", all)
				}
			}
		})
	}
}

// Whoever is taken out of the file between log-in and request gets nowhere.
func TestSOCKSLogOutBeforeTheRequest(t *testing.T) {
	t.Parallel()
	p := newPeople()
	r := newSOCKSRig(t, rigSetup{hosts: map[string]string{"free.example": echoOrigin(t).addr}, change: func(c *Config) {
		asked(p)(c)
		c.Ungoverned = true
	}})
	w := r.wire().send("\x05\x01\x02\x01\x03ann\x06of:ann")
	w.expect("\x05\x02\x01\x00")
	p.forget("ann")
	r.LogOut()
	w.send(socksConnect("free.example", 443) + "hi")
	if got, err := w.rest(); got != "\x05\x01"+anywhere || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if rec := r.recorded(audit.End); rec.Ended != "logged-out" || rec.User != "ann" || rec.Upstream.IsValid() {
		t.Errorf("recorded %+v", rec)
	}
}

func TestSOCKSClientsAreGuarded(t *testing.T) {
	t.Parallel()
	for _, login := range []func(*Config){nil, asked(newPeople())} {
		r := newSOCKSRig(t, rigSetup{change: func(c *Config) {
			c.Clients = &Clients{}
			if login != nil {
				login(c)
			}
		}})
		w := r.wire().send(noLogin + socksConnect("free.example", 443))
		if got, err := w.rest(); got != "\x05\x00\x05\x02"+anywhere || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		r.observed("guarded client")
		if all := r.logs.FilterMessage("client refused").All(); len(all) != 1 {
			t.Errorf("logged %v", all)
		}
	}
}

func TestSOCKSMeetsLimits(t *testing.T) {
	t.Parallel()
	echo := echoOrigin(t)
	limited := func(limits AdmissionLimits) *socksRig {
		return newSOCKSRig(t, rigSetup{hosts: map[string]string{"free.example": echo.addr}, change: func(c *Config) { c.Limits = limits }})
	}
	const failed = "\x05\x00\x05\x01" + anywhere

	r := limited(AdmissionLimits{PerDestination: 1})
	r.tunnel("free.example")
	if got, err := r.wire().send(noLogin + socksConnect("free.example", 443)).rest(); got != failed || err != nil {
		t.Errorf("the destination is full: %q, %v", got, err)
	}
	r.observed("limited destination")

	r = limited(AdmissionLimits{Rate: 1})
	first, second := r.wire(), r.wire()
	first.send(noLogin + socksConnect("free.example", 443))
	second.send(noLogin + socksConnect("free.example", 443))
	r.observed("limited rate")
	first.expect("\x05\x00\x05")
	second.expect("\x05\x00\x05")

	r = limited(AdmissionLimits{PerClient: 1})
	r.tunnel("free.example")
	c, err := net.Dial("tcp", r.addr)
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !isReset(err) {
		t.Errorf("too many: %v", err)
	}
	r.observed("limited client")
}

func TestSOCKSReplies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		why    failure
		want   socks.Reply
	}{
		{451, failure{}, socks.NotAllowed},
		{403, failure{}, socks.NotAllowed},
		{403, failureOf(&GuardError{Guard: "destination"}), socks.NotAllowed},
		{503, failure{}, socks.Failed}, // of the clock, or the records
		{429, failure{}, socks.Failed},
		{502, failureOf(&DialError{Reason: "dns"}), socks.HostUnreachable},
		{504, failureOf(&DialError{Reason: "dns", timeout: true}), socks.HostUnreachable},
		{504, failureOf(&DialError{Reason: "timeout"}), socks.HostUnreachable},
		{502, failureOf(&DialError{Reason: "unreachable"}), socks.NetworkUnreachable},
		{502, failureOf(&DialError{Reason: "refused"}), socks.Refused},
		{502, failureOf(&DialError{Reason: "reset"}), socks.Refused},
		{502, failureOf(&DialError{Reason: "other"}), socks.Failed},
		{503, failureOf(&DialError{Reason: "other", err: syscall.EMFILE}), socks.Failed},
	} {
		if got := socksReply(c.status, c.why); !bytes.Equal(got, c.want.Bytes()) {
			t.Errorf("%d, %q: reply %d, want %d", c.status, c.why.reason, got[1], c.want)
		}
	}
}

func TestASlowSOCKSHandshake(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{"\x05", noLogin, noLogin + "\x05\x01\x00"} {
		r := newSOCKSRig(t, rigSetup{change: func(c *Config) { c.Hello = 50 * time.Millisecond }})
		w := r.wire().send(sent)
		if got, err := w.rest(); got != strings.Repeat("\x05\x00", min(len(sent)-1, 1)) || err != nil {
			t.Errorf("%q: answered %q, %v", sent, got, err)
		}
		if all := r.logs.FilterMessage("request not understood").All(); len(all) != 1 || all[0].ContextMap()["code"] != "socks-timeout" {
			t.Errorf("%q: logged %v", sent, all)
		}
	}
}

func TestSOCKSBehindABalancer(t *testing.T) {
	t.Parallel()
	echo := echoOrigin(t)
	r := newSOCKSRig(t, rigSetup{hosts: map[string]string{"free.example": echo.addr}, change: func(c *Config) {
		c.Balancers = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	}})
	w := r.wire().send("PROXY TCP4 127.0.0.99 198.51.100.1 40000 1080\r\n" + noLogin + socksConnect("free.example", 443) + "hi")
	_ = w.CloseWrite()
	if got, err := w.rest(); got != "\x05\x00"+succeeded+"hi" || err != nil {
		t.Errorf("answered %q, %v", got, err)
	}
	if rec := r.recorded(audit.End); rec.Client.String() != "127.0.0.99:40000" {
		t.Errorf("client %s", rec.Client)
	}
	if got, err := r.wire().send(noLogin + socksConnect("free.example", 443)).rest(); got != "" || !isReset(err) {
		t.Errorf("without a header: %q, %v", got, err)
	}
}

// A client that takes the wrong port is told so.
func TestSOCKSOnTheHTTPListener(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	a := r.wire().send(noLogin).answer(http.MethodGet).want(t, http.StatusBadRequest)
	if !strings.Contains(a.body, "listen.socks") {
		t.Errorf("answered %s", a.body)
	}
}

func TestShutdownOfSOCKS(t *testing.T) {
	t.Parallel()
	echo := echoOrigin(t)
	r := newSOCKSRig(t, rigSetup{hosts: map[string]string{"free.example": echo.addr}})
	idle, half, open := r.wire(), r.wire().send("\x05"), r.tunnel("free.example")
	open.send("hi").expect("hi")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	for _, w := range []*wire{idle, half, open} {
		if err := w.end(); err == nil {
			t.Error("a connection is still open")
		}
	}
}

// curl, with the name resolved here and there.
func TestCurlBySOCKS(t *testing.T) {
	t.Parallel()
	cfg, _, root := secureConfig(t)
	secure, plain := webServer(t, http.HandlerFunc(greet), cfg), webOrigin(t, greet)
	roots := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(roots, root, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newSOCKSRig(t, rigSetup{hosts: map[string]string{
		"upd.acme.example:443": secure.addr, "upd.acme.example:80": plain.addr, "192.0.2.9:443": secure.addr, "192.0.2.9:80": plain.addr, "[2001:db8::9]": secure.addr,
	}})
	curl := func(args ...string) (string, int) {
		return program(t, "", "curl", append([]string{"-sS", "--max-time", "15", "--cacert", roots}, args...)...)
	}
	here := []string{"--resolve", "upd.acme.example:443:192.0.2.9", "--resolve", "upd.acme.example:80:192.0.2.9", "--socks5", r.addr}
	here6 := []string{"--resolve", "upd.acme.example:443:[2001:db8::9]", "--socks5", r.addr}
	there := []string{"--socks5-hostname", r.addr}
	for _, args := range [][]string{append(here, "https://upd.acme.example/"), append(here6, "https://upd.acme.example/"), append(there, "https://upd.acme.example/"), append(there, "http://upd.acme.example/")} {
		if out, code := curl(args...); code != 0 || out != "hello from the origin" {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
	}
	if out, code := curl("--socks4a", r.addr, "https://upd.acme.example/"); code != 97 || !strings.Contains(out, "SOCKS4") {
		t.Errorf("SOCKS4: exit %d: %s", code, out)
	}
	r.clock.set(deadline)
	for _, target := range []string{"https://upd.acme.example/", "http://upd.acme.example/"} {
		if out, code := curl(append(there, target)...); code != 97 || !strings.Contains(out, "(2)") {
			t.Errorf("%s: exit %d: %s", target, code, out)
		}
	}
	// By its address the name shows in the hello alone, and over plain HTTP not at all.
	if out, code := curl(append(here, "https://upd.acme.example/")...); code != 35 || !strings.Contains(out, "access denied") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := curl(append(here, "http://upd.acme.example/")...); code != 0 || out != "hello from the origin" {
		t.Errorf("exit %d: %s", code, out)
	}
	r.enforce("unseen: {not-tls: block}", policy.Allow)
	if out, code := curl(append(here, "http://upd.acme.example/")...); code == 0 {
		t.Errorf("not refused: %s", out)
	}
}

func TestCurlLogsInBySOCKS(t *testing.T) {
	t.Parallel()
	plain := webOrigin(t, greet)
	r := newSOCKSRig(t, rigSetup{hosts: map[string]string{"free.example": plain.addr}, change: asked(newPeople())})
	curl := func(args ...string) (string, int) {
		return program(t, "", "curl", append([]string{"-sS", "--max-time", "15", "http://free.example/", "--socks5-hostname", r.addr}, args...)...)
	}
	if out, code := curl("--proxy-user", "ann:of:ann"); code != 0 || out != "hello from the origin" {
		t.Errorf("exit %d: %s", code, out)
	}
	for _, args := range [][]string{{"--proxy-user", "ann:x"}, {}} {
		if out, code := curl(args...); code != 97 {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
	}
}

// Whatever strangers say, they are answered in the protocol or not at all, within bounded memory, and nobody is dialled who is not asked for.
func FuzzSOCKS(f *testing.F) {
	for _, sent := range []string{noLogin + socksConnect("free.example", 443) + "hi", noLogin + socksAddress("192.0.2.9:443"), "\x05\x02\x00\x02\x01\x03ann\x06of:ann" + socksConnect("free.example", 80), "\x04\x01", plainGet} {
		f.Add([]byte(sent))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		client, server := caller(t)
		s := &Server{cfg: Config{Clients: &Clients{}, Observer: newSeen(), Log: zap.NewNop()}}
		s.quiet, s.admission = newQuiet(s.cfg.Log), newAdmission(AdmissionLimits{})
		l := newLane(&front{server: s, limits: frontLimits{HeadTimeout: patience, Idle: patience}}, server, netip.AddrPort{}, seat{})
		_ = client.SetDeadline(time.Now().Add(patience))
		go func() {
			_, _ = client.Write(sent)
			_ = client.CloseWrite()
		}()
		l.serveSOCKS()
		got, _ := io.ReadAll(client)
		answers := []string{"", "\x00\x5b\x00\x00\x00\x00\x00\x00", "\x05\xff", "\x05\x00", "\x05\x00\x05\x01" + anywhere, "\x05\x00\x05\x02" + anywhere, "\x05\x00\x05\x08" + anywhere}
		if !slices.ContainsFunc(answers, func(a string) bool { return bytes.Equal(got, []byte(a)) }) {
			t.Errorf("%q is answered with %q", sent, got)
		}
	})
}
