package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// pieces sends what a client says in these pieces, each in a segment of its own as far as the system lets it.
func (w *wire) pieces(all string, size int) {
	w.t.Helper()
	for len(all) > 0 {
		n := min(size, len(all))
		w.send(all[:n])
		all = all[n:]
	}
}

// A hello of any shape arrives at the origin byte for byte, with what follows it.
func TestHellosOfManyShapes(t *testing.T) {
	t.Parallel()
	name := sniExt("free.example")
	message := helloMessage(name)
	goHello := recordedHello(t, &tls.Config{ServerName: "free.example", NextProtos: []string{"h2", "http/1.1"}})
	for what, sent := range map[string]string{
		"small":                    helloFor("free.example"),
		"behind a large extension": helloRecords(helloMessage(padExt(40<<10), name), 1<<14),
		"of 64 KiB":                helloRecords(helloMessage(name, padExt(65536-4-2-32-1-6-2-2-4-len(name.data)-4)), 1<<14),
		"over several records":     helloRecords(message, 16),
		"over records of one byte": helloRecords(message, 1),
		"with GREASE ECH":          helloRecords(helloMessage(name, greaseECH()), 1<<14),
		"post-quantum":             goHello,
		"TLS 1.2":                  recordedHello(t, &tls.Config{ServerName: "free.example", MaxVersion: tls.VersionTLS12}),
		"with early data":          helloRecords(helloMessage(name, helloExt{42, nil}), 1<<14) + "\x14\x03\x03\x00\x01\x01" + "\x17\x03\x03\x00\x05early",
		"with an odd spelling":     helloFor("FREE.example"),
	} {
		for how, size := range map[string]int{"at once": 1 << 20, "one byte first": 0, "in segments": 100} {
			t.Run(what+" "+how, func(t *testing.T) {
				t.Parallel()
				o := newSink(t)
				r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, settings: "unseen: {mismatch: block, no-sni: block, not-tls: block}"})
				w := r.tunnel("free.example:443")
				if size == 0 {
					w.send(sent[:1])
					w.send(sent[1:])
				} else {
					w.pieces(sent, size)
				}
				w.expect("seen")
				w.send("more")
				_ = w.CloseWrite()
				if got := o.only(t); got != sent+"more" {
					t.Errorf("the origin got %d bytes, %.100q, want %d", len(got), got, len(sent)+4)
				}
				if rec := r.recorded(audit.End); rec.SNI.String() != "free.example" || rec.Hello != policy.HelloWithName || rec.BytesIn != int64(len(sent)+4) || rec.BytesOut != 4 {
					t.Errorf("record: %+v", rec)
				}
			})
		}
	}
	if len(goHello) < 1400 {
		t.Errorf("Go's hello has %d bytes: not post-quantum", len(goHello))
	}
}

// What is refused at the hello: TLS clients are told, and the origin gets no byte of it.
func TestHellosThatAreRefused(t *testing.T) {
	t.Parallel()
	strict := "unseen: {no-sni: block, not-tls: block, mismatch: block, ech: block}"
	name := sniExt("free.example")
	cases := map[string]struct {
		settings  string
		authority string
		sent      string
		end       string // what the client gets; empty: a reset
		cause     string
	}{
		"another name, blocked":             {"", "free.example", helloFor("cloud.acme.example"), accessDenied, "test-2024-001"},
		"another name, blocked by a rule":   {"", "free.example", helloFor("games.example"), accessDenied, "no-games"},
		"another name, neither governed":    {strict, "free.example", helloFor("other.example"), accessDenied, "mismatch"},
		"two names":                         {"", "free.example", helloRecords(helloMessage(sniExt("free.example", "free.example")), 1<<14), accessDenied, "unreadable"},
		"two extensions":                    {"", "free.example", helloRecords(helloMessage(name, name), 1<<14), accessDenied, "unreadable"},
		"a name that is none":               {"", "free.example", helloFor("fr ee"), accessDenied, "unreadable"},
		"no name":                           {strict, "free.example", helloRecords(helloMessage(), 1<<14), accessDenied, "no-sni"},
		"over 64 KiB":                       {"", "free.example", helloRecords(helloMessage(name, padExt(40<<10), padExt(40<<10)), 1<<14), accessDenied, "unreadable"},
		"ECH":                               {strict, "free.example", helloRecords(helloMessage(name, greaseECH()), 1<<14), accessDenied, "ech"},
		"not TLS":                           {strict, "free.example", "SSH-2.0-OpenSSH_9.2\r\n", "", "not-tls"},
		"plain HTTP":                        {strict, "free.example", "GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n\r\n", "", "not-tls"},
		"an alert first":                    {strict, "free.example", "\x15\x03\x01\x00\x02\x01\x00" + helloFor("free.example"), accessDenied, ""},
		"blocked name behind a free one":    {"", "reports.acme.example", helloFor("cloud.acme.example"), accessDenied, "test-2024-001"},
		"never finished, the client leaves": {"", "free.example", helloFor("free.example")[:30], accessDenied, "unreadable"},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o := newSink(t)
			r := newRig(t, rigSetup{hosts: map[string]string{c.authority: o.addr}, settings: c.settings})
			w := r.tunnel(c.authority + ":443")
			w.send(c.sent)
			if strings.HasPrefix(what, "never finished") {
				_ = w.CloseWrite()
			}
			got, err := w.rest()
			rec := r.recorded(audit.Refused)
			if c.cause == "" { // hello tells what that is; it must not pass
				c.cause = rec.Cause.ID
				if rec.Hello == policy.HelloNotTLS {
					c.end = ""
				}
			}
			if got != c.end || (err != nil) != (c.end == "") {
				t.Errorf("the client got %q, %v, want %q", got, err, c.end)
			}
			if rec.Cause.ID != c.cause || rec.Ended != "refused" || rec.Status != http.StatusOK {
				t.Errorf("record: %+v", rec)
			}
			_ = w.Close()
			if got := o.only(t); got != "" {
				t.Errorf("the origin got %q", got)
			}
			if n := r.seen.count("decided"); n != 1 {
				t.Errorf("observed %v", r.seen.all())
			}
			r.observed("closed tunnel refused")
		})
	}
}

