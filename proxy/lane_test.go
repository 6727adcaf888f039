package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
)

// Everything that a client may ask for in turn on one connection, whichever lane takes it.
func TestOneConnectionForAllKinds(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+string(body))
	})
	echo := echoOrigin(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example:80": o.addr, "free.example:443": echo.addr}})
	w := r.wire()
	for _, c := range []struct{ method, request, body string }{
		{"GET", "GET http://free.example/a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a?b=c "},
		{"HEAD", "HEAD http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"GET", "GET http://cloud.acme.example/ HTTP/1.1\r\nHost: x\r\n\r\n", "test-2024-001"},
		{"GET", "GET http://free.example:25/ HTTP/1.1\r\nHost: x\r\n\r\n", "guard.port"},
		{"GET", "GET http://free.example/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", "GET / "},
		{"GET", "GET http://free.example/again HTTP/1.1\r\nHost: x\r\n\r\n", "GET /again "},
		{"POST", "POST http://free.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", "POST / body"},
		{"GET", "GET http://free.example/last HTTP/1.1\r\nHost: x\r\n\r\n", "GET /last "},
	} {
		if a := w.send(c.request).answer(c.method); a.err != nil || a.Close || !strings.Contains(a.body, c.body) {
			t.Fatalf("%q: %d %v, %q, %v", c.request, a.StatusCode, a.Header, a.body, a.err)
		}
	}
	w.send("CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\n\r\n").expect("HTTP/1.1 200 Connection established\r\n\r\n")
	w.send("anything").expect("anything")
}

func TestPipelinedRequestsAreAnsweredInTurn(t *testing.T) {
	t.Parallel()
	onBothRoads(t, rigSetup{}, echoHead, func(r *road) {
		t := r.t
		var all strings.Builder
		for i := range 40 {
			path := "/" + strconv.Itoa(i)
			if i%3 == 2 {
				path = "/v6" + path
			}
			all.WriteString(r.head("GET", path, "Padding: "+strings.Repeat("p", 100*i)+"\r\n"))
		}
		w := r.wire()
		go func() { _, _ = io.WriteString(w, all.String()) }() // in TLS, several to a record
		for i := range 40 {
			a := w.answer(http.MethodGet)
			if i%3 == 2 {
				a.want(t, http.StatusUnavailableForLegalReasons)
			} else if !strings.HasPrefix(a.want(t, http.StatusOK).body, "GET /"+strconv.Itoa(i)+" ") {
				t.Errorf("answer %d is %q", i, a.body)
			}
		}
		if n := r.slow.Load(); n != 0 {
			t.Errorf("net/http served %d", n)
		}
	})
}

// echoHead answers each request with its head.
func echoHead(c net.Conn) {
	for {
		head := readHead(c)
		if head == "" {
			return
		}
		method, _, _ := strings.Cut(head, " ")
		answer := "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(head)) + "\r\n\r\n"
		if method != http.MethodHead {
			answer += head
		}
		_, _ = io.WriteString(c, answer)
	}
}

// A head that comes in pieces is read as one that comes whole.
func TestHeadsInPieces(t *testing.T) {
	t.Parallel()
	onBothRoads(t, rigSetup{}, echoHead, func(r *road) {
		t := r.t
		w := r.wire()
		for range 2 {
			for _, c := range r.head("GET", "/", "") {
				w.send(string(c)) // in TLS, a record for each
			}
			w.answer(http.MethodGet).want(t, http.StatusOK)
		}
	})
}

// An idle connection that the origin ends just as it is used again is nobody's fault: the request goes out once more.
func TestAStaleConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c net.Conn){"by a reset": func(c net.Conn) { reset(tcpOf(c)) }, "in order": func(c net.Conn) { _ = c.Close() }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve := func(c net.Conn) {
				readHead(c)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				if readHead(c) != "" { // what comes is not answered
					end(c)
				}
			}
			onBothRoads(t, rigSetup{}, serve, func(r *road) {
				t := r.t
				w := r.wire()
				w.send(r.head("GET", "/", "")).answer(http.MethodGet).want(t, http.StatusOK)
				w.send(r.head("GET", "/", "")).answer(http.MethodGet).want(t, http.StatusOK)
				if n := r.origin.came.Load(); n != 2 {
					t.Errorf("%d connections to the origin", n)
				}
			})
		})
	}
}

