package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// people is an Authenticator: passwords by name. The user slow must wait.
type people struct {
	mu        sync.Mutex
	passwords map[string]string
	checks    atomic.Int64
	checked   func(user string) // called when a password was right; nil: nothing is
}

func (p *people) Check(_ context.Context, _ netip.Addr, user, password string) (ok bool, wait time.Duration) {
	p.checks.Add(1)
	if user == "slow" {
		return false, time.Second
	}
	if ok = p.has(user, password); ok && p.checked != nil {
		p.checked(user)
	}
	return ok, 0
}

func (p *people) has(user, password string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, is := p.passwords[user]
	return is && known == password
}

func (p *people) Knows(user string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, is := p.passwords[user]
	return is
}

func (p *people) forget(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.passwords, user)
}

func newPeople() *people {
	return &people{passwords: map[string]string{"ann": "of:ann", "jp-desk-4": "x", "Jürgen": "schön", "empty": ""}}
}

// asked has clients log in.
func asked(p *people) func(*Config) { return func(c *Config) { c.Auth = p } }

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

// Each form of the field, in the fast lane, by net/http, and for CONNECT.
func TestLogin(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	echo := echoOrigin(t)
	const closed, wrong, open, wait, fault = http.StatusProxyAuthRequired, -1, http.StatusOK, http.StatusTooManyRequests, http.StatusBadRequest
	cases := map[string]struct {
		lines string
		want  int // wrong: 407, and recorded as such
	}{
		"none":                    {"", closed},
		"empty":                   {"Proxy-Authorization:\r\n", closed},
		"right":                   {"Proxy-Authorization: " + basic("ann:of:ann") + "\r\n", open},
		"right, beyond ASCII":     {"Proxy-Authorization: " + basic("Jürgen:schön") + "\r\n", open},
		"right, and empty":        {"Proxy-Authorization: " + basic("empty:") + "\r\n", open},
		"other case":              {"proxy-AUTHORIZATION: bAsIc " + basic("ann:of:ann")[6:] + "\r\n", open},
		"blanks":                  {"Proxy-Authorization: \t Basic    " + basic("ann:of:ann")[6:] + " \t\r\n", open},
		"wrong password":          {"Proxy-Authorization: " + basic("ann:of:Ann") + "\r\n", wrong},
		"wrong name":              {"Proxy-Authorization: " + basic("Ann:of:ann") + "\r\n", wrong},
		"no name":                 {"Proxy-Authorization: " + basic(":of:ann") + "\r\n", wrong},
		"no colon":                {"Proxy-Authorization: " + basic("ann") + "\r\n", wrong},
		"nothing":                 {"Proxy-Authorization: Basic\r\n", wrong},
		"no base64":               {"Proxy-Authorization: Basic ann:of:ann\r\n", wrong},
		"base64 without its end":  {"Proxy-Authorization: " + strings.TrimRight(basic("ann:of:an"), "=") + "\r\n", wrong},
		"base64, and more":        {"Proxy-Authorization: " + basic("ann:of:ann") + " x\r\n", wrong},
		"a tab":                   {"Proxy-Authorization: Basic\t" + basic("ann:of:ann")[6:] + "\r\n", closed},
		"no UTF-8":                {"Proxy-Authorization: " + basic("J\xfcrgen:sch\xf6n") + "\r\n", wrong},
		"a control character":     {"Proxy-Authorization: " + basic("ann\n{\"level\":\"error\"}:x") + "\r\n", wrong},
		"a NUL in the password":   {"Proxy-Authorization: " + basic("ann:of:ann\x00") + "\r\n", wrong},
		"8 KiB":                   {"Proxy-Authorization: " + basic("ann:"+strings.Repeat("x", 6000)) + "\r\n", wrong},
		"another scheme":          {"Proxy-Authorization: Bearer " + basic("ann:of:ann")[6:] + "\r\n", closed},
		"too many guesses":        {"Proxy-Authorization: " + basic("slow:x") + "\r\n", wait},
		"twice":                   {strings.Repeat("Proxy-Authorization: "+basic("ann:of:ann")+"\r\n", 2), fault},
		"twice, and one is empty": {"Proxy-Authorization: " + basic("ann:of:ann") + "\r\nProxy-Authorization:\r\n", fault},
		"for the origin":          {"Authorization: " + basic("ann:of:ann") + "\r\n", closed},
	}
	requests := map[string]string{
		"fast lane": "GET http://free.example/ HTTP/1.1\r\nHost: x\r\n",
		"net/http":  "OPTIONS http://free.example/ HTTP/1.1\r\nHost: x\r\n",
		"HTTP/1.0":  "GET http://free.example/ HTTP/1.0\r\n",
		"CONNECT":   "CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\n",
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, head := range requests {
				r := newRig(t, rigSetup{hosts: map[string]string{"free.example:80": o.addr, "free.example:443": echo.addr}, change: asked(newPeople())})
				method, _, _ := strings.Cut(head, " ")
				a := r.wire().send(head + c.lines + "\r\n").answer(method)
				want := c.want
				if c.want == wrong {
					want = closed
				}
				if a.StatusCode != want || a.err != nil {
					t.Errorf("%s: status %d, want %d\n%v\n%s", kind, a.StatusCode, want, a.Header, a.body)
				}
				if want == closed {
					r.observed("guarded auth")
					wantChallenge(t, a)
				}
				if refused := r.wrongLogins(); (c.want == wrong) != (refused == 1) {
					t.Errorf("%s: %d records of a refusal", kind, refused)
				}
			}
		})
	}
}

