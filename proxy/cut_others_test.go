package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// canaryYAML goes behind operatorYAML. What it blocks tells a test that the cuts of an instant have been made.
const canaryYAML = `  - id: canary
    hosts: [canary.example]
    reason: "dies first"
    phases: [{from: 2024-09-29T03:00:00Z, effect: block}]
`

// echoes makes sure that a tunnel to an echo works.
func (w *wire) echoes(t *testing.T, what string) {
	t.Helper()
	buf := make([]byte, 5)
	if _, err := io.WriteString(w.TCPConn, "still"); err != nil {
		t.Errorf("%s: %v", what, err)
	} else if got := readFull(w, buf); got != "still" {
		t.Errorf("%s: %q came back", what, got)
	}
}

func TestNobodyIsCutForNothing(t *testing.T) {
	t.Parallel()
	o := echoOrigin(t)
	hosts := map[string]string{"canary.example": o.addr, "upd.acme.example": o.addr, "reports.acme.example": o.addr, "free.example": o.addr, "mixed.acme.example": o.addr}
	for name, c := range map[string]struct {
		law    string
		strike func(r *rig)
	}{
		"one instant too early": {operatorYAML + canaryYAML, func(r *rig) { r.clock.set(deadline.Add(-1)) }},
		"by a rule that is not his": {operatorYAML, func(r *rig) {
			r.change(vendorYAML, operatorYAML+strings.Replace(canaryYAML, "2024-09-29", "2024-01-01", 1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{hosts: hosts})
			r.change(vendorYAML, c.law)
			open := map[string]*wire{}
			for host := range hosts {
				open[host] = r.tunnel(host + ":443").send("hello")
				open[host].expect("hello")
			}
			c.strike(r)
			if err := open["canary.example"].end(); !isReset(err) {
				t.Fatalf("the canary sees %v", err)
			}
			r.observed("closed tunnel cut")
			delete(open, "canary.example")
			for host, w := range open {
				w.echoes(t, host)
			}
		})
	}
}

// Connections on which nothing is under way are left alone. What is asked on them next is judged then.
func TestKeptAliveConnectionsAreNotCut(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			_, _ = io.WriteString(w, "first ")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
			}
		}
		greet(w, r)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr, "free.example": o.addr}})
	ask := func(w *wire, url string) *wire { return w.send("GET " + url + " HTTP/1.1\r\nHost: x\r\n\r\n") }
	idle := ask(r.wire(), "http://upd.acme.example/")
	idle.answer(http.MethodGet).want(t, http.StatusOK)
	elsewhere := ask(r.wire(), "http://upd.acme.example/")
	elsewhere.answer(http.MethodGet).want(t, http.StatusOK)
	elsewhere = ask(elsewhere, "http://free.example/slow") // what went before on the connection is over
	cut := ask(r.wire(), "http://upd.acme.example/slow")
	eventually(t, "both are under way", func() bool { return r.seen.count("opened plain") == 4 })

	r.clock.set(deadline)
	if err := cut.end(); !isReset(err) {
		t.Errorf("the download ends with %v", err)
	}
	for range 2 {
		ask(idle, "http://upd.acme.example/").answer(http.MethodGet).want(t, http.StatusUnavailableForLegalReasons)
		ask(idle, "http://free.example/").answer(http.MethodGet).want(t, http.StatusOK)
	}
	close(next)
	if a := elsewhere.answer(http.MethodGet).want(t, http.StatusOK); a.body != "first hello from the origin" {
		t.Errorf("%q", a.body)
	}
	ask(elsewhere, "http://upd.acme.example/").answer(http.MethodGet).want(t, http.StatusUnavailableForLegalReasons)
	idle.send("CONNECT upd.acme.example:443 HTTP/1.1\r\nHost: x\r\n\r\n").answer(http.MethodConnect).want(t, http.StatusUnavailableForLegalReasons)
}

// A reload can have the policy ask for more than a tunnel showed: paths, which only a request tells.
func TestATunnelOfWhichTooLittleWasSeenIsCut(t *testing.T) {
	t.Parallel()
	const host = "mixed.acme.example"
	hold := make(chan struct{})
	web := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
		greet(w, r)
	})
	o := echoOrigin(t)
	r := newRig(t, rigSetup{hosts: map[string]string{host + ":443": o.addr, host + ":80": web.addr, "canary.example": o.addr}})
	r.change(nameOnly, operatorYAML)
	tunnel := r.tunnel(host + ":443").send(helloFor(host))
	tunnel.expect(helloFor(host))
	other, blocked := r.wire(), r.wire()
	for w, path := range map[*wire]string{other: "/v5/a", blocked: "/v6/a"} {
		w.send("GET http://" + host + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	eventually(t, "all are under way", func() bool { return r.seen.count("opened") == 3 })
	r.recorded(audit.Start)

	r.change(vendorYAML, operatorYAML)
	if err := tunnel.end(); !isReset(err) {
		t.Errorf("the tunnel ends with %v", err)
	}
	if rec := r.records.wait(t, "end of the tunnel", func(rec audit.Record) bool { return rec.Kind == "tunnel" && rec.Event == audit.End }); rec.Ended != "cut" || rec.Need != policy.NeedRequest {
		t.Errorf("recorded as %+v", rec)
	}
	if err := blocked.end(); !isReset(err) {
		t.Errorf("the request that turned out to be blocked ends with %v", err)
	}
	close(hold)
	if a := other.answer(http.MethodGet).want(t, http.StatusOK); a.body != "first hello from the origin" {
		t.Errorf("%q", a.body)
	}

	// Where no more can be seen than the hello, the policy says what becomes of a tunnel. If it passes, it stays.
	again := r.tunnel(host + ":443").send(helloFor(host))
	again.expect(helloFor(host))
	canary := r.tunnel("canary.example:443").send("hello")
	canary.expect("hello")
	r.change(vendorYAML, operatorYAML+strings.Replace(canaryYAML, "2024-09-29", "2024-01-01", 1))
	if err := canary.end(); !isReset(err) {
		t.Fatalf("the canary sees %v", err)
	}
	again.echoes(t, "a tunnel that was let through knowing so little")
}

// Nothing is known yet of what the client wants, and it will be judged when it is: there is nothing to cut for.
func TestATunnelThatWillBeLookedIntoIsNotCut(t *testing.T) {
	t.Parallel()
	o := echoOrigin(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr, "canary.example": o.addr}})
	law, _, _ := strings.Cut(operatorYAML, "rules:")
	law += "settings: {unseen: {unreadable: allow}}\nrules:\n"
	r.change(vendorYAML, law+strings.Replace(canaryYAML, "2024-09-29T03", "2024-07-01T00", 1))
	r.clock.set(time.Date(2024, 6, 15, 0, 0, 0, 0, time.UTC)) // nothing at all is blocked yet, so no hello is needed
	silent, canary := r.tunnel("free.example:443"), r.tunnel("canary.example:443")
	r.clock.set(inGrace)
	if err := canary.end(); !isReset(err) {
		t.Fatalf("the canary sees %v", err)
	}
	silent.echoes(t, "an ungoverned tunnel that had not spoken")
}