// Answers of origins, and what the client gets: of the head, what it must hold and must not; the body; and whether the
// connection to the origin is used again.
func TestAnswersOfOrigins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer      string
		status      int
		body        string
		has, hasNot string
		again       bool
	}{
		"a length":               {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc", "Via: 1.1 gracegate|Date|Content-Length: 3", "Connection", true},
		"chunks":                 {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", 200, "abc", "", "Content-Length", true},
		"no body by its status":  {"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 9\r\n\r\n", 304, "", "Etag: \"1\"", "", true},
		"no content":             {"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", 204, "", "", "Content-Length", true},
		"to the end":             {"HTTP/1.1 200 OK\r\n\r\nabc", 200, "abc", "", "Content-Length", false},
		"of HTTP/1.0":            {"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc", "Via: 1.0 gracegate", "", false},
		"that closes":            {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", 200, "abc", "", "Connection", false},
		"fields of this hop":     {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: X-Hop, Content-Length\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nAlt-Svc: h3=\":443\"\r\nX-Kept: 1\r\n\r\nabc", 200, "abc", "X-Kept: 1|Content-Length: 3", "X-Hop|Keep-Alive|Proxy-Authenticate|Alt-Svc", true},
		"interim answers":        {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc", "", "Link", true},
		"line feeds alone":       {"HTTP/1.1 200 OK\nContent-Length: 3\nX-Kept: 1\n\nabc", 200, "abc", "X-Kept: 1", "", true},
		"more than it said":      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\n", 200, "abc", "", "", false},
		"a status of its own":    {"HTTP/1.1 299 Whatever\r\nContent-Length: 0\r\n\r\n", 299, "", "", "", true},
		"its own Date":           {"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n", 200, "", "Date: Mon, 01 Jan 2024 00:00:00 GMT", "", true},
		"the name of the proxy":  {"HTTP/1.1 200 OK\r\nProxy-Status: gracegate; error=x\r\nContent-Length: 0\r\n\r\n", 200, "", "", "Proxy-Status", true},
		"a length and chunks":    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, "", "", "", false},
		"two lengths":            {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 502, "", "", "", false},
		"a folded field":         {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 3\r\n\r\nabc", 502, "", "", "", false},
		"another version":        {"HTTP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", 502, "", "", "", false},
		"chunks in HTTP/1.0":     {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, "", "", "", false},
		"a status that is none":  {"HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n", 502, "", "", "", false},
		"too many interim":       {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 502, "", "", "", false},
		"a trailer of its own":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n", 200, "abc", "", "", true},
		"a body of many buffers": {"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("0123456789", 20000), 200, strings.Repeat("0123456789", 20000), "", "", true},
		"a large head":           {"HTTP/1.1 200 OK\r\nX-Large: " + strings.Repeat("x", 100000) + "\r\nContent-Length: 3\r\n\r\nabc", 200, "abc", "X-Large", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve := func(conn net.Conn) {
				for readHead(conn) != "" {
					_, _ = io.WriteString(conn, c.answer)
					if !c.again {
						return
					}
				}
			}
			onBothRoads(t, rigSetup{}, serve, func(r *road) {
				t := r.t
				w := r.wire()
				for range 2 {
					a := w.send(r.head("GET", "/", "")).answer(http.MethodGet).want(t, c.status)
					if c.status != http.StatusBadGateway && a.body != c.body {
						t.Errorf("body %.80q", a.body)
					}
					a.holds(t, c.has, c.hasNot)
				}
				if came := r.origin.came.Load(); c.again && came != 1 || !c.again && came != 2 {
					t.Errorf("%d connections to the origin", came)
				}
			})
		})
	}
}

// holds wants fields in the head of an answer, with their values if told, and others not in it. Both are lists with | between.
func (a answer) holds(t *testing.T, has, hasNot string) {
	t.Helper()
	for field := range strings.SplitSeq(has, "|") {
		name, value, _ := strings.Cut(field, ": ")
		if got := a.Header.Get(name); field != "" && (got == "" || value != "" && got != value) {
			t.Errorf("%s is %.80q", name, got)
		}
	}
	for name := range strings.SplitSeq(hasNot, "|") {
		if name != "" && len(a.Header.Values(name)) > 0 {
			t.Errorf("%s is %q", name, a.Header.Values(name))
		}
	}
}

// What breaks off in the middle never looks whole.
func TestBrokenAnswersInTheFastLane(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"a length":          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"chunks":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"half a chunk":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
		"no last line":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
		"a chunk too long":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
		"a size that wraps": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nabc\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve := func(c net.Conn) {
				readHead(c)
				_, _ = io.WriteString(c, answer)
			}
			onBothRoads(t, rigSetup{}, serve, func(r *road) {
				t := r.t
				w := r.wire().send(r.head("GET", "/", ""))
				resp, err := http.ReadResponse(w.in, nil)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
				}
				if err == nil || r.kind == "intercepted" && !isReset(err) {
					t.Errorf("it ends with %v", err)
				}
				if rec := r.recorded(audit.End); rec.Ended != "upstream" || rec.Kind != r.kind {
					t.Errorf("recorded as %s, %q", rec.Kind, rec.Ended)
				}
			})
		})
	}
}