// wrongLogins counts the records of refusals by the guard.
func (r *rig) wrongLogins() (n int) {
	for _, rec := range r.records.all() {
		if rec.Event == audit.Refused && rec.Guard == "auth" {
			n++
		}
	}
	return n
}

func wantChallenge(t *testing.T, a answer) {
	t.Helper()
	for field, want := range map[string]string{
		"Proxy-Authenticate": `Basic realm="gracegate", charset="UTF-8"`, "Cache-Control": "no-store", "Retry-After": "",
		"Content-Type": "application/problem+json",
	} {
		if got := a.Header.Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	if got := a.Header.Get("Proxy-Status"); !strings.HasPrefix(got, `gracegate; error=http_request_denied; details="auth: `) {
		t.Errorf("Proxy-Status: %q", got)
	}
	if !strings.Contains(a.body, `"reason": "guard.auth"`) && a.Request.Method != http.MethodHead {
		t.Errorf("the body: %s", a.body)
	}
}

// A browser is told on a page, and asked on the connection that it has.
func TestLoginIsAskedForOnTheSameConnection(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: asked(newPeople())})
	w := r.wire()
	for _, lines := range []string{"", "Content-Length: 0\r\n"} { // the second by net/http
		head := "GET http://free.example/ HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n" + lines
		a := w.send(head+"\r\n").answer(http.MethodGet).want(t, http.StatusProxyAuthRequired)
		if a.Close || !strings.Contains(a.body, "<h1>") || !strings.Contains(a.body, "Log in with your user name and password.") {
			t.Errorf("closing %v: %s", a.Close, a.body)
		}
		w.send(head+"Proxy-Authorization: "+basic("ann:of:ann")+"\r\n\r\n").answer(http.MethodGet).want(t, http.StatusOK)
	}
	if n := r.seen.count("guarded auth"); n != 2 {
		t.Errorf("%d were guarded", n)
	}
	if n := r.wrongLogins(); n != 0 {
		t.Errorf("%d records of clients that had not been asked yet", n)
	}
}

// What a client needs before it can log in, it gets.
func TestPagesOfTheGatewayNeedNoLogin(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{change: func(c *Config) {
		c.Auth = newPeople()
		c.Local = http.HandlerFunc(greet)
	}})
	if a := r.wire().send("GET /proxy.pac HTTP/1.1\r\nHost: x\r\n\r\n").answer(http.MethodGet).want(t, http.StatusOK); a.body != "hello from the origin" {
		t.Errorf("%q", a.body)
	}
}