// Between the verdict and the first byte there is the way to the origin.
func TestFlowsThatAreStillDialling(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{dns: map[string][]string{"slow.upd.acme.example": {"silence"}}})
	tunnel := r.wire().send("CONNECT slow.upd.acme.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
	plain := r.wire().send("GET http://slow.upd.acme.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, kind := range []string{"tunnel", "plain"} {
		r.observed("opened " + kind)
	}
	r.clock.set(deadline)
	struck := time.Now()
	for kind, w := range map[string]*wire{"tunnel": tunnel, "plain": plain} {
		got, err := w.rest()
		if strings.Contains(got, " 200 ") || time.Since(struck) > cutWithin() {
			t.Errorf("%s: after %v came %q, %v", kind, time.Since(struck), got, err)
		}
		rec := r.records.wait(t, "end", func(rec audit.Record) bool { return rec.Kind == kind })
		event := audit.End
		if kind == "tunnel" { // there is still time to refuse it
			event = audit.Refused
		}
		if rec.Event != event || rec.Ended != "cut" || rec.Verdict != policy.Block {
			t.Errorf("%s: recorded as %+v", kind, rec)
		}
		r.observed("closed " + kind + " cut")
	}
}

// slowRecorder takes its time over flows that were cut.
type slowRecorder struct {
	Recorder
	written <-chan struct{}
}

func (r slowRecorder) Record(rec *audit.Record) {
	if rec.Ended == "cut" {
		<-r.written
	}
	r.Recorder.Record(rec)
}

func TestCutsComeBeforeTheirRecords(t *testing.T) {
	t.Parallel()
	o := echoOrigin(t)
	written := make(chan struct{})
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}, change: func(c *Config) { c.Recorder = slowRecorder{c.Recorder, written} }})
	defer close(written)
	var open []*wire
	for range 40 {
		w := r.tunnel("upd.acme.example:443").send(helloFor("upd.acme.example"))
		w.expect(helloFor("upd.acme.example"))
		open = append(open, w)
	}
	r.clock.set(deadline)
	struck := time.Now()
	for i, w := range open {
		_ = w.SetReadDeadline(struck.Add(cutWithin() + time.Second))
		if err := w.end(); !isReset(err) {
			t.Fatalf("tunnel %d, after %v: %v", i, time.Since(struck), err)
		}
	}
	if took := time.Since(struck); took > cutWithin() {
		t.Errorf("it took %v", took)
	}
}

// Many come while the deadline passes. Whatever the order in which a flow is judged, registered and looked at, none stays.
func TestNoFlowSlipsThroughTheDeadline(t *testing.T) {
	t.Parallel()
	o := echoOrigin(t)
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
	var clients sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	for range 8 {
		clients.Go(func() {
			for {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				open = append(open, c)
				mu.Unlock()
				_, _ = io.WriteString(c, "CONNECT upd.acme.example:443 HTTP/1.1\r\nHost: x\r\n\r\n"+helloFor("upd.acme.example"))
				head := readFull(c, make([]byte, len("HTTP/1.1 200")))
				if head != "HTTP/1.1 200" {
					return // refused, or cut before it had begun
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, c := range open {
			_ = c.Close()
		}
	})
	eventually(t, "some are open", func() bool { return r.seen.count("opened") > 100 })
	r.clock.set(deadline)
	clients.Wait()
	struck := time.Now()
	for _, c := range open {
		_ = c.SetReadDeadline(struck.Add(cutWithin() + time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a tunnel stays open")
		}
	}
	if took := time.Since(struck); took > cutWithin() {
		t.Errorf("it took %v", took)
	}
	eventually(t, "every flow is closed", func() bool { return r.seen.count("closed") == r.seen.count("opened") })
}

// Lifting a block works at once.
func TestABlockIsLifted(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
	r.clock.set(deadline)
	r.get("http://upd.acme.example/").want(t, http.StatusUnavailableForLegalReasons)
	r.change(vendorYAML, operatorYAML+waiverYAML)
	r.get("http://upd.acme.example/").want(t, http.StatusOK)
}