func TestWhatUnseenSettingsAllow(t *testing.T) {
	t.Parallel()
	for what, sent := range map[string]string{
		"not TLS":                  "SSH-2.0-OpenSSH_9.2\r\n",
		"no name":                  helloRecords(helloMessage(), 1<<14),
		"another name, ungoverned": helloFor("other.example"),
		"another name, exempt":     helloFor("reports.acme.example"),
		"another name, in grace":   helloFor("upd.acme.example"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o := newSink(t)
			r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
			w := r.tunnel("free.example:443")
			w.send(sent).expect("seen")
			_ = w.CloseWrite()
			if got := o.only(t); got != sent {
				t.Errorf("the origin got %q", got)
			}
		})
	}
	t.Run("an unreadable hello", func(t *testing.T) {
		t.Parallel()
		o := newSink(t)
		r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, settings: "unseen: {unreadable: allow}"})
		two := helloRecords(helloMessage(sniExt("free.example", "free.example")), 1<<14)
		r.tunnel("free.example:443").send(two).expect("seen")
	})
}

func TestAHelloThatIsNeverFinished(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) { c.Hello = 100 * time.Millisecond }})
	w := r.tunnel("free.example:443")
	hello := helloFor("free.example")
	w.send(hello[:1]).expect(accessDenied) // the connection is not idle: it is the deadline for the hello
	if rec := r.recorded(audit.Refused); rec.Hello != policy.HelloUnreadable {
		t.Errorf("record: %+v", rec)
	}
	early := r.wire().send("CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\n\r\n" + hello[:20])
	early.answer(http.MethodConnect).want(t, http.StatusOK)
	early.expect(accessDenied)
}

func TestNoLimitForAHello(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}, change: func(c *Config) { c.Hello, c.Idle = 0, 0 }})
	w := r.tunnel("free.example:443")
	w.pieces(helloFor("free.example"), 10)
	w.expect("seen")
	web := webOrigin(t, greet)
	r = newRig(t, rigSetup{hosts: map[string]string{"free.example": web.addr}, change: func(c *Config) { c.Hello, c.Idle = 0, 0 }})
	r.get("http://free.example/").want(t, http.StatusOK) // nor for an exchange
}

// A refused client that goes on sending still gets its alert.
func TestTheAlertArrivesBesideUnreadBytes(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	for range 20 {
		w := r.tunnel("free.example:443")
		w.send(helloFor("cloud.acme.example") + strings.Repeat("early data", 5000)).expect(accessDenied)
		_ = w.Close()
	}
}

// Real TLS through the tunnel: versions, resumption, and what the client's library makes of a refusal.
func TestTLSThroughATunnel(t *testing.T) {
	t.Parallel()
	o, roots := secureOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	handshake := func(cfg *tls.Config) (*tls.Conn, error) {
		w := r.tunnel("free.example:443")
		c := tls.Client(w.TCPConn, cfg)
		if err := c.HandshakeContext(t.Context()); err != nil {
			return nil, err
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: free.example\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello from the origin" {
			t.Errorf("%q, %v", body, err)
		}
		return c, nil
	}
	cache := tls.NewLRUClientSessionCache(1)
	for i, cfg := range []*tls.Config{
		{ServerName: "free.example", RootCAs: roots, ClientSessionCache: cache},
		{ServerName: "free.example", RootCAs: roots, ClientSessionCache: cache},
		{ServerName: "free.example", RootCAs: roots, MaxVersion: tls.VersionTLS12},
		{ServerName: "free.example", RootCAs: roots, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}},
	} {
		c, err := handshake(cfg)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if s := c.ConnectionState(); s.DidResume != (i == 1) {
			t.Errorf("%d: resumed %v", i, s.DidResume)
		}
	}
	_, err := handshake(&tls.Config{ServerName: "cloud.acme.example", RootCAs: roots})
	if err == nil || !strings.Contains(err.Error(), "access denied") {
		t.Errorf("a refused client sees %v", err)
	}
}

func TestANameInTheHelloBehindAnAddress(t *testing.T) {
	t.Parallel()
	o := newSink(t)
	r := newRig(t, rigSetup{allow: []string{"127.0.0.1/32"}, change: func(c *Config) { c.Ports = func(uint16) bool { return true } }})
	r.tunnel(o.addr).send(helloFor("free.example")).expect("seen")
	r.tunnel(o.addr).send(helloFor("cloud.acme.example")).expect(accessDenied)
}
