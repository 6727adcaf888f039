package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// TestHelloThenDial: the hello is judged before anything is dialled, and goes on byte for byte.
func TestHelloThenDial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, settings, hello string
		passes                bool
		state                 policy.State
	}{
		{"in grace", "", helloFor("upd.acme.example"), true, policy.Grace},
		{"blocked", "", helloFor("cloud.acme.example"), false, policy.Blocked},
		{"a rule", "", helloFor("games.example"), false, policy.RuleBlocked},
		{"ungoverned", "", helloFor("free.example"), true, policy.Unmatched},
		{"spread over records", "", helloRecords(helloMessage(sniExt("cloud.acme.example"), padExt(3000)), 100), false, policy.Blocked},
		{"no name", "", helloRecords(helloMessage(), 1<<14), true, policy.Unmatched},
		{"no name, refused", "unseen: {no-sni: block}", helloRecords(helloMessage(), 1<<14), false, policy.Unseen},
		{"an address", "unseen: {address: block}", helloRecords(helloMessage(), 1<<14), false, policy.Unseen},
		{"a name besides the address", "unseen: {address: block, mismatch: block}", helloFor("free.example"), true, policy.Unmatched},
		{"encrypted", "unseen: {ech: block}", helloRecords(helloMessage(sniExt("free.example"), greaseECH()), 1<<14), false, policy.Unseen},
		{"two names", "", helloRecords(helloMessage(sniExt("a.example", "b.example")), 1<<14), false, policy.Unseen},
		{"two names, let through", "unseen: {unreadable: allow}", helloRecords(helloMessage(sniExt("a.example", "b.example")), 1<<14), true, policy.Unmatched},
		{"a name that is none", "", helloFor("a..b"), false, policy.Unseen},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newSink(t)
			r := newRedirector(t, rigSetup{settings: c.settings}, nil)
			w := r.dial(o.addr).send(c.hello)
			event := audit.Refused
			if c.passes {
				event = audit.Start
				w.expect("seen")
				_ = w.CloseWrite()
				if got := o.only(t); got != c.hello {
					t.Errorf("%q came as %q", c.hello, got)
				}
			} else {
				w.expect(accessDenied)
				if err := w.end(); !errors.Is(err, io.EOF) {
					t.Errorf("the end is %v", err)
				}
				if n := o.came.Load(); n != 0 {
					t.Errorf("%d connections to the origin", n)
				}
			}
			rec := r.recorded(event)
			at := netip.MustParseAddrPort(o.addr)
			if rec.State != c.state || rec.Kind != "tunnel" || rec.Original != at.Addr() || rec.Port != at.Port() || rec.Method != "" || rec.Scheme != "https" || rec.URL != "" {
				t.Errorf("record: %+v", rec)
			}
			if want := rec.SNI; !want.IsZero() && rec.Host != want || want.IsZero() && rec.Host.String() != "127.0.0.1" {
				t.Errorf("record of %s", rec.Host)
			}
		})
	}
}

func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	for settings, passes := range map[string]bool{"": true, "unseen: {not-tls: block}": false} {
		o := newSink(t)
		r := newRedirector(t, rigSetup{settings: settings}, nil)
		w := r.dial(o.addr).send("SSH-2.0-client\r\n")
		if !passes {
			if err := w.end(); !isReset(err) {
				t.Errorf("the end is %v, want a reset", err)
			}
			if rec := r.recorded(audit.Refused); rec.Hello != policy.HelloNotTLS || rec.Cause.ID != "not-tls" {
				t.Errorf("record: %+v", rec)
			}
			continue
		}
		w.expect("seen")
		_ = w.CloseWrite()
		if got := o.only(t); got != "SSH-2.0-client\r\n" {
			t.Errorf("%q", got)
		}
		if err := w.end(); !errors.Is(err, io.EOF) {
			t.Errorf("the end is %v", err)
		}
		if rec := r.recorded(audit.End); rec.Hello != policy.HelloNotTLS || rec.Host.String() != "127.0.0.1" || rec.Scheme != "" || rec.BytesIn != 16 || rec.BytesOut != 4 || rec.Ended != "complete" {
			t.Errorf("record: %+v", rec)
		}
	}
}