// Who logged in is known to the policy, and to the record.
func TestUsersInThePolicy(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	cfg, roots, _ := secureConfig(t)
	secure := webServer(t, http.HandlerFunc(greet), cfg)
	l := newLooker(t, rigSetup{hosts: map[string]string{"cloud.acme.example": o.addr, "free.example": o.addr, mixed: secure.addr}, change: asked(newPeople())}, roots)
	r := l.rig
	r.enforceText(`
version: 1
default-site: {jurisdictions: []}
persons: [{name: us-staff-abroad, users: [jp-desk-4, Jürgen], jurisdictions: [US]}]
restrictions: [{id: test-2024-001, mode: enforce}]
waivers:
  - {id: W-1, users: [Jürgen], hosts: [cloud.acme.example], until: 2025-01-01T00:00:00Z, owner: ops, reason: "tests"}
`, policy.Allow)
	for _, c := range []struct {
		pair   string
		status int
	}{
		{"ann:of:ann", http.StatusOK},
		{"jp-desk-4:x", http.StatusUnavailableForLegalReasons},
		{"Jürgen:schön", http.StatusOK},
	} {
		user, _, _ := strings.Cut(c.pair, ":")
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r.do(method, "http://cloud.acme.example/", nil, "Proxy-Authorization", basic(c.pair)).want(t, c.status)
			r.records.wait(t, "record of "+user, func(rec audit.Record) bool { return rec.User == user && rec.Method == method && rec.Status == c.status })
		}
	}
	// The path decides here, which interception shows: the requests inside need no log-in of their own, and are of the same user.
	for _, http2 := range []bool{false, true} {
		b := l.browser(http2)
		b.Transport.(*http.Transport).ProxyConnectHeader = http.Header{"Proxy-Authorization": {basic("jp-desk-4:x")}}
		for path, status := range map[string]int{"/": http.StatusOK, "/v6/a": http.StatusUnavailableForLegalReasons} {
			l.look(b, "https://"+mixed+path).want(t, status)
			r.records.wait(t, "record of "+path, func(rec audit.Record) bool {
				return rec.User == "jp-desk-4" && rec.Kind == "intercepted" && rec.Path == path && rec.Status == status
			})
		}
	}
}

