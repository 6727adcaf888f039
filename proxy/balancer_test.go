package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
)

// headerV2 is a header of version 2, with a command (0x21 PROXY, 0x20 LOCAL), a family and transport, and what follows its length.
func headerV2(command, family byte, rest ...[]byte) string {
	block := slices.Concat(rest...)
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{command, family}) + string(counted16(block))
}

// pair is a source and a destination address, as version 2 has them.
func pair(source, destination string) []byte {
	s, d := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	b := slices.Concat(s.Addr().AsSlice(), d.Addr().AsSlice())
	b = binary.BigEndian.AppendUint16(b, s.Port())
	return binary.BigEndian.AppendUint16(b, d.Port())
}

// someTLV is what a header may have besides, n bytes of it with its head.
func someTLV(n int) []byte { return append([]byte{0xea}, counted16(make([]byte, n-3))...) }

var (
	sameV4 = pair("192.0.2.7:40000", "198.51.100.1:3128")
	sameV6 = pair("[2001:db8::7]:40000", "[2001:db8::1]:3128")
)

// headers are what balancers send, and the client that they tell; the balancer itself where that is empty.
var headers = []struct{ name, header, client string }{
	{"v1 IPv4", "PROXY TCP4 192.0.2.7 198.51.100.1 40000 3128\r\n", "192.0.2.7:40000"},
	{"v1 IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 40000 3128\r\n", "[2001:db8::7]:40000"},
	{"v1 IPv6, mapped", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 40000 3128\r\n", "192.0.2.7:40000"},
	{"v1 of its own", "PROXY UNKNOWN\r\n", ""},
	{"v1 of its own, at its longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", ""},
	{"v2 IPv4", headerV2(0x21, 0x11, sameV4), "192.0.2.7:40000"},
	{"v2 IPv6", headerV2(0x21, 0x21, sameV6), "[2001:db8::7]:40000"},
	{"v2 IPv6, mapped", headerV2(0x21, 0x21, pair("[::ffff:192.0.2.7]:40000", "[::ffff:198.51.100.1]:3128")), "192.0.2.7:40000"},
	{"v2 with more", headerV2(0x21, 0x11, sameV4, someTLV(100)), "192.0.2.7:40000"},
	{"v2 with much more", headerV2(0x21, 0x11, sameV4, someTLV(4096-12)), "192.0.2.7:40000"},
	{"v2 of its own", headerV2(0x20, 0x00), ""},
	{"v2 of its own, with more", headerV2(0x20, 0x00, someTLV(2000)), ""},
	{"v2 of its own, with addresses", headerV2(0x20, 0x11, sameV4), ""},
}

// badHeaders are refused, as soon as they are complete or have ended.
var badHeaders = []struct{ name, header, detail string }{
	{"none", "GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n\r\n", "not present"},
	{"TLS", helloFor("free.example"), "not present"},
	{"a word that begins so", "PROXYING TCP4 192.0.2.7 198.51.100.1 40000 3128\r\n", "version 1"},
	{"v1 with a bare line feed", "PROXY TCP4 192.0.2.7 198.51.100.1 40000 3128\n", "must end with"},
	{"v1 too long", "PROXY TCP4 192.0.2.7 198.51.100.1 40000 3128" + strings.Repeat(" ", 100), "107 bytes"},
	{"v1 of a name", "PROXY TCP4 localhost 198.51.100.1 40000 3128\r\n", "invalid address"},
	{"v1 with a zone", "PROXY TCP6 fe80::1%eth0 2001:db8::1 40000 3128\r\n", "invalid address"},
	{"v1 of the other family", "PROXY TCP4 2001:db8::7 2001:db8::1 40000 3128\r\n", "invalid address"},
	{"v1 with a port too many", "PROXY TCP4 192.0.2.7 198.51.100.1 40000 65536\r\n", "port"},
	{"v1 with two blanks", "PROXY  TCP4 192.0.2.7 198.51.100.1 40000 3128\r\n", "family"},
	{"v1 over UDP", "PROXY UDP4 192.0.2.7 198.51.100.1 40000 3128\r\n", "family"},
	{"v2 of version 3", headerV2(0x31, 0x11, sameV4), "version and command"},
	{"v2 with another command", headerV2(0x22, 0x11, sameV4), "version and command"},
	{"v2 over UDP", headerV2(0x21, 0x12, sameV4), "no address of a TCP client"},
	{"v2 over a Unix socket", headerV2(0x21, 0x31, make([]byte, 216)), "no address of a TCP client"},
	{"v2 of nobody", headerV2(0x21, 0x00), "family"},
	{"v2 of no family", headerV2(0x21, 0x41, sameV4), "family"},
	{"v2 shorter than its addresses", headerV2(0x21, 0x11, sameV4[:11]), "length"},
	{"v2 longer than is taken", headerV2(0x21, 0x11, sameV4, someTLV(4096-11)), "length"},
	{"v2 at its longest", headerV2(0x21, 0x11, sameV4, someTLV(65535-12)), "length"},
	{"v2 of its own, at its longest", headerV2(0x20, 0x00, someTLV(65535)), "length"},
}

// balanced is a rig behind a balancer on loopback.
func balanced(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{
		hosts: map[string]string{"free.example": o.addr},
		change: func(c *Config) {
			var err error
			if c.Clients, err = NewClients([]string{"192.0.2.0/24", "2001:db8::/32", "127.0.0.1"}); err != nil {
				t.Fatal(err)
			}
			c.Balancers = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("127.0.0.1/32")}
			if change != nil {
				change(c)
			}
		},
	})
	return r
}

