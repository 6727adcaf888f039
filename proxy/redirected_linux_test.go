package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// telling answers with who it is, which host was asked for, and the target.
func telling(t *testing.T, who string) *origin {
	t.Helper()
	return webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s: %s%s", who, r.Host, r.RequestURI)
	})
}

// TestEveryRequestIsJudged: one connection, requests for several hosts, in the fast lane and beside it.
func TestEveryRequestIsJudged(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			o := telling(t, "A")
			r := newRedirector(t, rigSetup{}, nil)
			w := r.dial(o.addr)
			ask := func(host, path string, status int) answer {
				t.Helper()
				return w.send(request(method, host, path, "")).answer(method).want(t, status)
			}
			if a := ask("upd.acme.example", "/a?b", 200); a.body != "A: upd.acme.example/a?b" || a.Header.Get("Sunset") == "" {
				t.Errorf("%q, %v", a.body, a.Header)
			}
			r.clock.set(deadline)
			if a := ask("Upd.Acme.Example.", "/", 451); !strings.Contains(a.body, `"host": "upd.acme.example"`) {
				t.Errorf("%s", a.body)
			}
			ask("games.example", "/", 403)
			w.send(strings.Replace(request(method, "games.example", "/", ""), "Host:", "Accept: */*\r\nHost:", 1)).answer(method).want(t, 403)
			ask("mixed.acme.example", "/v6/x", 451)
			if a := ask("mixed.acme.example:81", "/v7/x", 200); a.body != "A: mixed.acme.example:81/v7/x" {
				t.Errorf("%q", a.body)
			}
			if n := o.came.Load(); n != 2 { // one for each host that was let through
				t.Errorf("%d connections", n)
			}
		})
	}
}

// TestHostLeadsNowhere: what a request says its host is does not lead elsewhere than where the client went, also where a
// connection to the place of that name is kept, and nobody's answer comes from another address.
func TestHostLeadsNowhere(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		a, b, named := telling(t, "A"), telling(t, "B"), telling(t, "named")
		r := newRedirector(t, rigSetup{hosts: map[string]string{"free.example": named.addr}}, nil)
		for range 2 {
			for who, o := range map[string]*origin{"A": a, "B": b} {
				w := r.dial(o.addr).send(request(method, "free.example", "/", "Connection: close\r\n"))
				if got := w.answer(method).want(t, 200).body; got != who+": free.example/" {
					t.Errorf("%s to %s: %q", method, who, got)
				}
				_ = w.end() // by then the connection to the origin is kept
			}
		}
		if n := named.came.Load(); n != 0 {
			t.Errorf("%s: the name was dialled %d times", method, n)
		}
		if a.came.Load() != 1 || b.came.Load() != 1 {
			t.Errorf("%s: connections were not kept: %d and %d", method, a.came.Load(), b.came.Load())
		}
	}
}

// TestResolve: the host that is named is dialled, and the address where none is.
func TestResolve(t *testing.T) {
	t.Parallel()
	there, named := telling(t, "there"), telling(t, "named")
	_, port, _ := net.SplitHostPort(there.addr)
	r := newRedirector(t, rigSetup{
		hosts: map[string]string{"free.example:" + port: named.addr}, change: func(c *Config) { c.Resolve = true },
	}, nil)
	for _, c := range []struct{ request, want string }{
		{request("GET", "free.example", "/", ""), "named: free.example/"},
		{request("POST", "free.example:81", "/", ""), "named: free.example:81/"},
		{request("GET", "192.0.2.1", "/", ""), "there: 192.0.2.1/"},
		{"GET / HTTP/1.0\r\n\r\n", "there: " + there.addr + "/"},
	} {
		if got := r.dial(there.addr).send(c.request).answer("GET").want(t, 200).body; got != c.want {
			t.Errorf("%q: %q, want %q", c.request, got, c.want)
		}
	}
}