// No password and no name that somebody made up reaches the log or the records.
func TestWrongLoginsInTheLog(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{change: asked(newPeople())})
	for _, pair := range []string{"ann:s3cret-1", "ann:s3cret-2", "s3cret-3:", "an\x1b[31mn:s3cret-4"} {
		r.get("http://user.example/", "Proxy-Authorization", basic(pair)).want(t, http.StatusProxyAuthRequired)
		r.refused("user.example:443", "Proxy-Authorization: "+basic(pair)+"\r\n", http.StatusProxyAuthRequired)
	}
	if n := r.wrongLogins(); n != 8 {
		t.Errorf("%d records", n)
	}
	for _, rec := range r.records.all() {
		if rec.User != "" || rec.Guard != "auth" || rec.Status != http.StatusProxyAuthRequired {
			t.Errorf("record of %q, guard %q, status %d", rec.User, rec.Guard, rec.Status)
		}
		if text := fmt.Sprintf("%+v", rec); strings.Contains(text, "s3cret") || strings.Contains(text, basic("ann:s3cret-1")[6:]) {
			t.Errorf("the record %s", text)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	users := map[any]bool{}
	for _, entry := range r.logs.All() {
		fields := entry.ContextMap()
		if strings.Contains(entry.Message, "s3cret") {
			t.Errorf("log: %s", entry.Message)
		}
		for name, value := range fields {
			if text, is := value.(string); is && strings.Contains(text, "s3cret") {
				t.Errorf("log: %s has %s %q", entry.Message, name, text)
			}
		}
		if entry.Message == "log-in failed" {
			users[fields["user"]] = true
		}
	}
	if !users["ann"] || !users[nil] || len(users) != 2 {
		t.Errorf("the log tells of %v", users)
	}
}

// heads keeps the heads that an origin gets.
type heads struct{ *box[string] }

func (h heads) note(head string) {
	h.add(head)
}

// clean fails if one of them holds a credential of the proxy, or if there are not so many.
func (h heads) clean(t *testing.T, n int) {
	t.Helper()
	all := h.all()
	if len(all) != n {
		t.Errorf("the origin got %d requests, want %d", len(all), n)
	}
	for _, head := range all {
		if lower := strings.ToLower(head); strings.Contains(lower, "proxy-authorization") || strings.Contains(head, basic("ann:of:ann")[6:]) {
			t.Errorf("the origin got\n%s", head)
		}
	}
}

// Credentials stay here, whatever way a request goes.
func TestCredentialsGoNoFurther(t *testing.T) {
	t.Parallel()
	for _, auth := range []*people{nil, newPeople()} { // where nobody asked for them, too
		credentials := "Proxy-Authorization: " + basic("ann:of:ann") + "\r\n"
		setup := rigSetup{}
		if auth != nil {
			setup.change = asked(auth)
		}
		t.Run("plain", func(t *testing.T) {
			t.Parallel()
			got := heads{newBox[string]()}
			once := new(atomic.Bool)
			o := rawOrigin(t, func(c *net.TCPConn) {
				for {
					head := readHead(c)
					if head == "" {
						return
					}
					got.note(head)
					if strings.Contains(head, "/stale") && once.CompareAndSwap(false, true) {
						return // just as the connection was used again
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
			s := setup
			s.hosts = map[string]string{"free.example": o.addr}
			r := newRig(t, s)
			w := r.wire()
			for _, head := range []string{
				"GET http://free.example/ HTTP/1.1\r\nHost: x\r\n",
				"GET http://free.example/again HTTP/1.1\r\nHost: x\r\n",
				"GET http://free.example/stale HTTP/1.1\r\nHost: x\r\n",
				"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Proxy-Authorization\r\n",
				"OPTIONS http://free.example/ HTTP/1.1\r\nHost: x\r\n",
				"POST http://free.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n",
			} {
				method, _, _ := strings.Cut(head, " ")
				w.send(head+credentials+"\r\n").answer(method).want(t, http.StatusOK)
			}
			got.clean(t, 7)
		})
		t.Run("WebSocket", func(t *testing.T) {
			t.Parallel()
			got := heads{newBox[string]()}
			o := rawOrigin(t, func(c *net.TCPConn) {
				got.note(readHead(c))
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
			})
			s := setup
			s.hosts = map[string]string{"free.example": o.addr}
			w := newRig(t, s).wire()
			w.send("GET http://free.example/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + credentials + "\r\n")
			if head := readHead(w); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
				t.Fatalf("%q", head)
			}
			w.expect("hello")
			got.clean(t, 1)
		})
		t.Run("CONNECT", func(t *testing.T) {
			t.Parallel()
			got := newBox[string]()
			o := rawOrigin(t, func(c *net.TCPConn) {
				line, _ := bufio.NewReader(c).ReadString('\n')
				got.add(line)
			})
			s := setup
			s.hosts = map[string]string{"free.example": o.addr}
			w := newRig(t, s).wire()
			w.send("CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\n"+credentials+"\r\n").answer(http.MethodConnect).want(t, http.StatusOK)
			w.send("first\n")
			if line := got.wait(t, "line", func(string) bool { return true }); line != "first\n" {
				t.Errorf("%q", line)
			}
		})
		t.Run("intercepted", func(t *testing.T) {
			t.Parallel()
			cfg, roots, _ := secureConfig(t)
			got := heads{newBox[string]()}
			o := webServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var head strings.Builder
				_ = r.Header.Write(&head)
				got.note(head.String())
				greet(w, r)
			}), cfg)
			s := setup
			s.hosts = map[string]string{mixed: o.addr}
			l := newLooker(t, s, roots)
			for _, http2 := range []bool{false, true} {
				for _, method := range []string{http.MethodGet, http.MethodOptions} {
					b := l.browser(http2)
					b.Transport.(*http.Transport).ProxyConnectHeader = http.Header{"Proxy-Authorization": {basic("ann:of:ann")}}
					l.ask(b, newRequest(t, method, "https://"+mixed+"/", "Proxy-Authorization", basic("ann:of:ann"))).want(t, http.StatusOK)
				}
			}
			got.clean(t, 4)
		})
	}
}

// Whoever is taken out of the file is out: the tunnels end, and those of others stay.
func TestLogOut(t *testing.T) {
	t.Parallel()
	echo := echoOrigin(t)
	p := newPeople()
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": echo.addr}, change: asked(p)})
	open := func(pair string) *wire {
		w := r.wire()
		w.send("CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: "+basic(pair)+"\r\n\r\n").answer(http.MethodConnect).want(t, http.StatusOK)
		w.send("in").expect("in")
		return w
	}
	ann, other := open("ann:of:ann"), open("jp-desk-4:x")
	p.forget("ann")
	r.LogOut()
	if err := ann.end(); !isReset(err) {
		t.Errorf("it ends with %v", err)
	}
	other.send("still in").expect("still in")
	rec := r.records.wait(t, "end of ann's", func(rec audit.Record) bool { return rec.User == "ann" && rec.Event == audit.End })
	if rec.Ended != "logged-out" {
		t.Errorf("it ended by %q", rec.Ended)
	}
	r.get("http://free.example/", "Proxy-Authorization", basic("ann:of:ann")).want(t, http.StatusProxyAuthRequired)
}

// Whoever is taken out of the file just when the password was found to be right gets nowhere.
func TestLogOutBehindTheLogin(t *testing.T) {
	t.Parallel()
	cfg, roots, _ := secureConfig(t)
	secure := webServer(t, http.HandlerFunc(greet), cfg)
	const credentials = "Proxy-Authorization: Basic YW5uOm9mOmFubg==\r\n\r\n"
	for name, head := range map[string]string{
		"tunnel":      "CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\n",
		"intercepted": "CONNECT " + mixed + ":443 HTTP/1.1\r\nHost: x\r\n",
		"fast lane":   "GET http://free.example/ HTTP/1.1\r\nHost: x\r\n",
		"net/http":    "OPTIONS http://free.example/ HTTP/1.1\r\nHost: x\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeople()
			p.checked = p.forget
			l := newLooker(t, rigSetup{hosts: map[string]string{"free.example": secure.addr, mixed: secure.addr}, change: func(c *Config) {
				asked(p)(c)
				c.Ungoverned = true
			}}, roots)
			w := l.wire().send(head + credentials)
			if got, _ := w.rest(); strings.HasPrefix(got, "HTTP/1.1 2") {
				t.Errorf("the client got %q", got)
			}
			if rec := l.recorded(audit.End); rec.Ended != "logged-out" || rec.User != "ann" || rec.Upstream.IsValid() {
				t.Errorf("recorded %+v", rec)
			}
		})
	}
}