const (
	plainGet  = "GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n\r\n"
	plainPost = "POST http://free.example/ HTTP/1.1\r\nHost: free.example\r\nContent-Length: 2\r\n\r\nhi" // beyond the fast lane
)

// What comes behind the header is served as ever, and the client is the one that the header tells.
func TestBehindABalancer(t *testing.T) {
	t.Parallel()
	for _, h := range headers {
		for request, then := range map[string]string{plainGet: plainPost, plainPost: plainGet} {
			for _, apart := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%v", h.name, request[:4], apart), func(t *testing.T) {
					t.Parallel()
					r := balanced(t, nil)
					w := r.wire()
					if apart {
						w.send(h.header)
						request, rest := request[:3], request[3:]
						w.send(request).send(rest)
					} else {
						w.send(h.header + request)
					}
					want := h.client
					if want == "" {
						want = w.LocalAddr().String()
					}
					w.answer(http.MethodGet).want(t, http.StatusOK)
					w.send(then).answer(http.MethodGet).want(t, http.StatusOK)
					for _, method := range []string{http.MethodGet, http.MethodPost} {
						rec := r.records.wait(t, method, func(rec audit.Record) bool { return rec.Method == method })
						if rec.Client.String() != want {
							t.Errorf("%s: client %s, want %s", method, rec.Client, want)
						}
					}
				})
			}
		}
	}
}

func TestATunnelBehindABalancer(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	r := newRig(t, rigSetup{
		hosts: map[string]string{"free.example": s.addr},
		change: func(c *Config) {
			c.Balancers = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		},
	})
	hello := helloFor("free.example")
	w := r.wire().send("PROXY TCP4 127.0.0.99 198.51.100.1 40000 3128\r\nCONNECT free.example:443 HTTP/1.1\r\nHost: free.example\r\n\r\n" + hello)
	w.answer(http.MethodConnect).want(t, http.StatusOK)
	w.expect("seen")
	_ = w.Close()
	if got := s.only(t); got != hello {
		t.Errorf("the origin got %q", got)
	}
	if rec := r.recorded(audit.End); rec.Client.String() != "127.0.0.99:40000" {
		t.Errorf("client %s", rec.Client)
	}
}

// Clients of the balancer are judged as if they had come by themselves.
func TestClientsOfABalancerAreGuarded(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{"GET": plainGet, "POST": plainPost, "CONNECT": "CONNECT free.example:443 HTTP/1.1\r\nHost: free.example\r\n\r\n"} {
		r := balanced(t, nil)
		r.wire().send("PROXY TCP4 198.51.100.9 198.51.100.1 40000 3128\r\n"+request).answer(http.MethodGet).want(t, http.StatusForbidden)
		r.observed("guarded client")
		if all := r.logs.FilterMessage("client refused").All(); len(all) != 1 || all[0].ContextMap()["client"] != "198.51.100.9" {
			t.Errorf("%s: %v", name, all)
		}
	}
}

func TestABalancerMustSayWhoItsClientIs(t *testing.T) {
	t.Parallel()
	for _, h := range badHeaders {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			r := balanced(t, nil)
			w := r.wire().send(h.header + plainGet)
			if got, err := w.rest(); got != "" || !isReset(err) {
				t.Errorf("answered %q, %v", got, err)
			}
			r.observed("guarded proxy-protocol")
			all := r.logs.FilterMessage("connection of a load balancer refused").All()
			if len(all) != 1 || !strings.Contains(fmt.Sprint(all[0].ContextMap()["detail"]), h.detail) {
				t.Errorf("logged %v, want %q", all, h.detail)
			}
		})
	}
}

