package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

func TestConnectRefusedBeforeAnyDial(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	hosts := map[string]string{}
	for _, name := range []string{"free.example", "cloud.acme.example", "upd.acme.example", "games.example", "licence.acme.example"} {
		hosts[name] = o.addr
	}
	r := newRig(t, rigSetup{hosts: hosts})
	r.clock.set(deadline)
	for _, c := range []struct {
		authority, header string
		status            int
	}{
		{"free.example", "", http.StatusBadRequest},
		{"free.example:", "", http.StatusBadRequest},
		{"free.example:0", "", http.StatusBadRequest},
		{"free.example:65979", "", http.StatusBadRequest}, // 443 beyond 2^16
		{"/", "", http.StatusBadRequest},
		{"http://free.example:443/", "", http.StatusBadRequest},
		{"user@free.example:443", "", http.StatusBadRequest},
		{"free.example:22", "", http.StatusForbidden},
		{"free.example:8443", "", http.StatusForbidden},
		{"cloud.acme.example:443", "", http.StatusUnavailableForLegalReasons},
		{"upd.acme.example:443", "", http.StatusUnavailableForLegalReasons},
		{"deep.upd.acme.example.:443", "", http.StatusUnavailableForLegalReasons},
		{"upd.acme.example:80", "", http.StatusUnavailableForLegalReasons},
		{"licence.acme.example:27200", "", http.StatusUnavailableForLegalReasons},
		{"games.example:443", "", http.StatusForbidden},
		{"cloud.acme.example:443", "Accept: text/html\r\n", http.StatusUnavailableForLegalReasons},
		{"free.example:443", "Content-Length: 1\r\n", http.StatusBadRequest},
		{"free.example:443", "Transfer-Encoding: chunked\r\n", http.StatusBadRequest},
	} {
		a := r.refused(c.authority, c.header, c.status)
		if !a.Close || a.body == "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %q", c.authority, a.Header, a.body)
		}
		if html := strings.HasPrefix(a.body, "<!DOCTYPE"); html != strings.HasPrefix(c.header, "Accept") {
			t.Errorf("%s: a page %v: %s", c.authority, html, a.body)
		}
	}
	if n := o.came.Load(); n != 0 {
		t.Errorf("the origin was dialled %d times", n)
	}
	for _, rec := range r.records.all() {
		if rec.Event != audit.Refused || rec.Kind != "tunnel" || rec.Status < 400 || rec.Upstream.IsValid() {
			t.Errorf("record: %+v", rec)
		}
	}
	if n := len(r.records.all()); n != 9 {
		t.Errorf("%d records", n)
	}
}

func TestARefusedConnectIsRecordedBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.refused("cloud.acme.example:443", "", http.StatusUnavailableForLegalReasons)
	all := r.records.all()
	if len(all) != 1 || all[0].Event != audit.Refused || all[0].Cause.ID != "test-2024-001" || all[0].State != policy.Blocked {
		t.Errorf("records: %+v", all)
	}
	if got := r.seen.all(); len(got) != 1 || got[0] != "decided block blocked" {
		t.Errorf("observed: %v", got)
	}
}

