package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// parentAt is the parent at an address, which wants this log-in.
func parentAt(addr, user, password string) *Parent {
	at := netip.MustParseAddrPort(addr)
	return &Parent{Name: host.MustParse(at.Addr().String()), Port: at.Port(), User: user, Password: password}
}

// What parents answer to CONNECT.
func TestAnswersOfParents(t *testing.T) {
	t.Parallel()
	const what = "the parent proxy of this gateway "
	for name, c := range map[string]struct {
		answer string
		reason string // empty: there is a way
		text   string
	}{
		"yes":                      {"HTTP/1.1 200 Connection established\r\n\r\n", "", ""},
		"yes, by HTTP/1.0":         {"HTTP/1.0 200 OK\r\n\r\n", "", ""},
		"yes, in another word":     {"HTTP/1.1 204 Fine\r\nVia: 1.1 x\r\n\r\n", "", ""},
		"yes, with a length":       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "", ""},
		"yes, in lines of LF":      {"HTTP/1.1 200 OK\nX: y\n\n", "", ""},
		"yes, after a while":       {"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "", ""},
		"a log-in":                 {"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", "parent-refused", what + "answered with the status 407 Proxy Authentication Required"},
		"no":                       {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "parent-refused", what + "answered with the status 403 Forbidden"},
		"no, of a law":             {"HTTP/1.1 451 X\r\n\r\n", "parent-refused", what + "answered with the status 451 Unavailable For Legal Reasons"},
		"no name":                  {"HTTP/1.1 503 Service Unavailable\r\n\r\n", "parent-refused", what + "answered with the status 503 Service Unavailable"},
		"a status of its own":      {"HTTP/1.1 799 <script>\r\n\r\n", "parent-refused", what + "answered with the status 799"},
		"another protocol":         {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "parent-refused", what + "answered with the status 101 Switching Protocols"},
		"another place":            {"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", "parent-refused", what + "answered with the status 302 Found"},
		"nothing":                  {"", "parent", what + "broke off"},
		"half":                     {"HTTP/1.1 200 Connection establ", "parent", what + "broke off"},
		"only interim answers":     {"HTTP/1.1 100 Continue\r\n\r\n", "parent", what + "broke off"},
		"no HTTP":                  {"220 mail.example ESMTP\r\n\r\n", "parent", what + "gave an answer that is none"},
		"TLS":                      {"\x15\x03\x01\x00\x02\x02\x16\n\n", "parent", what + "gave an answer that is none"},
		"a line that is none":      {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "parent", what + "gave an answer that is none"},
		"a giant head":             {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxParentHead) + "\r\n\r\n", "parent", what + "gave too long an answer"},
		"interim answers for ever": {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", maxParentHead/25+1), "parent", what + "gave too long an answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := newBox[string]()
			p := rawOrigin(t, func(conn *net.TCPConn) {
				asked.add(readHead(conn))
				_, _ = io.WriteString(conn, c.answer+"first") // in one piece: what comes behind the head is of the origin
				_ = conn.CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
			})
			d := NewDialer(DialConfig{Parent: parentAt(p.addr, "gate", "s3cret: x"), Timeout: patience})
			conn, err := d.Dial(t.Context(), host.MustParse("free.example"), 443)
			want := "CONNECT free.example:443 HTTP/1.1\r\nHost: free.example:443\r\nVia: 1.1 " + d.pseudonym + "\r\nProxy-Authorization: " + basic("gate:s3cret: x") + "\r\n\r\n"
			if head := asked.all()[0]; head != want {
				t.Errorf("the parent was asked\n%s, want\n%s", head, want)
			}
			if c.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if first, err := io.ReadAll(conn); string(first) != "first" || err != nil {
					t.Errorf("behind the answer came %q, %v", first, err)
				}
				return
			}
			dial, ok := errors.AsType[*DialError](err)
			if !ok || dial.Reason != c.reason || dial.Error() != "free.example:443: "+c.text {
				t.Fatalf("%v, want %s: %s", err, c.reason, c.text)
			}
			if f := failureOf(err); f.status != http.StatusBadGateway || f.detail != c.text {
				t.Errorf("%+v", f)
			}
		})
	}
}