// greeter is an origin that speaks first, and then sends back what it gets.
func greeter(t *testing.T) *origin {
	t.Helper()
	return rawOrigin(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "220 mail.example ESMTP\r\n")
		_, _ = io.Copy(c, c)
	})
}

func silentFor1ms(tr *transparent) { tr.silence = time.Millisecond }

// waiting makes a redirector whose clients may be silent for no more than an instant.
func waiting(t *testing.T, settings string) *redirector {
	t.Helper()
	return newRedirector(t, rigSetup{settings: settings}, nil, silentFor1ms)
}

func TestServersMaySpeakFirst(t *testing.T) {
	t.Parallel()
	o := greeter(t)
	r := waiting(t, "")
	w := r.dial(o.addr)
	w.expect("220 mail.example ESMTP\r\n")
	// What comes now is none of TLS or HTTP, whatever it looks like: no such server speaks first.
	for _, said := range []string{"QUIT\r\n", helloFor("cloud.acme.example"), request("GET", "cloud.acme.example", "/", "")} {
		w.send(said).expect(said)
	}
	_ = w.CloseWrite()
	if err := w.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	if rec := r.recorded(audit.End); rec.Hello != policy.HelloNotTLS || rec.Ended != "complete" {
		t.Errorf("record: %+v", rec)
	}
	if n := r.seen.count("decided"); n != 1 {
		t.Errorf("observed %v", r.seen.all())
	}
}

// TestListenersMayBeSilent: one that has nothing to say gets all that the server says.
func TestListenersMayBeSilent(t *testing.T) {
	t.Parallel()
	o := rawOrigin(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "the time is ")
		_, _ = io.Copy(io.Discard, c)
		_, _ = io.WriteString(c, "noon")
	})
	r := waiting(t, "")
	w := r.dial(o.addr)
	w.expect("the time is ")
	_ = w.CloseWrite()
	if rest, err := w.rest(); rest != "noon" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	r.observed("closed tunnel complete")
}

// TestListenersMayEndTheirSide before the server has said anything, once they are connected to it.
func TestListenersMayEndTheirSide(t *testing.T) {
	t.Parallel()
	o := rawOrigin(t, func(c *net.TCPConn) {
		_, _ = io.Copy(io.Discard, c)
		_, _ = io.WriteString(c, "noon")
	})
	r := waiting(t, "")
	w := r.dial(o.addr)
	r.observed("opened tunnel")
	_ = w.CloseWrite()
	if rest, err := w.rest(); rest != "noon" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	r.observed("closed tunnel complete")
}

// TestHalfAWord: whoever begins and does not go on is judged by what there is, which is nothing to read where it may become a request.
func TestHalfAWord(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRedirector(t, rigSetup{change: func(c *Config) { c.Hello = 20 * time.Millisecond }}, nil)
	r.dial(o.addr).send(helloFor("free.example")[:30]).expect(accessDenied)
	if rec := r.recorded(audit.Refused); rec.Hello != policy.HelloUnreadable || rec.Cause.ID != "unreadable" {
		t.Errorf("record: %+v", rec)
	}
	r.dial(o.addr).send("GET /ind").answer("GET").want(t, 408)
	for _, begun := range []string{"GE", "\r\n", "BREW /pot", "NICK"} {
		r.dial(o.addr).send(begun).expect(accessDenied)
	}
	if n := o.came.Load(); n != 0 {
		t.Errorf("%d came", n)
	}
	r = newRedirector(t, rigSetup{settings: "unseen: {unreadable: allow}", change: func(c *Config) { c.Hello = 20 * time.Millisecond }}, nil)
	r.dial(o.addr).send("NICK").expect("seen")
}

