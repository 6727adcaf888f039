package proxy

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// limitAnswers is what is told of each limit.
var limitAnswers = map[limitName]struct {
	status     int
	retryAfter string
	setting    string
}{
	limitConnections: {http.StatusServiceUnavailable, "5", "limits.connections"},
	limitClient:      {http.StatusTooManyRequests, "5", "limits.per-client"},
	limitDestination: {http.StatusTooManyRequests, "5", "limits.per-destination"},
	limitRate:        {http.StatusTooManyRequests, "1", "limits.rate"},
	limitLogin:       {http.StatusTooManyRequests, "5", "wrong passwords"},
	limitDescriptors: {http.StatusServiceUnavailable, "5", "descriptors"},
}

var testRefusals = &refusals{retryAfter: time.Hour, operator: Operator{Name: "The Tests", Contact: "ops@test.example", URL: "https://test.example/blocked"}}

// wantLimited looks at an answer in problem details.
func wantLimited(t *testing.T, l limitName, status int, header http.Header, body string) {
	t.Helper()
	want := limitAnswers[l]
	var problem struct {
		Status                  int
		Reason, Detail, Contact string
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil {
		t.Fatalf("%s: %v in %q", l, err, body)
	}
	if status != want.status || problem.Status != want.status || header.Get("Retry-After") != want.retryAfter {
		t.Errorf("%s: %d, %d in the body, %v", l, status, problem.Status, header)
	}
	if header.Get("Cache-Control") != "no-store" || header.Get("Content-Type") != "application/problem+json" || header.Get("Link") != "" {
		t.Errorf("%s: %v", l, header)
	}
	if !strings.HasPrefix(header.Get("Proxy-Status"), "gracegate; error=") || !strings.Contains(header.Get("Proxy-Status"), string(l)+": ") {
		t.Errorf("%s: %v", l, header)
	}
	if problem.Reason != "limit."+string(l) || !strings.Contains(problem.Detail, want.setting) || problem.Contact != "ops@test.example" {
		t.Errorf("%s: %+v", l, problem)
	}
}

func TestARequestThatMeetsALimit(t *testing.T) {
	t.Parallel()
	for l := range limited {
		w := httptest.NewRecorder()
		testRefusals.limited(w, askerOf(httptest.NewRequest(http.MethodGet, "http://free.example/", nil)), l)
		wantLimited(t, l, w.Code, w.Header(), w.Body.String())

		r := httptest.NewRequest(http.MethodGet, "http://free.example/", nil)
		r.Header.Set("Accept", "text/html,*/*")
		page := httptest.NewRecorder()
		testRefusals.limited(page, askerOf(r), l)
		if page.Code != w.Code || page.Header().Get("Retry-After") != w.Header().Get("Retry-After") || !strings.Contains(page.Body.String(), limitAnswers[l].setting) {
			t.Errorf("%s: %d %v %s", l, page.Code, page.Header(), page.Body)
		}
	}
	if testRefusals.retryAfter != time.Hour {
		t.Error("refusals of the policy ask for another pause than before")
	}
}

// caller is a client whose connection the door is to turn away.
func caller(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// wantTurnedAway reads the answer, to the end of the connection.
func wantTurnedAway(t *testing.T, c *net.TCPConn, l limitName) {
	t.Helper()
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("%s: %v", l, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || !response.Close {
		t.Errorf("%s: %v, %v", l, err, response.Header)
	}
	wantLimited(t, l, response.StatusCode, response.Header, string(body))
	if rest, err := io.ReadAll(r); len(rest) != 0 || err != nil {
		t.Errorf("%s: behind the answer: %q, %v", l, rest, err)
	}
}

func TestTheDoorTurnsAwayWhoeverHasAsked(t *testing.T) {
	t.Parallel()
	d := newDoor(testRefusals)
	for l := range limited {
		for _, full := range []bool{false, true} { // whether it can read connections on
			client, server := caller(t)
			_, _ = io.WriteString(client, "GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n\r\n")
			if _, err := io.ReadFull(server, make([]byte, 1)); err != nil { // so the rest has come, too
				t.Fatal(err)
			}
			for full && len(d.places) < doorPlaces {
				d.places <- struct{}{}
			}
			d.turnAway(server, l)
			wantTurnedAway(t, client, l)
			if _, err := client.Write([]byte("x")); err != nil {
				t.Errorf("%s: a reset behind the answer: %v", l, err)
			}
			_ = client.Close()
			d.wait()
			for len(d.places) > 0 {
				<-d.places
			}
		}
	}
}

func TestTheDoorReadsOnWhatIsStillComing(t *testing.T) {
	t.Parallel()
	d := newDoor(testRefusals)
	client, server := caller(t)
	d.turnAway(server, limitClient)
	head := "GET http://free.example/ HTTP/1.1\r\nHost: free.example\r\n"
	for _, part := range []string{head, "X: " + strings.Repeat("x", 40<<10) + "\r\n", "\r\n"} {
		if _, err := io.WriteString(client, part); err != nil {
			t.Fatal(err)
		}
	}
	wantTurnedAway(t, client, limitClient)
	_ = client.Close()
	d.wait()
}

// Clients that stay hold a few connections for half a second, and no more.
func TestTheDoorHoldsFew(t *testing.T) {
	t.Parallel()
	d := newDoor(testRefusals)
	var servers []*net.TCPConn
	open := func() (n int) {
		for _, s := range servers {
			if s.SetReadBuffer(4096) == nil {
				n++
			}
		}
		return n
	}
	for range 2 * doorPlaces {
		client, server := caller(t)
		servers = append(servers, server)
		d.turnAway(server, limitConnections)
		wantTurnedAway(t, client, limitConnections)
	}
	if n := open(); n > doorPlaces {
		t.Errorf("%d connections are held", n)
	}
	d.wait()
	if n := open(); n != 0 || len(d.places) != 0 {
		t.Errorf("%d connections are still held, %d places taken", n, len(d.places))
	}
}
