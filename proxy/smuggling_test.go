package proxy

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// heads at fault, as they meet the whole road; head_test.go has the full table.
var faultyRequests = map[string]struct {
	request string
	status  int
}{
	"Content-Length beside Transfer-Encoding": {"POST http://free.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	"two different Content-Lengths":           {"POST http://free.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400},
	"two equal Content-Lengths":               {"POST http://free.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400},
	"a signed Content-Length":                 {"POST http://free.example/ HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde", 400},
	"an unknown Transfer-Encoding":            {"POST http://free.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
	"bare LF":                                 {"GET http://free.example/ HTTP/1.1\nHost: x\n\n", 400},
	"bare LF in a field":                      {"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n", 400},
	"NUL in a field":                          {"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", 400},
	"NUL in the target":                       {"GET http://free.example/\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
	"a blank in the target":                   {"GET http://free.example/a b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
	"a folded field":                          {"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400},
	"two Hosts":                               {"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
	"no Host":                                 {"GET http://free.example/ HTTP/1.1\r\n\r\n", 400},
	"HTTP/2 with prior knowledge":             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	"TLS":                                     {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
	"a header of 1 MiB":                       {"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", 431},
	"101 fields":                              {"GET http://free.example/ HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 100) + "\r\n", 431},
	"CONNECT with a length":                   {"CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde", 400},
	"CONNECT with chunks":                     {"CONNECT free.example:443 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
	"our own field for faults":                {"GET http://free.example/ HTTP/1.1\r\nHost: x\r\nX-Gracegate-Fault: 200 ok fine\r\n\r\n", 400},
}

func TestFaultyRequestsAreAnsweredAndGoNoFurther(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	for name, c := range faultyRequests {
		w := r.wire()
		go func() {
			_, _ = io.WriteString(w.TCPConn, c.request+"GET http://free.example/second HTTP/1.1\r\nHost: x\r\n\r\n")
		}()
		a := w.answer(http.MethodGet)
		if a.StatusCode != c.status || !a.Close || !strings.Contains(a.body, "protocol.") {
			t.Errorf("%s: %d %v %q, want %d", name, a.StatusCode, a.Header, a.body, c.status)
		}
		if got, _ := w.rest(); got != "" {
			t.Errorf("%s: after the answer came %q", name, got)
		}
	}
	if o.came.Load() != 0 {
		t.Error("the origin was dialled")
	}
	r.quiet.close()
	if got := heardIn(r.logs.FilterMessage("request not understood")); got != int64(len(faultyRequests)) {
		t.Errorf("%d lines in the log for %d requests", got, len(faultyRequests))
	}
}

func TestAHundredFieldsPass(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	r.wire().send("GET http://free.example/ HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("A: b\r\n", 99)+"\r\n").answer(http.MethodGet).want(t, http.StatusOK)
}

func TestAFaultInABodyIsTheClients(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"bad size": "zz\r\n", "bare LF": "5\nabcde\r\n0\r\n\r\n", "too long": "2\r\nabc\r\n0\r\n\r\n", "a trailer that frames": "1\r\na\r\n0\r\nContent-Length: 3\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := make(chan bool, 1)
			o := webOrigin(t, func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				whole <- err == nil
			})
			r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
			w := r.wire().send("POST http://free.example/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
			a := w.answer(http.MethodPost)
			if a.StatusCode != http.StatusBadRequest || !a.Close {
				t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
			}
			if o.came.Load() > 0 && <-whole {
				t.Error("the origin took the body for whole")
			}
			r.observed("closed plain client")
			if n := r.seen.count("dial failed"); n != 0 {
				t.Error("the origin was blamed")
			}
		})
	}
}

func TestPipeliningIsJudgedOneByOne(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire().send("GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n\r\n" +
		"GET http://cloud.acme.example/ HTTP/1.1\r\nHost: free.example\r\n\r\n" +
		"GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n\r\n" +
		"CONNECT cloud.acme.example:443 HTTP/1.1\r\nHost: free.example:443\r\n\r\n")
	for _, want := range []int{200, 451, 200} {
		w.answer(http.MethodGet).want(t, want)
	}
	w.answer(http.MethodConnect).want(t, http.StatusUnavailableForLegalReasons)
	if err := w.end(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v", err)
	}
}

func TestPipelinedBehindAFault(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire().send("GET http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\nGET http://free.example/ HTTP/1.1\r\nHost : x\r\n\r\nGET http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
	w.answer(http.MethodGet).want(t, http.StatusOK)
	w.answer(http.MethodGet).want(t, http.StatusBadRequest)
	if got, _ := w.rest(); got != "" {
		t.Errorf("then came %q", got)
	}
}

func TestOldClients(t *testing.T) {
	t.Parallel()
	o := scriptedOrigin(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire().send("GET http://free.example/ HTTP/1.0\r\n\r\n")
	got, err := w.rest()
	if err != nil || !strings.HasSuffix(got, "\r\n\r\nabc") || strings.Contains(got, "chunked") {
		t.Errorf("%q, %v", got, err)
	}
	r.wire().send("GET http://cloud.acme.example/ HTTP/1.0\r\n\r\n").answer(http.MethodGet).want(t, http.StatusUnavailableForLegalReasons)
}

// Answers of origins that can be understood in two ways, or are out of bounds.
func TestFaultyAnswersBecome502(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"two Content-Lengths":     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"a negative length":       "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"an unknown coding":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"no HTTP":                 "SSH-2.0-OpenSSH_9.2\r\n",
		"nothing":                 "",
		"half a head":             "HTTP/1.1 200 OK\r\nContent-",
		"a huge head":             "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
		"endless interim answers": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <"+strings.Repeat("a", 1000)+">\r\n\r\n", 1000),
		"an upgrade not asked":    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := scriptedOrigin(t, answer)
			r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
			a := r.get("http://free.example/").want(t, http.StatusBadGateway)
			if !strings.HasPrefix(a.Header.Get("Proxy-Status"), "gracegate; error=http_protocol_error") || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v", a.Header)
			}
			r.observed("dial failed upstream")
			r.observed("closed plain upstream")
		})
	}
}

func TestUnaskedAnswersReachNobody(t *testing.T) {
	log.SetOutput(io.Discard) // net/http complains of such answers there
	defer log.SetOutput(os.Stderr)
	var answers atomic.Int64
	closed := make(chan struct{}, 1)
	o := rawOrigin(t, func(c *net.TCPConn) {
		readHead(c)
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", answers.Add(1))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		if head := readHead(c); head != "" {
			t.Errorf("the connection is used again, for %q", head)
		}
		closed <- struct{}{}
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire()
	for _, want := range []string{"1", "2", "3"} {
		a := w.send("GET http://free.example/ HTTP/1.1\r\nHost: x\r\n\r\n").answer(http.MethodGet).want(t, http.StatusOK)
		if a.body != want {
			t.Errorf("%q, want %q", a.body, want)
		}
		<-closed // not before: an answer that comes after the next request cannot be told from its own
	}
}