func TestRedirectedTargets(t *testing.T) {
	t.Parallel()
	o := telling(t, "A")
	r := newRedirector(t, rigSetup{}, nil)
	for _, c := range []struct {
		head   string
		status int
		want   string
	}{
		{"GET http://free.example/a HTTP/1.1\r\nHost: free.example\r\n\r\n", 200, "A: free.example/a"},
		{"GET http://Free.Example:80/a HTTP/1.1\r\nHost: free.example\r\n\r\n", 200, "A: free.example:80/a"},
		{"GET http://free.example/a HTTP/1.1\r\nHost: upd.acme.example\r\n\r\n", 400, "bad"},
		{"GET http://free.example:81/a HTTP/1.1\r\nHost: free.example\r\n\r\n", 400, "bad"},
		{"GET http://free.example/a HTTP/1.0\r\n\r\n", 400, "bad"},
		{"GET https://free.example/a HTTP/1.1\r\nHost: free.example\r\n\r\n", 400, "bad"},
		{"GET http://u@free.example/a HTTP/1.1\r\nHost: free.example\r\n\r\n", 400, "bad"},
		{"GET /a?b=http://c HTTP/1.1\r\nHost: free.example\r\n\r\n", 200, "A: free.example/a?b=http://c"},
		{"OPTIONS * HTTP/1.1\r\nHost: free.example\r\n\r\n", 200, ""}, // net/http answers by itself
		{"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400, "bad"},
		{"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "bad"},
		{"GET / HTTP/1.1\r\n\r\n", 400, "bad"},
		{"GET / HTTP/1.1\r\nHost:\r\n\r\n", 200, "A: " + o.addr + "/"},
		{"GET /proxy.pac HTTP/1.1\r\nHost: free.example\r\n\r\n", 200, "A: free.example/proxy.pac"},
		{"CONNECT free.example:443 HTTP/1.1\r\nHost: free.example:443\r\n\r\n", 400, "CONNECT"},
		{"GET /\r\n", 400, "bad"},
		{"get / HTTP/1.1\nHost: free.example\n\n", 400, "bad"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ""},
		{"GET /a/%2f..%2f HTTP/1.1\r\nHost: free.example\r\n\r\n", 400, "bad"},
	} {
		method, _, _ := strings.Cut(c.head, " ")
		a := r.dial(o.addr).send(c.head).answer(method).want(t, c.status)
		if c.status == 200 && a.body != c.want || c.want == "CONNECT" && !strings.Contains(a.body, c.want) {
			t.Errorf("%q: %q, want %q", c.head, a.body, c.want)
		}
	}
}

// TestStrictestOfHostAndAddress: an operator may list addresses.
func TestStrictestOfHostAndAddress(t *testing.T) {
	t.Parallel()
	o := telling(t, "A")
	r := newRedirector(t, rigSetup{}, nil)
	r.enforceText(operatorYAML+`  - {id: no-host, hosts: [127.0.0.1], reason: "x", phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}`+"\n", policy.Allow)
	for _, method := range []string{"GET", "POST"} {
		a := r.dial(o.addr).send(request(method, "free.example", "/", "")).answer(method).want(t, 403)
		if !strings.Contains(a.body, `"rule": "no-host"`) {
			t.Errorf("%s", a.body)
		}
	}
}

// TestUnseenAddress: an address counts as one in place of a name only where there is no name.
func TestUnseenAddress(t *testing.T) {
	t.Parallel()
	o := telling(t, "A")
	r := newRedirector(t, rigSetup{settings: "unseen: {address: block}"}, nil)
	for text, status := range map[string]int{
		request("GET", "free.example", "/", ""): 200,
		request("GET", "192.0.2.1", "/", ""):    403,
		request("GET", o.addr, "/", ""):         403,
		"GET / HTTP/1.0\r\n\r\n":                403,
	} {
		r.dial(o.addr).send(text).answer("GET").want(t, status)
	}
}

func TestRedirectedGuards(t *testing.T) {
	t.Parallel()
	r := newRedirector(t, rigSetup{refused: []string{"127.0.0.1:9128"}}, nil)
	for _, to := range []string{"10.0.0.1:80", "127.0.0.1:9128", "[fd00::1]:80"} {
		for _, method := range []string{"GET", "POST"} {
			r.dial(to).send(request(method, "free.example", "/", "")).answer(method).want(t, 403)
		}
	}
	r.observed("guarded destination")
	if rec := r.recorded(audit.Refused); rec.Guard != "destination" || rec.Original != netip.MustParseAddr("10.0.0.1") || rec.Host.String() != "free.example" {
		t.Errorf("record: %+v", rec)
	}
}

// TestRedirectedPorts: no port is closed to what a packet filter sends here.
func TestRedirectedPorts(t *testing.T) {
	t.Parallel()
	r := newRedirector(t, rigSetup{}, nil) // whose guard opens no port but 80, 443 and those of the catalogue
	for _, method := range []string{"GET", "POST"} {
		r.dial(telling(t, "A").addr).send(request(method, "free.example", "/", "")).answer(method).want(t, 200)
	}
}

func TestRedirectedRecord(t *testing.T) {
	t.Parallel()
	o := telling(t, "A")
	at := netip.MustParseAddrPort(o.addr)
	url := fmt.Sprintf("http://upd.acme.example:%d/x?y", at.Port()) // whatever port the request tells
	for _, method := range []string{"GET", "POST"} {
		for _, named := range []string{"upd.acme.example", "UPD.acme.example.", "upd.acme.example:80", "upd.acme.example:8080"} {
			r := newRedirector(t, rigSetup{}, nil)
			r.dial(o.addr).send(request(method, named, "/x?y", "")).answer(method).want(t, 200)
			rec := r.recorded(audit.End)
			if rec.Kind != "plain" || rec.Host.String() != "upd.acme.example" || rec.Port != at.Port() || rec.Original != at.Addr() || rec.Upstream != at ||
				rec.URL != url || rec.Path != "/x" || rec.Method != method || rec.Scheme != "http" || rec.Vendor != "acme" {
				t.Errorf("%s, Host: %s: record %+v", method, named, rec)
			}
			r.observed("closed plain complete")
		}
	}
}

func TestRedirectedWebSocket(t *testing.T) {
	t.Parallel()
	o, heads := wsOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	r := newRedirector(t, rigSetup{}, nil)
	w := r.dial(o.addr).send("GET /chat HTTP/1.1\r\n" + strings.Replace(wsFields, "Host: x", "Host: free.example", 1) + "\r\n")
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	defer resp.Body.Close()
	w.expect("hello ")
	w.send("frame").expect("frame")
	if head := heads.all()[0]; !strings.Contains(head, "\r\nHost: free.example\r\n") {
		t.Errorf("%q", head)
	}
}

// TestRedirectedCut: a download on a connection that a packet filter sent here ends at the deadline, as any other.
func TestRedirectedCut(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST"} {
		o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		r := newRedirector(t, rigSetup{}, nil)
		w := r.dial(o.addr).send(request(method, "upd.acme.example", "/", ""))
		resp, err := http.ReadResponse(w.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		r.clock.set(deadline)
		if _, err := io.ReadAll(resp.Body); !isReset(err) {
			t.Errorf("the end is %v, want a reset", err)
		}
		_ = resp.Body.Close()
		if rec := r.recorded(audit.End); rec.Ended != "cut" {
			t.Errorf("record: %+v", rec)
		}
	}
}

// TestStrangersAreToldSo: a client that may not use the gateway hears so, as far as its protocol has a word for it.
func TestStrangersAreToldSo(t *testing.T) {
	t.Parallel()
	nobodys, err := NewClients([]string{"192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	o := telling(t, "A")
	r := newRedirector(t, rigSetup{change: func(c *Config) { c.Clients = nobodys }}, nil)
	r.dial(o.addr).send(request("GET", "free.example", "/", "")).answer("GET").want(t, 403)
	w := r.dial(o.addr).send(helloFor("free.example"))
	w.expect(accessDenied)
	if err := w.end(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	if !r.resets(o.addr, "SSH-2.0-x\r\n") {
		t.Error("no reset")
	}
	if n := r.seen.count("guarded client"); n != 3 || o.came.Load() != 0 {
		t.Errorf("%v, and %d came", r.seen.all(), o.came.Load())
	}
}

// nobodyKnown knows no users, and asks everybody who they are.
type nobodyKnown struct{}

func (nobodyKnown) Check(context.Context, netip.Addr, string, string) (bool, time.Duration) {
	return false, 0
}
func (nobodyKnown) Knows(string) bool { return false }

// TestNobodyLogsIn who knows of no proxy.
func TestNobodyLogsIn(t *testing.T) {
	t.Parallel()
	o := telling(t, "A")
	r := newRedirector(t, rigSetup{change: func(c *Config) { c.Auth = nobodyKnown{} }}, nil)
	for _, method := range []string{"GET", "POST"} {
		r.get("http://free.example/").want(t, 407)
		r.dial(o.addr).send(request(method, "free.example", "/", "")).answer(method).want(t, 200)
	}
}
