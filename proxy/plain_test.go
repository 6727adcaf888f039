package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

func TestUpdatePassesInGraceAndStopsAtTheDeadline(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"eu.upd.acme.example": o.addr}})
	const url = "http://eu.upd.acme.example/index.xml"

	for _, at := range []time.Time{inGrace, deadline.Add(-time.Nanosecond)} {
		r.clock.set(at)
		a := r.get(url).want(t, http.StatusOK)
		if a.body != "hello from the origin" {
			t.Errorf("at %v: %q", at, a.body)
		}
		if got, want := a.Header.Get("Sunset"), "Sun, 29 Sep 2024 04:00:00 GMT"; got != want {
			t.Errorf("at %v: Sunset %q, want %q", at, got, want)
		}
	}
	r.clock.set(deadline)
	before := o.came.Load()
	a := r.get(url).want(t, http.StatusUnavailableForLegalReasons)
	if o.came.Load() != before {
		t.Error("the origin of a blocked name was dialled")
	}
	if a.Header.Get("Sunset") != "" {
		t.Errorf("a refusal has Sunset %q", a.Header.Get("Sunset"))
	}
}

func TestNoSunsetOutsideOfGrace(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr, "reports.acme.example": o.addr}})
	for _, url := range []string{"http://free.example/", "http://reports.acme.example/"} {
		if a := r.get(url).want(t, http.StatusOK); a.Header.Get("Sunset") != "" {
			t.Errorf("%s: Sunset %q", url, a.Header.Get("Sunset"))
		}
	}
}

func TestRefusalForARestriction(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	checkRefusalFields := func(a answer) {
		t.Helper()
		for field, want := range map[string]string{
			"Cache-Control": "no-store",
			"Retry-After":   "3600",
			"Link":          `<https://test.example/blocked>; rel="blocked-by"`,
		} {
			if got := a.Header.Get(field); got != want {
				t.Errorf("%s: %q, want %q", field, got, want)
			}
		}
		if got := a.Header.Get("Proxy-Status"); !strings.HasPrefix(got, `gracegate; error=http_request_denied; details="test-2024-001: `) {
			t.Errorf("Proxy-Status: %q", got)
		}
	}

	a := r.get("http://cloud.acme.example/").want(t, http.StatusUnavailableForLegalReasons)
	checkRefusalFields(a)
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type: %q", got)
	}
	var problem map[string]any
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	for key, want := range map[string]any{
		"status": 451.0, "restriction": "test-2024-001", "title": "Refused by this network's policy",
		"source": "https://law.example/order-1", "operator": "The Tests", "contact": "ops@test.example", "rule": nil,
		"detail": "Refused by this network's policy, modelled on Order 1 of the tests (test-2024-001).",
	} {
		if problem[key] != want {
			t.Errorf("%s: %v, want %v", key, problem[key], want)
		}
	}

	a = r.get("http://cloud.acme.example/", "Accept", "text/html,application/xhtml+xml").want(t, http.StatusUnavailableForLegalReasons)
	checkRefusalFields(a)
	if got := a.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type: %q", got)
	}
	for _, want := range []string{"Refused by this network&#39;s policy, modelled on", "test-2024-001", "https://law.example/order-1", "ops@test.example"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page does not say %q:\n%s", want, a.body)
		}
	}
}

func TestOtherRefusals(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		setup  rigSetup
		url    string
		status int
		key    string // of the problem
		id     string
	}{
		"a rule":             {rigSetup{}, "http://games.example/", http.StatusForbidden, "rule", "no-games"},
		"the default":        {rigSetup{settings: "default: block"}, "http://free.example/", http.StatusForbidden, "reason", "default"},
		"an unseen setting":  {rigSetup{settings: "unseen: {address: block}"}, "http://192.0.2.1/", http.StatusForbidden, "reason", "unseen.address"},
		"a port":             {rigSetup{}, "http://free.example:8080/", http.StatusForbidden, "reason", "guard.port"},
		"a port beside this": {rigSetup{}, "http://licence.acme.example:27300/", http.StatusForbidden, "reason", "guard.port"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c.setup)
			a := r.get(c.url).want(t, c.status)
			var problem map[string]any
			if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
				t.Fatalf("%v: %s", err, a.body)
			}
			if problem[c.key] != c.id {
				t.Errorf("%s is %v, want %v, in %s", c.key, problem[c.key], c.id, a.body)
			}
			if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Retry-After") != "3600" || a.Header.Get("Link") != "" {
				t.Errorf("fields: %v", a.Header)
			}
			rec := r.recorded(audit.Refused)
			if rec.Status != c.status || rec.Ended == "" || rec.Method != http.MethodGet {
				t.Errorf("record: %+v", rec)
			}
		})
	}
}

func TestPortsOfTheCatalogueAreOpen(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{
		hosts:  map[string]string{"free.example": o.addr},
		change: func(c *Config) { c.Ports = func(port uint16) bool { return port == 8080 } },
	})
	for _, url := range []string{"http://free.example/", "http://free.example:443/", "http://free.example:27200/", "http://free.example:8080/"} {
		r.get(url).want(t, http.StatusOK)
	}
	r.get("http://licence.acme.example:27201/").want(t, http.StatusUnavailableForLegalReasons)
}