// TestNoMethodIsTooLong: a request of a method that nobody knows is one, and those behind it are judged.
func TestNoMethodIsTooLong(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRedirector(t, rigSetup{}, nil)
	r.dial(o.addr).send(request(strings.Repeat("A", maxMethod+1), "cloud.acme.example", "/", "")).answer("GET").want(t, 400)
	if n := o.came.Load(); n != 0 {
		t.Errorf("%d came", n)
	}
}

// TestWaitingIsNoWayAround: a client that lets the gateway take it for silent is judged by what it says in the end.
func TestWaitingIsNoWayAround(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, settings, says, hears string
		passes                      bool
	}{
		{"a blocked hello", "", helloFor("cloud.acme.example"), accessDenied, false},
		{"a hello in grace", "", helloFor("upd.acme.example"), "seen", true},
		{"a blocked host", "", request("GET", "cloud.acme.example", "/", ""), "HTTP/1.1 451 ", false},
		{"a host in grace", "", request("GET", "upd.acme.example", "/", ""), "HTTP/1.1 502 ", true},
		{"a slow client where silence is refused", "unseen: {not-tls: block}", helloFor("upd.acme.example"), "seen", true},
		{"a slow client that is refused", "unseen: {not-tls: block}", helloFor("cloud.acme.example"), accessDenied, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := newBox[string]()
			o := rawOrigin(t, func(c *net.TCPConn) { // ends with the first that it is told
				buf := make([]byte, 4<<10)
				n, _ := c.Read(buf)
				got.add(string(buf[:n]))
				_, _ = io.WriteString(c, "seen")
			})
			r := waiting(t, c.settings)
			w := r.dial(o.addr)
			if c.settings == "" {
				r.observed("opened tunnel") // it was given up for silent
			}
			w.send(c.says[:3])
			w.send(c.says[3:])
			told := func(got string) bool { return got != "" }
			w.expect(c.hears)
			_ = w.Close()
			_ = r.stop()
			if c.passes {
				got.wait(t, "origin that was told", told)
			} else if slices.ContainsFunc(got.all(), told) {
				t.Errorf("the origin was told %q", got.all())
			}
			if n := r.seen.count("decided"); n != 1 {
				t.Errorf("observed %v", r.seen.all())
			}
		})
	}
}

func TestSilenceMayBeRefused(t *testing.T) {
	t.Parallel()
	o := greeter(t)
	r := newRedirector(t, rigSetup{settings: "unseen: {not-tls: block}", change: func(c *Config) { c.Hello = time.Millisecond }}, nil, silentFor1ms)
	if !r.resets(o.addr, "") {
		t.Error("no reset")
	}
	if rec := r.recorded(audit.Refused); rec.Cause.ID != "not-tls" || o.came.Load() != 0 {
		t.Errorf("record: %+v; %d came", rec, o.came.Load())
	}
}

// TestLoops: what would lead back to this gateway is refused, counted and logged, whatever comes on it.
func TestLoops(t *testing.T) {
	t.Parallel()
	var here atomic.Bool // whether clients are on this machine
	r := newRedirector(t, rigSetup{}, nil, func(tr *transparent) { tr.own = func(netip.Addr) bool { return here.Load() } })
	refused := func(addr string) {
		t.Helper()
		before := r.seen.count("guarded loop")
		if !r.resets(addr, "") {
			t.Errorf("%s: no reset", addr)
		}
		if n := r.seen.count("guarded loop"); n != before+1 {
			t.Errorf("%s: counted %d times", addr, n-before)
		}
	}
	refused(r.listener.String()) // made to the listener itself
	here.Store(true)
	refused("192.0.2.1:80") // made by this machine
	if n := r.logs.FilterMessage("loop refused").Len(); n != 1 {
		t.Errorf("logged %d times at once", n)
	}
	if n := len(r.records.all()); n != 0 {
		t.Errorf("%d records", n)
	}
}

