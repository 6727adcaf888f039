package proxy

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// listeningParent is a parent at another address than the clients', which says yes to everything, and what it was asked for.
func listeningParent(t *testing.T) (*Parent, *box[string]) {
	t.Helper()
	asked := newBox[string]()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	relay := rawOrigin(t, func(c *net.TCPConn) {
		for {
			head := readHead(c)
			line, _, _ := strings.Cut(head, " HTTP/1.1\r\n")
			if head != "" {
				asked.add(line)
			}
			switch {
			case head == "":
				return
			case strings.HasPrefix(head, "CONNECT "):
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			default:
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", relay.addr)
			if err != nil {
				_ = c.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(to, c)
				_ = to.Close()
			}()
			go func() {
				_, _ = io.Copy(c, to)
				_ = c.Close()
			}()
		}
	}()
	return parentAt(l.Addr().String(), "", ""), asked
}

// What a packet filter sends here goes through the parent, too: to the address that the client dialled, or to the host that is named.
func TestRedirectedThroughAParent(t *testing.T) {
	t.Parallel()
	const there = "93.184.216.34"
	for _, c := range []struct {
		name    string
		resolve bool
		port    string
		said    string // by the client
		asked   []string
	}{
		{"original", false, ":80", request("GET", "free.example", "/a", ""), []string{"CONNECT " + there + ":80", "GET /a"}},
		{"original, by net/http", false, ":8080", request("POST", "free.example", "/a", ""), []string{"CONNECT " + there + ":8080", "POST /a"}},
		{"original, TLS", false, ":443", helloFor("free.example"), []string{"CONNECT " + there + ":443"}},
		{"resolve", true, ":80", request("GET", "free.example", "/a", ""), []string{"GET http://free.example/a"}},
		{"resolve, by net/http", true, ":80", request("POST", "free.example", "/a", ""), []string{"POST http://free.example/a"}},
		{"resolve, the port that was dialled", true, ":8080", request("GET", "free.example:81", "/a", ""), []string{"GET http://free.example:8080/a"}},
		{"the same, by net/http", true, ":8080", request("POST", "free.example", "/a", ""), []string{"POST http://free.example:8080/a"}},
		{"resolve, no name", true, ":80", request("GET", there, "/a", ""), []string{"CONNECT " + there + ":80", "GET /a"}},
		{"resolve, TLS", true, ":443", helloFor("free.example"), []string{"CONNECT free.example:443"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			parent, asked := listeningParent(t)
			r := newRedirector(t, rigSetup{parent: parent, change: func(cfg *Config) { cfg.Resolve = c.resolve }}, nil)
			w := r.dial(there + c.port).send(c.said)
			if method, _, _ := strings.Cut(c.said, " "); method == "GET" || method == "POST" {
				w.answer(method).want(t, http.StatusOK)
			}
			for i, want := range c.asked {
				asked.wait(t, want, func(got string) bool { return got == want })
				if got := asked.all()[i]; got != want {
					t.Errorf("the parent was asked %q, want %q", got, want)
				}
			}
			at := netip.MustParseAddr("127.0.0.2")
			if r.loops(at, netip.MustParseAddrPort(there+":80"), r.listener) == "" {
				t.Error("what the parent sends would go round and round")
			}
		})
	}
}