// Every part of a header is none.
func TestAHeaderThatBreaksOff(t *testing.T) {
	t.Parallel()
	r := balanced(t, nil)
	for _, h := range headers {
		if len(h.header) > 200 {
			continue
		}
		for n := 1; n < len(h.header); n++ {
			w := r.wire().send(h.header[:n])
			_ = w.CloseWrite()
			if got, err := w.rest(); got != "" || err == nil {
				t.Fatalf("%s, %d bytes: answered %q, %v", h.name, n, got, err)
			}
		}
	}
	// One that only looks whether somebody is there is no trouble.
	guarded := r.seen.count("guarded")
	w := r.wire()
	_ = w.CloseWrite()
	if got, err := w.rest(); got != "" || err != nil {
		t.Errorf("answered %q, %v", got, err)
	}
	if n := r.seen.count("guarded"); n != guarded {
		t.Error("a look is counted as a refusal")
	}
}

// Version 2 may come in pieces, in its time.
func TestAHeaderInPieces(t *testing.T) {
	t.Parallel()
	r := balanced(t, nil)
	w := r.wire()
	for _, c := range []byte(headerV2(0x21, 0x11, sameV4, someTLV(20))) {
		w.send(string([]byte{c}))
	}
	w.send(plainGet).answer(http.MethodGet).want(t, http.StatusOK)
	if rec := r.recorded(audit.End); rec.Client.String() != "192.0.2.7:40000" {
		t.Errorf("client %s", rec.Client)
	}
}

func TestASlowHeader(t *testing.T) {
	t.Parallel()
	r := balanced(t, func(c *Config) { c.Hello = 50 * time.Millisecond })
	w := r.wire().send(headers[5].header[:20])
	if got, err := w.rest(); got != "" || !isReset(err) {
		t.Errorf("answered %q, %v", got, err)
	}
	if all := r.logs.FilterMessage("connection of a load balancer refused").All(); len(all) != 1 || all[0].ContextMap()["detail"] != "its header was not complete in time" {
		t.Errorf("logged %v", all)
	}
	// Its first byte may take as long as that of a request: a balancer may wait for its client's.
	w = r.wire()
	silent := time.NewTimer(150 * time.Millisecond)
	<-silent.C
	w.send(headers[5].header+plainGet).answer(http.MethodGet).want(t, http.StatusOK)
}

// Whoever is no balancer cannot pass for somebody else: the header is a request that nobody understands.
func TestNobodyElseMaySayWhoTheClientIs(t *testing.T) {
	t.Parallel()
	for _, h := range headers {
		r := balanced(t, func(c *Config) { c.Balancers = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
		w := r.wire().send(h.header + plainGet)
		w.answer(http.MethodGet).want(t, http.StatusBadRequest)
		if end := w.end(); !errors.Is(end, io.EOF) {
			t.Errorf("%s: after the answer: %v", h.name, end)
		}
		all := r.logs.FilterMessage("request not understood").All()
		if len(all) != 1 || all[0].ContextMap()["client"] != "127.0.0.1" {
			t.Errorf("%s: logged %v", h.name, all)
		}
		if strings.HasPrefix(h.header, "PROXY") && all[0].ContextMap()["code"] != "proxy-protocol" {
			t.Errorf("%s: logged %v", h.name, all[0].ContextMap())
		}
	}
}

// The limits of a client are those of the client, and of all connections those of all, whoever they are for.
func TestLimitsBehindABalancer(t *testing.T) {
	t.Parallel()
	r := balanced(t, func(c *Config) { c.Limits = AdmissionLimits{Connections: 4, PerClient: 1} })
	from := func(client string) *wire {
		return r.wire().send("PROXY TCP4 " + client + " 198.51.100.1 40000 3128\r\n" + plainGet)
	}
	seats := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d seats taken", n), func() bool {
			r.admission.mu.Lock()
			defer r.admission.mu.Unlock()
			return r.admission.connections == n
		})
	}
	first := from("192.0.2.7")
	first.answer(http.MethodGet).want(t, http.StatusOK)
	from("192.0.2.7").answer(http.MethodGet).want(t, http.StatusTooManyRequests)
	other := from("192.0.2.8")
	other.answer(http.MethodGet).want(t, http.StatusOK)
	r.observed("limited client")
	seats(2)

	unknown := []*wire{r.wire(), r.wire()} // which are nobody's yet, but connections
	for _, w := range unknown {
		w.send("\r\n\r\n")
	}
	r.wire().answer(http.MethodGet).want(t, http.StatusServiceUnavailable)
	r.observed("limited connections")
	_ = first.Close()
	seats(3)
	from("192.0.2.7").answer(http.MethodGet).want(t, http.StatusOK)
}

func TestShutdownDoesNotWaitForAHeader(t *testing.T) {
	t.Parallel()
	r := balanced(t, nil)
	r.wire()
	r.wire().send("\r\n\r\n")
	began := time.Now()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %s", took)
	}
}