// A parent that says nothing costs no more time than limits.dial, and none once the client has left.
func TestASlowParent(t *testing.T) {
	t.Parallel()
	p := rawOrigin(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
		_, _ = io.Copy(io.Discard, c)
	})
	d := NewDialer(DialConfig{Parent: parentAt(p.addr, "", ""), Timeout: 50 * time.Millisecond})
	_, err := d.Dial(t.Context(), host.MustParse("free.example"), 443)
	if dial, ok := errors.AsType[*DialError](err); !ok || dial.Reason != "parent" || !dial.Timeout() {
		t.Errorf("%v", err)
	}
	if f := failureOf(err); f.status != http.StatusGatewayTimeout || !strings.Contains(f.detail, "did not answer in time") {
		t.Errorf("%+v", f)
	}
	ctx, leave := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, leave)
	_, err = NewDialer(DialConfig{Parent: parentAt(p.addr, "", "")}).Dial(ctx, host.MustParse("free.example"), 443)
	if dial, ok := errors.AsType[*DialError](err); !ok || dial.Reason != "canceled" {
		t.Errorf("%v", err)
	}
}

// chain is a gateway behind another one, which wants a log-in.
type chain struct {
	*looker
	parent *rig
}

// newChain makes a chain. The hosts of setup are those of the parent; nobody else could tell where they are.
func newChain(t *testing.T, setup rigSetup, roots *x509.CertPool) *chain {
	t.Helper()
	parent := newRig(t, rigSetup{hosts: setup.hosts, change: asked(&people{passwords: map[string]string{"gate": "s3cret"}})})
	parent.enforceText("version: 1\n", policy.Allow)
	setup.hosts, setup.parent = nil, parentAt(parent.addr, "gate", "s3cret")
	return &chain{newLooker(t, setup, roots), parent}
}

// went tells of what kind the request for a path, or the tunnel to a host, was for the parent.
func (c *chain) went(t *testing.T, what string) string {
	t.Helper()
	return c.parent.records.wait(t, "record at the parent of "+what, func(rec audit.Record) bool {
		return rec.Path == what || rec.Kind == "tunnel" && rec.Host.String() == what
	}).Kind
}

// Every way leads through the parent: plain requests by their URL, all else by CONNECT.
func TestThroughAParent(t *testing.T) {
	t.Parallel()
	got := heads{newBox[string]()}
	plain := rawOrigin(t, func(c *net.TCPConn) {
		for {
			head := readHead(c)
			switch {
			case head == "":
				return
			case strings.Contains(head, "Upgrade: websocket"):
				got.note(head)
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
				return
			}
			got.note(head)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	first := rawOrigin(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "220 I speak first\r\n")
		_, _ = io.Copy(c, c)
	})
	cfg, roots, _ := secureConfig(t)
	secure := webServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var head strings.Builder
		_ = r.Header.Write(&head)
		got.note(head.String())
		greet(w, r)
	}), cfg)
	p := newPeople()
	c := newChain(t, rigSetup{
		hosts:  map[string]string{"free.example:80": plain.addr, "mail.example": first.addr, mixed: secure.addr},
		change: asked(p),
	}, roots)
	slow := new(atomic.Int64) // plain requests that the fast lane left to net/http
	forwarder := c.plain
	c.plain = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slow.Add(1)
		forwarder.ServeHTTP(w, r)
	})
	login := "Proxy-Authorization: " + basic("ann:of:ann") + "\r\n" // for the gateway, not for its parent
	w := c.wire()
	for _, path := range []string{"/1", "/2", "/3"} {
		w.send("GET http://free.example"+path+"?q HTTP/1.1\r\nHost: x\r\n"+login+"\r\n").answer(http.MethodGet).want(t, http.StatusOK)
		if kind := c.went(t, path); kind != "plain" {
			t.Errorf("%s went as %s", path, kind)
		}
	}
	w.send("POST http://free.example/4 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"+login+"\r\nbody").answer(http.MethodPost).want(t, http.StatusOK)
	if kind := c.went(t, "/4"); kind != "plain" {
		t.Errorf("/4 went as %s", kind)
	}
	if n := slow.Load(); n != 1 {
		t.Errorf("net/http served %d", n)
	}
	if n := c.parent.seen.count("opened"); n != 4 {
		t.Errorf("%d requests at the parent", n)
	}

	w = c.wire()
	w.send("GET http://free.example/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + login + "\r\n")
	if head := readHead(w); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Fatalf("%q", head)
	}
	w.expect("hello")
	if kind := c.went(t, "free.example"); kind != "tunnel" {
		t.Errorf("the WebSocket went as %s", kind)
	}

	w = c.wire()
	w.send("CONNECT mail.example:443 HTTP/1.1\r\nHost: x\r\n"+login+"\r\n").answer(http.MethodConnect).want(t, http.StatusOK)
	w.expect("220 I speak first\r\n")
	w.send("and I second").expect("and I second")

	w = c.socks().wire().send("\x05\x01\x02")
	w.expect("\x05\x02")
	w.send("\x01\x03ann\x06of:ann").expect("\x01\x00")
	w.send(socksConnect("mail.example", 443)).expect(succeeded)
	w.expect("220 I speak first\r\n")

	for _, http2 := range []bool{false, true} {
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			b := c.browser(http2)
			b.Transport.(*http.Transport).ProxyConnectHeader = http.Header{"Proxy-Authorization": {basic("ann:of:ann")}}
			c.ask(b, newRequest(t, method, "https://"+mixed+"/")).want(t, http.StatusOK)
		}
	}
	if kind := c.went(t, mixed); kind != "tunnel" {
		t.Errorf("what was intercepted went as %s", kind)
	}
	got.clean(t, 9)
	for _, rec := range c.parent.records.all() {
		if rec.User != "gate" {
			t.Errorf("at the parent %s %s was of the user %q", rec.Kind, rec.URL, rec.User)
		}
	}
	upstream := netip.MustParseAddrPort(c.parent.addr)
	c.records.wait(t, "record with the address of the parent", func(rec audit.Record) bool { return rec.Path == "/1" && rec.Upstream == upstream })
}