// Nobody waits for an origin on behalf of a client that has left.
func TestAClientThatLeavesAnExchange(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"before the answer": "", "in its head": "HTTP/1.1 200 OK\r\nX: ", "in its body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			met, left := make(chan struct{}, 2), make(chan error, 2)
			serve := func(c net.Conn) {
				readHead(c)
				_, _ = io.WriteString(c, answer)
				met <- struct{}{}
				_, err := c.Read(make([]byte, 1))
				left <- err
			}
			onBothRoads(t, rigSetup{}, serve, func(r *road) {
				t := r.t
				for _, leave := range []func(w *roadWire){func(w *roadWire) { _ = w.Close() }, func(w *roadWire) { reset(tcpOf(w.halfConn)) }} {
					w := r.wire().send(r.head("GET", "/", ""))
					<-met
					began := time.Now()
					leave(w)
					if err := <-left; err == nil || time.Since(began) > patience/2 {
						t.Errorf("the origin sees %v after %v", err, time.Since(began))
					}
				}
				eventually(t, "both are closed", func() bool { return r.seen.count("closed "+r.kind+" client") == 2 })
			})
		})
	}
}

// busy counts the lanes that serve.
func (f *front) busy() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.open {
		if l.state.Load() == laneBusy {
			n++
		}
	}
	return n
}

// An origin that takes nothing holds nobody for longer than the idle limit.
func TestAnOriginThatDoesNotRead(t *testing.T) {
	t.Parallel()
	o := rawOrigin(t, func(*net.TCPConn) { <-t.Context().Done() })
	to, err := net.Dial("tcp", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	c := newOriginConn(to, to.(*net.TCPConn), originKey{})
	for err == nil {
		err = c.ask(make([]byte, 64<<10), 200*time.Millisecond)
	}
	if why := failureOf(err); why.status != http.StatusGatewayTimeout {
		t.Errorf("%v: %+v", err, why)
	}
}

// While no request is there, a connection to a gateway that shuts down is closed; one that is busy is served first.
func TestShutdownOfTheFastLane(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"plain", "intercepted"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			asked, goOn := make(chan struct{}), make(chan struct{})
			r := newRoad(t, kind, rigSetup{}, func(c net.Conn) {
				readHead(c)
				close(asked)
				<-goOn
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nto the end")
			})
			idle, busy, half := r.wire(), r.wire(), r.wire()
			idle.send(r.head("GET", "/v6/a", "")).answer(http.MethodGet).want(t, http.StatusUnavailableForLegalReasons)
			busy.send(r.head("GET", "/", ""))
			<-asked
			half.send(strings.TrimSuffix(r.head("POST", "/", ""), "\r\n"))
			soon(t, "the half head", func() bool { return r.front.busy() == 2 })
			over := make(chan error, 1)
			go func() { over <- r.Shutdown(t.Context()) }()
			if err := idle.end(); !errors.Is(err, io.EOF) {
				t.Errorf("the idle one ends with %v", err)
			}
			soon(t, "word to all", func() bool { return r.front.busy() == 0 })
			if a := half.send("Content-Length: 4\r\n\r\nbody").answer(http.MethodPost).want(t, http.StatusServiceUnavailable); !a.Close {
				t.Errorf("%v", a.Header)
			}
			close(goOn)
			if a := busy.answer(http.MethodGet).want(t, http.StatusOK); a.body != "to the end" || !a.Close {
				t.Errorf("%q, %v", a.body, a.Header)
			}
			if err := <-over; err != nil {
				t.Error(err)
			}
			if _, err := net.Dial("tcp", r.addr); err == nil {
				t.Error("clients are still accepted")
			}
		})
	}
}