// curl says who it is as a balancer would.
func TestCurlBehindABalancer(t *testing.T) {
	t.Parallel()
	r := balanced(t, nil)
	out, code := program(t, "", "curl", "-sS", "--max-time", "15", "--haproxy-protocol", "http://"+r.addr+"/proxy.pac", "-o", "/dev/null", "-w", "%{http_code}")
	if code != 0 || out != "404" {
		t.Errorf("exit %d: %s", code, out)
	}
	out, code = program(t, "", "curl", "-sS", "--max-time", "15", "http://"+r.addr+"/proxy.pac")
	if code == 0 {
		t.Errorf("answered without a header: %s", out)
	}
}

// haproxy stands in front, with either version.
func TestHAProxyBefore(t *testing.T) {
	t.Parallel()
	cfg, _, root := secureConfig(t)
	o := webServer(t, http.HandlerFunc(greet), cfg)
	dir := t.TempDir()
	roots := filepath.Join(dir, "root.pem")
	if err := os.WriteFile(roots, root, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"} {
		r := newRig(t, rigSetup{
			hosts:  map[string]string{"free.example": o.addr},
			change: func(c *Config) { c.Balancers = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} },
		})
		front := haproxy(t, "server gateway "+r.addr+" check inter 100ms "+version)
		out, code := program(t, "", "curl", "-sS", "--max-time", "15", "--interface", "127.0.0.42", "--cacert", roots, "-x", "http://"+front, "https://free.example/")
		if code != 0 || out != "hello from the origin" {
			t.Errorf("%s: exit %d: %s", version, code, out)
		}
		if rec := r.recorded(audit.Start); rec.Client.Addr().String() != "127.0.0.42" {
			t.Errorf("%s: client %s", version, rec.Client)
		}
		if all := r.logs.FilterMessage("connection of a load balancer refused").All(); len(all) > 0 {
			t.Errorf("%s: logged %v", version, all)
		}
	}
}

// dullHeader reads a header in the plainest way: all of it is there.
func dullHeader(b []byte, balancer netip.AddrPort) (client netip.AddrPort, size int, ok bool) {
	if line, _, found := bytes.Cut(b, []byte("\r\n")); found && len(line) <= 105 && bytes.HasPrefix(line, []byte("PROXY ")) && !bytes.Contains(line, []byte("\n")) {
		words := strings.Split(string(line), " ")
		if words[1] == "UNKNOWN" {
			return balancer, len(line) + 2, true
		}
		if len(words) != 6 {
			return client, 0, false
		}
		var at [2]netip.AddrPort
		for i := range at {
			addr, err := netip.ParseAddr(words[2+i])
			var port uint16
			n, scanErr := fmt.Sscanf(words[4+i], "%d", &port)
			if err != nil || scanErr != nil || n != 1 || fmt.Sprint(port) != words[4+i] || addr.Zone() != "" || addr.Is4() != (words[1] == "TCP4") || addr.Is6() != (words[1] == "TCP6") {
				return client, 0, false
			}
			at[i] = netip.AddrPortFrom(addr.Unmap(), port)
		}
		return at[0], len(line) + 2, true
	}
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	if len(b) < 16 || string(b[:12]) != signature {
		return client, 0, false
	}
	length := int(binary.BigEndian.Uint16(b[14:]))
	if size = 16 + length; length > 4096 || len(b) < size {
		return client, 0, false
	}
	block, family := b[16:size], b[13]
	switch {
	case !bytes.Contains([]byte{0, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32}, []byte{family}):
	case b[12] == 0x20:
		return balancer, size, true
	case b[12] != 0x21:
	case family == 0x11 && length >= 12:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(block)), binary.BigEndian.Uint16(block[8:])), size, true
	case family == 0x21 && length >= 36:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(block)).Unmap(), binary.BigEndian.Uint16(block[32:])), size, true
	}
	return client, 0, false
}

func FuzzBalancerHeader(f *testing.F) {
	for _, h := range headers {
		f.Add([]byte(h.header + plainGet))
	}
	for _, h := range badHeaders {
		f.Add([]byte(h.header))
	}
	balancer := netip.MustParseAddrPort("127.0.0.1:1")
	f.Fuzz(func(t *testing.T, b []byte) {
		from := bytes.NewReader(b)
		client, behind, err := readBalancerHeader(from, balancer)
		want, size, ok := dullHeader(b, balancer)
		if ok != (err == nil) {
			t.Fatalf("%q: %v, the twin says %v", b, err, ok)
		}
		if !ok {
			if client.IsValid() || behind != nil {
				t.Errorf("%q: %v beside %s, %q", b, err, client, behind)
			}
			if read := len(b) - from.Len(); read > 16+4096+headerBuffer {
				t.Errorf("%d bytes were read", read)
			}
			return
		}
		if client != want {
			t.Errorf("%q: client %s, the twin says %s", b, client, want)
		}
		if rest := slices.Concat(behind, b[len(b)-from.Len():]); !bytes.Equal(rest, b[size:]) {
			t.Errorf("%q: %q comes behind it, the twin says %q", b, rest, b[size:])
		}
	})
}