func TestLoopsToTheListener(t *testing.T) {
	t.Parallel()
	own := func(a netip.Addr) bool { return a == netip.MustParseAddr("10.0.0.1") || a.IsLoopback() }
	r := newRedirector(t, rigSetup{}, nil, func(tr *transparent) { tr.own = own })
	client := netip.MustParseAddr("10.0.0.9")
	for _, c := range []struct {
		to, listener string
		loop         bool
	}{
		{"10.0.0.1:3129", "10.0.0.1:3129", true},
		{"10.0.0.1:3129", "[::]:3129", true},
		{"127.0.0.1:3129", "0.0.0.0:3129", true},
		{"0.0.0.0:3129", "127.0.0.1:3129", true},
		{"10.0.0.1:80", "[::]:3129", false}, // the guard on destinations says so
		{"192.0.2.1:3129", "[::]:3129", false},
		{"192.0.2.1:80", "10.0.0.1:3129", false},
	} {
		why := r.loops(client, netip.MustParseAddrPort(c.to), netip.MustParseAddrPort(c.listener))
		if (why != "") != c.loop {
			t.Errorf("%s at %s: %q", c.to, c.listener, why)
		}
	}
	if r.loops(client, netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.1:3129")) == "" {
		t.Error("a connection that nobody knows the destination of is let through")
	}
}

// TestRedirectedInterception: the requests are seen where the policy must see them, and go to the address that the client dialled, if
// that can prove to be the host.
func TestRedirectedInterception(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		cfg, roots, _ := secureConfig(t)
		answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintf(w, "%s%s", r.Host, r.URL.Path) })
		o := webServer(t, answer, cfg)
		r := newRedirector(t, rigSetup{hosts: map[string]string{mixed: "127.0.0.1:1"}}, roots)
		port := netip.MustParseAddrPort(o.addr).Port()
		base := fmt.Sprintf("https://%s:%d", mixed, port)
		browser := r.visitor(o.addr, http2)
		for _, method := range []string{"GET", "POST"} {
			a := r.ask(browser, newRequest(t, method, base+"/v7/x", "Content-Length", "0")).want(t, 200)
			if want := fmt.Sprintf("%s:%d/v7/x", mixed, port); a.body != want || a.ProtoMajor == 2 != http2 {
				t.Errorf("%q over %s, want %q", a.body, a.Proto, want)
			}
			r.ask(browser, newRequest(t, method, base+"/v6/x")).want(t, 451)
		}
		rec := r.records.wait(t, "answer", func(rec audit.Record) bool { return rec.Kind == "intercepted" && rec.Event == audit.End })
		if rec.Host.String() != mixed || rec.Original.String() != "127.0.0.1" || rec.Upstream.String() != o.addr || rec.SNI.String() != mixed {
			t.Errorf("record: %+v", rec)
		}
		// Elsewhere there is somebody who cannot.
		stranger, _, _ := secureConfig(t)
		elsewhere := webServer(t, answer, stranger)
		for _, method := range []string{"GET", "POST"} {
			r.ask(r.visitor(elsewhere.addr, http2), newRequest(t, method, fmt.Sprintf("https://%s:%d/v7/x", mixed, netip.MustParseAddrPort(elsewhere.addr).Port()))).want(t, 502)
		}
	}
}

func TestRedirectedLimits(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	t.Run("of connections", func(t *testing.T) {
		t.Parallel()
		r := newRedirector(t, rigSetup{change: func(c *Config) { c.Limits.PerClient = 1 }}, nil)
		w := r.dial(o.addr).send(helloFor("free.example"))
		w.expect("seen")
		if !r.resets(o.addr, "") {
			t.Error("no reset")
		}
		r.observed("limited client")
		_ = w.Close()
		r.observed("closed tunnel complete")
		r.dial(o.addr).send(helloFor("free.example")).expect("seen")
	})
	t.Run("of a destination", func(t *testing.T) {
		t.Parallel()
		r := newRedirector(t, rigSetup{change: func(c *Config) { c.Limits.PerDestination = 1 }}, nil)
		r.dial(o.addr).send(helloFor("free.example")).expect("seen")
		r.dial(o.addr).send(helloFor("other.example")).expect(accessDenied)
		r.dial(o.addr).send(request("GET", "free.example", "/", "")).answer("GET").want(t, 429)
		if rec := r.recorded(audit.Refused); rec.Guard != "limit" {
			t.Errorf("record: %+v", rec)
		}
	})
	t.Run("of requests", func(t *testing.T) {
		t.Parallel()
		r := newRedirector(t, rigSetup{change: func(c *Config) { c.Limits.Rate = 1 }}, nil)
		r.dial(o.addr).send(helloFor("free.example")).expect("seen")
		r.dial(o.addr).send(helloFor("free.example")).expect(accessDenied)
		r.observed("limited rate")
	})
}