func TestRealClientsLogIn(t *testing.T) {
	t.Parallel()
	cfg, roots, root := secureConfig(t)
	secure := webServer(t, http.HandlerFunc(greet), cfg)
	plain := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example:80": plain.addr, "free.example:443": secure.addr}, change: asked(newPeople())})
	pem := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(pem, root, 0o600); err != nil {
		t.Fatal(err)
	}
	curl := func(args ...string) (string, int) {
		return program(t, "", "curl", append([]string{"-sS", "--max-time", "15", "--cacert", pem, "-x", "http://" + r.addr}, args...)...)
	}
	wget := func(password, url string) (string, int) {
		return program(t, "", "wget", "-q", "-O", "-", "--tries=1", "--timeout=15", "--ca-certificate="+pem, "-e", "use_proxy=yes",
			"-e", "http_proxy=http://"+r.addr, "-e", "https_proxy=http://"+r.addr, "--proxy-user=jp-desk-4", "--proxy-password="+password, url)
	}
	for _, target := range []string{"http://free.example/", "https://free.example/"} {
		for _, args := range [][]string{{"-U", "ann:of:ann"}, {"-U", "Jürgen:schön"}, {"--proxy-anyauth", "-U", "ann:of:ann"}, {"--proxy1.0", r.addr, "-U", "ann:of:ann"}} {
			if out, code := curl(append(args, target)...); code != 0 || out != "hello from the origin" {
				t.Errorf("curl %v %s: exit %d: %s", args, target, code, out)
			}
		}
		if out, code := wget("x", target); code != 0 || out != "hello from the origin" {
			t.Errorf("wget %s: exit %d: %s", target, code, out)
		}
		if out, code := wget("y", target); code == 0 {
			t.Errorf("wget %s: with a wrong password: %s", target, out)
		}
		out, _ := curl("-U", "ann:of:Ann", "-o", "/dev/null", "-w", "%{http_code} %{http_connect}", target)
		if !strings.Contains(out, "407") {
			t.Errorf("curl %s with a wrong password: %s", target, out)
		}
		c := &http.Client{Timeout: patience, Transport: &http.Transport{
			Proxy: http.ProxyURL(&url.URL{User: url.UserPassword("ann", "of:ann"), Scheme: "http", Host: r.addr}), TLSClientConfig: &tls.Config{RootCAs: roots},
		}}
		resp, err := c.Get(target)
		if err != nil {
			t.Fatalf("net/http %s: %v", target, err)
		}
		readAnswer(resp).want(t, http.StatusOK)
		c.CloseIdleConnections()
	}
}

// What is read of the field is what net/http reads, if anything is.
func FuzzBasicCredentials(f *testing.F) {
	for _, field := range []string{"", "Basic", "Basic " + "YW5uOm9mOmFubg==", "bAsIc   YW5uOg==", "Basic YW5u", "Bearer YW5uOg==", "Basic " + strings.Repeat("A", 3000), basic("a\x00:b"), basic("\xff:b")} {
		f.Add(field)
	}
	f.Fuzz(func(t *testing.T, field string) {
		user, password, sent := basicCredentials(field)
		if !sent && user+password != "" || len(user)+len(password) > maxCredentials {
			t.Fatalf("%q: %q, %q, %v", field, user, password, sent)
		}
		if user == "" {
			return
		}
		scheme, rest, _ := strings.Cut(field, " ")
		twin := &http.Request{Header: http.Header{"Authorization": {scheme + " " + strings.TrimLeft(rest, " ")}}}
		if u, p, ok := twin.BasicAuth(); !ok || u != user || p != password {
			t.Fatalf("%q: %q and %q, by net/http %q and %q, %v", field, user, password, u, p, ok)
		}
		if strings.ContainsAny(user, ":\r\n\x00") || strings.ContainsAny(password, "\r\n\x00") {
			t.Fatalf("%q: %q and %q", field, user, password)
		}
	})
}