// What the operator said where it is, is dialled there; what is an address is judged; names are for the parent to look up.
func TestWhatAParentIsNotAskedFor(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	asked := newBox[string]()
	p := rawOrigin(t, func(c *net.TCPConn) {
		asked.add(readHead(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	r := newRig(t, rigSetup{
		hosts: map[string]string{"stand-in.example": o.addr}, allow: []string{"10.9.0.0/16"}, parent: parentAt(p.addr, "", ""),
	})
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		r.do(method, "http://stand-in.example/", nil).want(t, http.StatusOK)
		for _, target := range []string{"http://10.1.2.3/", "http://localhost/", "http://a.localhost/", "http://[::1]/", "http://[64:ff9b::a01:203]/", "http://169.254.169.254/"} {
			a := r.do(method, target, nil).want(t, http.StatusForbidden)
			if !strings.Contains(a.body, "guard.destination") {
				t.Errorf("%s: %s", target, a.body)
			}
		}
	}
	for _, authority := range []string{"10.1.2.3:443", "localhost:443", "[::ffff:127.0.0.1]:443"} {
		r.refused(authority, "", http.StatusForbidden)
	}
	r.refused("free.example:25", "", http.StatusForbidden)
	if n := len(asked.all()); n != 0 {
		t.Errorf("the parent was asked %q", asked.all())
	}
	r.get("http://10.9.1.1/").want(t, http.StatusOK)
	r.get("http://93.184.216.34/").want(t, http.StatusOK)
	r.get("http://inside.example/").want(t, http.StatusOK)
	for i, want := range []string{"GET http://10.9.1.1/ ", "GET http://93.184.216.34/ ", "GET http://inside.example/ "} {
		if head := asked.all()[i]; !strings.HasPrefix(head, want) || strings.Contains(strings.ToLower(head), "authorization") {
			t.Errorf("the parent was asked\n%s", head)
		}
	}
	if n := o.came.Load(); n == 0 {
		t.Error("the stand-in was not reached straight")
	}
}

// A parent with a name is looked up, and dialled wherever that leads.
func TestAParentWithAName(t *testing.T) {
	t.Parallel()
	p := scriptedOrigin(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	at := parentAt(p.addr, "", "")
	at.Name = host.MustParse("proxy.example")
	r := newRig(t, rigSetup{dns: map[string][]string{"proxy.example": {"127.0.0.1"}}, parent: at})
	r.get("http://free.example/").want(t, http.StatusOK)
	r = newRig(t, rigSetup{hosts: map[string]string{"proxy.example": p.addr}, parent: at})
	r.get("http://free.example/").want(t, http.StatusOK)
	r = newRig(t, rigSetup{parent: at})
	a := r.get("http://free.example/").want(t, http.StatusBadGateway)
	if !strings.Contains(a.body, "could not be reached: its name could not be resolved") || strings.Contains(a.body, "proxy.example") {
		t.Errorf("%s", a.body)
	}
}

// What goes wrong at the parent is told as such, and neither where it is nor how one logs in there.
func TestTroubleWithAParent(t *testing.T) {
	t.Parallel()
	gone := rawOrigin(t, func(*net.TCPConn) {})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	asks := scriptedOrigin(t, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"theirs\"\r\nContent-Length: 6\r\n\r\ntheirs")
	for name, c := range map[string]struct {
		parent string
		line   string // for the observer; empty: the ways differ
		detail string
		plain  bool // also for plain requests
	}{
		"not there":      {closed.Addr().String(), "dial failed parent", "could not be reached", true},
		"wants a log-in": {asks.addr, "dial failed parent-refused", "answered with the status 407", true},
		"breaks off":     {gone.addr, "dial failed parent", "broke off", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{parent: parentAt(c.parent, "gate", "s3cret")})
			answers := []answer{r.refused("free.example:443", "", http.StatusBadGateway)}
			if c.plain {
				answers = append(answers, r.get("http://free.example/").want(t, http.StatusBadGateway), r.do(http.MethodOptions, "http://free.example/", nil).want(t, http.StatusBadGateway))
			}
			for _, a := range answers {
				all := a.body + a.Header.Get("Proxy-Status")
				if !strings.Contains(a.body, c.detail) || !strings.Contains(a.Header.Get("Proxy-Status"), "error=destination_unavailable") {
					t.Errorf("%v\n%s", a.Header, a.body)
				}
				if strings.Contains(all, c.parent) || strings.Contains(all, "s3cret") || strings.Contains(all, "theirs") || a.Header.Get("Proxy-Authenticate") != "" {
					t.Errorf("it tells too much: %v\n%s", a.Header, a.body)
				}
			}
			if n := r.seen.count(c.line); n != len(answers) {
				t.Errorf("counted %d times: %v", n, r.seen.all())
			}
			logged := r.logs.FilterMessage("the parent proxy failed").All()
			if len(logged) != 1 || !strings.Contains(logged[0].ContextMap()["problem"].(string), c.detail) {
				t.Errorf("logged: %v", logged)
			}
			for _, entry := range r.logs.All() {
				for _, value := range entry.ContextMap() {
					if text, is := value.(string); is && (strings.Contains(text, "s3cret") || strings.Contains(text, basic("gate:s3cret")[6:])) {
						t.Errorf("logged: %s: %s", entry.Message, text)
					}
				}
			}
		})
	}
}

// A parent that leads back here is found out, by its address or by what its requests say.
func TestParentsThatLeadBack(t *testing.T) {
	t.Parallel()
	var leadsTo atomic.Value
	back := rawOrigin(t, func(c *net.TCPConn) {
		to, err := net.Dial("tcp", leadsTo.Load().(string))
		if err != nil {
			return
		}
		defer to.Close()
		go func() {
			_, _ = io.Copy(to, c)
			_ = to.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(c, to)
	})
	relay := newRig(t, rigSetup{parent: parentAt(back.addr, "", "")})
	leadsTo.Store(relay.addr)
	self := newRig(t, rigSetup{parent: parentAt(back.addr, "", ""), refused: []string{back.addr}})
	for name, r := range map[string]*rig{"by Via": relay, "by its address": self} {
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			a := r.do(method, "http://free.example/", nil).want(t, http.StatusBadGateway)
			if !strings.Contains(a.body, "leads back here") {
				t.Errorf("%s: %v\n%s", name, a.Header, a.body)
			}
		}
	}
	a := self.refused("free.example:443", "", http.StatusBadGateway)
	if !strings.Contains(a.Header.Get("Proxy-Status"), "error=proxy_loop_detected") {
		t.Errorf("%v", a.Header)
	}
	// Of a CONNECT only the status comes back.
	a = relay.refused("free.example:443", "", http.StatusBadGateway)
	if !strings.Contains(a.body, "answered with the status 502") {
		t.Errorf("%s", a.body)
	}
	if n := back.came.Load(); n > 8 {
		t.Errorf("round and round: %d connections", n)
	}
	// A gateway behind another one is no loop.
	o := webOrigin(t, greet)
	parent := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	behind := newRig(t, rigSetup{parent: parentAt(parent.addr, "", "")})
	behind.get("http://free.example/", "Via", "1.1 gracegate, 1.1 gracegate-ABCDEFGHIJKL").want(t, http.StatusOK)
}

func FuzzAnswerOfParent(f *testing.F) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 403 No\n\nx", "HTTP/1.1 407\r\n\r\n", "\n\n", "HTTP/1.1 200 OK\r\n: \r\n\r\n",
	} {
		f.Add([]byte(answer))
	}
	d := NewDialer(DialConfig{Parent: parentAt("127.0.0.1:1", "", "")})
	f.Fuzz(func(t *testing.T, answer []byte) {
		conn := &monologue{rest: answer}
		err := d.askFor(conn, "free.example:443")
		if parent, ok := errors.AsType[*parentError](err); err != nil && (!ok || parent.status/100 == 2) {
			t.Fatalf("%v", err)
		}
		if read := answer[:len(answer)-len(conn.rest)]; err == nil && (!strings.HasPrefix(string(read), "HTTP/1.") || read[len(read)-1] != '\n') {
			t.Fatalf("%q is a way", read)
		}
		if len(answer)-len(conn.rest) > maxParentHead {
			t.Fatalf("%d bytes were read", len(answer)-len(conn.rest))
		}
	})
}

// monologue is a connection to somebody who says something whatever is asked.
type monologue struct {
	net.Conn
	rest []byte
}

func (s *monologue) Write(p []byte) (int, error) { return len(p), nil }

func (s *monologue) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