// What a client sends with its CONNECT is neither lost nor judged differently, nor does a refused one get it anywhere.
func TestEarlyBytes(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	connect := func(authority, early string) *wire {
		return r.wire().send("CONNECT " + authority + " HTTP/1.1\r\nHost: x\r\n\r\n" + early)
	}
	for _, early := range []string{helloFor("free.example"), "not TLS", helloFor("free.example") + strings.Repeat("x", 200<<10)} {
		w := connect("free.example:443", early)
		w.answer(http.MethodConnect).want(t, http.StatusOK)
		w.expect("seen")
		_ = w.CloseWrite()
		o.got.wait(t, "all of it", func(got string) bool { return got == early })
	}
	half := helloFor("free.example")
	w := connect("free.example:443", half[:7])
	w.answer(http.MethodConnect).want(t, http.StatusOK)
	w.send(half[7:])
	w.expect("seen")

	before := o.came.Load()
	w = connect("free.example:443", helloFor("cloud.acme.example"))
	w.answer(http.MethodConnect).want(t, http.StatusOK)
	w.expect(accessDenied)
	w = connect("cloud.acme.example:443", "GET http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
	w.answer(http.MethodConnect).want(t, http.StatusUnavailableForLegalReasons)
	if got, err := w.rest(); got != "" {
		t.Errorf("after a refusal: %q, %v", got, err)
	}
	if n := o.came.Load() - before; n != 1 {
		t.Errorf("%d connections to the origin", n)
	}
}

func TestConnectByAnOldClient(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire().send("CONNECT free.example:443 HTTP/1.0\r\n\r\n")
	w.answer(http.MethodConnect).want(t, http.StatusOK)
	w.send(helloFor("free.example")).expect("seen")
}

func TestAClientThatIsNotAdmitted(t *testing.T) {
	t.Parallel()
	nobodyIs, err := NewClients([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, rigSetup{change: func(c *Config) { c.Clients = nobodyIs }})
	r.refused("free.example:443", "", http.StatusForbidden)
	r.send("http://free.example/", "x").want(t, http.StatusForbidden)
	r.send("/proxy.pac", "x").want(t, http.StatusForbidden)
	if n := r.seen.count("guarded client"); n != 3 || len(r.records.all()) != 0 {
		t.Errorf("%d guarded, records %v", n, r.records.all())
	}
	r.quiet.close()
	lines := r.logs.FilterMessage("client refused")
	if heardIn(lines) != 3 || lines.All()[0].ContextMap()["hint"] != "to admit it: clients.allow: [192.0.2.0/24, 127.0.0.1/32]" {
		t.Errorf("logged: %v", lines.All())
	}
}

func TestAClientThatLeavesDuringTheDial(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{dns: map[string][]string{"slow.example": {"silence"}}})
	w := r.wire().send("CONNECT slow.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
	r.observed("opened tunnel")
	reset(w.TCPConn)
	r.observed("closed tunnel canceled")
}

func TestANameThatDoesNotResolveInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{dns: map[string][]string{"slow.example": {"silence"}}, change: func(c *Config) {
		c.Dialer.timeout = 100 * time.Millisecond
	}})
	a := r.refused("slow.example:443", "", http.StatusGatewayTimeout)
	if got := a.Header.Get("Proxy-Status"); !strings.HasPrefix(got, "gracegate; error=dns_timeout;") {
		t.Error(got)
	}
	r.send("http://slow.example/", "x").want(t, http.StatusGatewayTimeout)
}

func TestADeadlineBetweenConnectAndHello(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
	r.clock.set(deadline.Add(-1))
	w := r.tunnel("upd.acme.example:443")
	r.clock.set(deadline)
	w.send(helloFor("upd.acme.example")).expect(accessDenied)
	if err := w.end(); !errors.Is(err, io.EOF) {
		t.Errorf("after the alert: %v", err)
	}
	if got := o.only(t); got != "" {
		t.Errorf("the origin got %q", got)
	}
	if rec := r.recorded(audit.Refused); rec.State != policy.Blocked || rec.Ended != "refused" || !rec.PolicyTime.Equal(deadline) {
		t.Errorf("record: %+v", rec)
	}
	if n := r.seen.count("decided"); n != 1 {
		t.Errorf("observed %v", r.seen.all())
	}
}

func TestAPolicySwappedBetweenConnectAndHello(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.tunnel("free.example:443")
	r.enforce("default: block", policy.Block)
	w.send(helloFor("free.example")).expect(accessDenied)
	r.refused("free.example:443", "", http.StatusForbidden)
	r.enforce("", policy.Block)
	r.tunnel("free.example:443").send(helloFor("free.example")).expect("seen")
}

// The recorder is asked for each decision anew.
func TestRecordsFailBetweenConnectAndHello(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr, "free.example": o.addr}})
	w := r.tunnel("upd.acme.example:443")
	r.failing.Store(true)
	w.send(helloFor("upd.acme.example")).expect(accessDenied)
	r.refused("upd.acme.example:443", "", http.StatusServiceUnavailable)

	free := r.tunnel("free.example:443")
	r.failing.Store(false)
	free.send(helloFor("upd.acme.example")).expect("seen")
}

func TestConnectToEveryOriginOfAName(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	_, port, err := net.SplitHostPort(o.addr)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, rigSetup{
		dns: map[string][]string{"both.example": {"10.0.0.1 127.0.0.1"}}, allow: []string{"127.0.0.1/32"},
		change: func(c *Config) { c.Ports = func(uint16) bool { return true } },
	})
	r.tunnel("both.example:" + port).send(helloFor("both.example")).expect("seen")
}