func TestRecordsFail(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	hosts := map[string]string{"upd.acme.example": o.addr, "free.example": o.addr}
	t.Run("blocked", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, rigSetup{hosts: hosts, faults: policy.Block})
		r.failing.Store(true)
		r.get("http://upd.acme.example/").want(t, http.StatusServiceUnavailable)
		r.get("http://cloud.acme.example/").want(t, http.StatusUnavailableForLegalReasons)
		r.get("http://free.example/").want(t, http.StatusOK)
		r.failing.Store(false)
		r.get("http://upd.acme.example/").want(t, http.StatusOK)
	})
	t.Run("allowed", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, rigSetup{hosts: hosts, faults: policy.Allow})
		r.failing.Store(true)
		r.get("http://upd.acme.example/").want(t, http.StatusOK)
		r.get("http://cloud.acme.example/").want(t, http.StatusUnavailableForLegalReasons)
	})
}

func TestHeadHasNoBody(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1234") })
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire()
	for url, status := range map[string]int{
		"http://free.example/":       http.StatusOK,
		"http://cloud.acme.example/": http.StatusUnavailableForLegalReasons,
		"http://free.example:99/":    http.StatusForbidden,
		"http://nowhere.example/":    http.StatusBadGateway,
	} {
		// A body would be taken for the next answer.
		for range 2 {
			a := w.send("HEAD "+url+" HTTP/1.1\r\nHost: x\r\n\r\n").answer(http.MethodHead).want(t, status)
			if status == http.StatusOK && a.ContentLength != 1234 {
				t.Errorf("Content-Length %d", a.ContentLength)
			}
		}
	}
}

func TestEveryMethodPasses(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Got", r.Method+" "+r.Header.Get("Content-Length")+" "+strings.Join(r.TransferEncoding, ",")+" "+string(body))
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"free.example": o.addr}})
	w := r.wire()
	for _, c := range []struct{ method, rest, want string }{
		{"GET", "\r\n", "GET   "},
		{"POST", "Content-Length: 0\r\n\r\n", "POST 0  "},
		{"POST", "Content-Length: 5\r\n\r\nupped", "POST 5  upped"},
		{"PUT", "Transfer-Encoding: chunked\r\n\r\n5\r\nupped\r\n0\r\n\r\n", "PUT  chunked upped"},
		{"DELETE", "\r\n", "DELETE   "},
		{"PATCH", "Content-Length: 1\r\n\r\nx", "PATCH 1  x"},
		{"OPTIONS", "\r\n", "OPTIONS   "},
		{"PROPFIND", "\r\n", "PROPFIND   "},
	} {
		a := w.send(c.method+" http://free.example/p HTTP/1.1\r\nHost: free.example\r\n"+c.rest).answer(c.method).want(t, http.StatusOK)
		if got := a.Header.Get("Got"); got != strings.TrimSpace(c.want) && got != c.want {
			t.Errorf("%s: the origin got %q, want %q", c.method, got, c.want)
		}
	}
}

func TestRecordOfAPlainFlow(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		greet(w, r)
	})
	r := newRig(t, rigSetup{hosts: map[string]string{"upd.acme.example": o.addr}})
	r.do(http.MethodPost, "http://UPD.acme.example:80/a/../b?q=1", strings.NewReader("12345")).want(t, http.StatusOK)
	rec := r.recorded(audit.End)
	if rec.Kind != "plain" || rec.Method != http.MethodPost || rec.Scheme != "http" || rec.Host.String() != "upd.acme.example" || rec.Port != 80 ||
		rec.Path != "/b" || rec.Vendor != "acme" || rec.State != policy.Grace || rec.Verdict != policy.Allow || rec.Status != 200 ||
		rec.BytesIn != 5 || rec.BytesOut != 21 || rec.Ended != "complete" || rec.Upstream.String() != o.addr || !rec.NextBlock.Equal(deadline) {
		t.Errorf("record: %+v", rec)
	}
	if !rec.PolicyTime.Equal(inGrace) || time.Since(rec.Time) > time.Minute || rec.Client.Addr().String() != "127.0.0.1" {
		t.Errorf("record: %+v", rec)
	}
	r.observed("closed plain complete")
	if n := r.seen.count("decided"); n != 1 {
		t.Errorf("counted %d times", n)
	}
}

func TestUngovernedIsRecordedOnlyIfAsked(t *testing.T) {
	t.Parallel()
	o := webOrigin(t, greet)
	r := newRig(t, rigSetup{
		hosts:  map[string]string{"free.example": o.addr, "upd.acme.example": o.addr},
		change: func(c *Config) { c.Ungoverned = false },
	})
	r.get("http://free.example/").want(t, http.StatusOK)
	r.get("http://free.example:99/").want(t, http.StatusForbidden)
	r.get("http://upd.acme.example/").want(t, http.StatusOK)
	r.recorded(audit.End)
	var got []string
	for _, rec := range r.records.all() {
		got = append(got, rec.Host.String()+" "+rec.Event.String())
	}
	want := "free.example refused, upd.acme.example end"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("records: %s, want %s", s, want)
	}
}