// TestRedirectedTunnelsAreCut at the deadline, whether they have said anything or not.
func TestRedirectedTunnelsAreCut(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRedirector(t, rigSetup{}, nil)
	w := r.dial(o.addr).send(helloFor("upd.acme.example"))
	w.expect("seen")
	free := r.dial(o.addr).send(helloFor("free.example"))
	free.expect("seen")
	r.clock.set(deadline)
	if err := w.end(); !isReset(err) {
		t.Errorf("the end is %v, want a reset", err)
	}
	if rec := r.recorded(audit.End); rec.Ended != "cut" || rec.State != policy.Blocked {
		t.Errorf("record: %+v", rec)
	}
	free.send("goes on")
	_ = free.CloseWrite()
	if err := free.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the other ends with %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	r := newRedirector(t, rigSetup{}, nil)
	for _, to := range []string{"127.0.0.1:1", "10.0.0.1:443"} {
		if !r.resets(to, helloFor("free.example")) {
			t.Errorf("%s: no reset", to)
		}
	}
	r.observed("dial failed refused")
	r.observed("guarded destination")
	r.observed("closed tunnel guarded")
}

// TestResolveTheHello: the name in the hello is dialled, at the port that the client dialled.
func TestResolveTheHello(t *testing.T) {
	t.Parallel()
	there, named := newSink(t), newSink(t)
	port := netip.MustParseAddrPort(there.addr).Port()
	r := newRedirector(t, rigSetup{
		hosts: map[string]string{fmt.Sprintf("free.example:%d", port): named.addr}, change: func(c *Config) { c.Resolve = true },
	}, nil)
	r.dial(there.addr).send(helloFor("free.example")).expect("seen")
	r.dial(there.addr).send(helloRecords(helloMessage(), 1<<14)).expect("seen")
	if there.came.Load() != 1 || named.came.Load() != 1 {
		t.Errorf("%d went there, %d to the name", there.came.Load(), named.came.Load())
	}
}

// TestRedirectedDrain: who has said nothing yet ends at once with the gateway, and who is served may finish.
func TestRedirectedDrain(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRedirector(t, rigSetup{}, nil, func(tr *transparent) { tr.silence = patience })
	quiet := r.dial(o.addr)
	w := r.dial(o.addr).send(helloFor("free.example"))
	w.expect("seen")
	idle := r.dial(o.addr).send(request("GET", "games.example", "/", ""))
	idle.answer("GET").want(t, 403)
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(context.Background()) }()
	for _, c := range []*wire{quiet, idle} {
		if err := c.end(); !errors.Is(err, io.EOF) {
			t.Errorf("the end is %v", err)
		}
	}
	_ = w.CloseWrite()
	if err := w.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the tunnel ends with %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRedirectedTLSIsTheOrigins: a real client speaks to the origin itself.
func TestRedirectedTLSIsTheOrigins(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, greet)
	r := newRedirector(t, rigSetup{}, nil)
	c := tls.Client(r.dial(o.addr), &tls.Config{RootCAs: roots, ServerName: "upd.acme.example"})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, request("GET", "upd.acme.example", "/", "Connection: close\r\n"))
	if got, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(got), "hello from the origin") {
		t.Errorf("%q, %v", got, err)
	}
}
