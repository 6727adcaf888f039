package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testConfig() Config {
	return Config{
		Listen: "192.0.2.9:9128",
		Hosts:  []string{"gw.Example.net", "2001:db8::9"},
		Status: func() Status {
			return Status{Revision: "3f2a", Clock: Clock{Description: "the machine's", PolicyTime: time.Unix(0, 0), Trusted: true, State: "trusted"}}
		},
		Settings: func() any { return map[string]string{"admin.token-file": "redacted"} },
		Version:  map[string]string{"version": "v0.1.0"},
		Metrics:  testMetrics().Handler(),
		Pages: map[string]http.Handler{"/proxy.pac": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-ns-proxy-autoconfig")
			_, _ = w.Write([]byte("function FindProxyForURL"))
		})},
	}
}

// ask has the handler answer a request with the given headers, whose keys and values follow each other.
func ask(h http.Handler, method, host, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "http://localhost"+path, nil)
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t *testing.T, res *http.Response) string {
	t.Helper()
	var b strings.Builder
	if err := res.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	return body
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := New(testConfig())
	tests := []struct {
		path, kind, holds string
		code              int
	}{
		{"/healthz", "text/plain; charset=utf-8", "ok\n", 200},
		{"/readyz", "application/json", `"ready": true`, 200},
		{"/metrics", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "gracegate_audit_queue_length 3", 200},
		{"/version", "application/json", `"version": "v0.1.0"`, 200},
		{"/configz", "application/json", `"admin.token-file": "redacted"`, 200},
		{"/proxy.pac", "application/x-ns-proxy-autoconfig", "function FindProxyForURL", 200},
		{"/", "text/plain; charset=utf-8", "no such page", 404},
		{"/healthz/", "text/plain; charset=utf-8", "no such page", 404},
		{"//healthz", "text/plain; charset=utf-8", "no such page", 404},
		{"/Healthz", "text/plain; charset=utf-8", "no such page", 404},
		{"/debug/pprof/", "text/plain; charset=utf-8", "no such page", 404},
	}
	for _, tt := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			res := ask(h, method, "localhost:9128", tt.path)
			if got := res.Header.Get("Content-Type"); res.StatusCode != tt.code || got != tt.kind {
				t.Errorf("%s %s: %d %s, want %d %s", method, tt.path, res.StatusCode, got, tt.code, tt.kind)
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options":       "nosniff",
				"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
				"X-Frame-Options":              "DENY",
				"Cross-Origin-Resource-Policy": "same-origin",
				"Cache-Control":                "no-store",
				"Access-Control-Allow-Origin":  "",
			} {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s %s: %s is %q, want %q", method, tt.path, name, got, want)
				}
			}
			if body := bodyOf(t, res); method == "GET" && !strings.Contains(body, tt.holds) {
				t.Errorf("%s: no %q in\n%s", tt.path, tt.holds, body)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	h := New(testConfig())
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "PRI"} {
		res := ask(h, method, "localhost", "/healthz")
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s, Allow %q", method, res.Status, res.Header.Get("Allow"))
		}
	}
}

var knownHosts = []string{
	"localhost", "LOCALHOST:9128", "127.0.0.1", "127.0.0.1:9128", "127.8.8.8:1", "[::1]", "[::1]:9128", "[::ffff:127.0.0.1]:9128",
	"192.0.2.9:9128", "192.0.2.9", "gw.example.net", "GW.example.NET:443", "[2001:db8::9]:9128", "[2001:DB8:0::9]",
}

var unknownHosts = []string{
	"192.0.2.9:@", "localhost:x",
	"", "evil.example", "evil.example:9128", "localhost.evil.example", "localhost.", "127.0.0.1.evil.example", "192.0.2.10", "0.0.0.0:9128",
	"[::]:9128", "127.1", "0x7f.1", "2130706433", "[::1%lo]:9128", "[::1", "::1]", "[localhost", "localhost:80:80", "gw.example.net.evil.example",
	"a@localhost", "localhost/", ":9128", "[]", "10.0.0.1",
}

func TestHosts(t *testing.T) {
	t.Parallel()
	h := New(testConfig())
	for _, host := range knownHosts {
		if res := ask(h, "GET", host, "/healthz"); res.StatusCode != http.StatusOK {
			t.Errorf("Host %q: %s", host, res.Status)
		}
	}
	for _, host := range unknownHosts {
		if res := ask(h, "GET", host, "/healthz"); res.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("Host %q: %s", host, res.Status)
		}
	}
}

// To listen on every address makes no name known; not even the empty one, which ":9128" would seem to list.
func TestListenEverywhere(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:9128", "[::]:9128", ":9128", "", "[::ffff:0.0.0.0]:9128"} {
		c := testConfig()
		c.Listen, c.Hosts = listen, nil
		h := New(c)
		for host, want := range map[string]int{"localhost": 200, "": 421, ":9128": 421, "0.0.0.0:9128": 421, "[::]:9128": 421, "192.0.2.9": 421} {
			if res := ask(h, "GET", host, "/healthz"); res.StatusCode != want {
				t.Errorf("listening on %q, Host %q: %s, want %d", listen, host, res.Status, want)
			}
		}
	}
}

// A host that is known is, to a browser, loopback or one that the operator named.
func FuzzHost(f *testing.F) {
	for _, host := range append(knownHosts, unknownHosts...) {
		f.Add(host)
	}
	c := testConfig()
	known := newHosts(c.Listen, c.Hosts)
	f.Fuzz(func(t *testing.T, host string) {
		if !known.known(host) {
			return
		}
		r, err := http.NewRequest("GET", "http://"+host+"/", nil)
		if err != nil {
			return // no browser can send it
		}
		name := strings.ToLower(r.URL.Hostname())
		if name == "localhost" || name == "gw.example.net" {
			return
		}
		addr, err := netip.ParseAddr(name)
		if err == nil && (addr.Unmap().IsLoopback() || addr.String() == "192.0.2.9" || addr.String() == "2001:db8::9") {
			return
		}
		t.Errorf("Host %q is known", host)
	})
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	h := New(testConfig())
	tests := []struct {
		name    string
		origins []string
		code    int
	}{
		{"none", nil, 200},
		{"the same", []string{"http://localhost:9128"}, 200},
		{"the same behind TLS", []string{"https://LOCALHOST:9128"}, 200},
		{"another port", []string{"http://localhost:8080"}, 403},
		{"no port", []string{"http://localhost"}, 403},
		{"another known name", []string{"http://127.0.0.1:9128"}, 403},
		{"elsewhere", []string{"https://evil.example"}, 403},
		{"opaque", []string{"null"}, 403},
		{"empty", []string{""}, 403},
		{"another scheme", []string{"file://localhost:9128"}, 403},
		{"two", []string{"http://localhost:9128", "https://evil.example"}, 403},
	}
	for _, tt := range tests {
		var header []string
		for _, o := range tt.origins {
			header = append(header, "Origin", o)
		}
		if res := ask(h, "GET", "localhost:9128", "/version", header...); res.StatusCode != tt.code {
			t.Errorf("%s: %s, want %d", tt.name, res.Status, tt.code)
		}
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		change   func(*Status)
		code     int
		problems []string
	}{
		{"all is well", func(*Status) {}, 200, []string{}},
		{"nothing is loaded", func(s *Status) { s.Revision = "" }, 503, []string{"no policy is loaded"}},
		{
			"a reload failed", func(s *Status) { s.ReloadError = "policy.yaml:3:1: unknown key" }, 200,
			[]string{"the last reload failed, what it could not read stays as it was: policy.yaml:3:1: unknown key"},
		},
		{"records fail", func(s *Status) { s.RecordsFail = true }, 200, []string{"records are being lost"}},
		{"needed records fail", func(s *Status) { s.RecordsFail, s.RecordsNeeded = true, true }, 503, []string{"records are being lost"}},
		{"records are needed", func(s *Status) { s.RecordsNeeded = true }, 200, []string{}},
		{"a bundle", func(s *Status) { s.Bundle = &Bundle{Version: 12} }, 200, []string{}},
		{"a bundle that has expired", func(s *Status) { s.Bundle = &Bundle{Expired: true} }, 200, []string{"the bundle has expired, what it says is enforced on: sign a new one, with a higher version"}},
		{"a bundle that cannot be fetched or kept", func(s *Status) { s.Bundle = &Bundle{Problem: "timeout", Unkept: "disk full"} }, 200, []string{
			"the bundle may be out of date: timeout", "the bundle is not kept, a start without its source would not have it: disk full",
		}},
		{"the CA has ended", func(s *Status) { s.CAProblem = "the CA has ended" }, 200, []string{"nothing is intercepted: the CA has ended"}},
		{"the database is behind", func(s *Status) { s.DatabaseError = "no space left" }, 200, []string{"the database of what was seen is behind, reports are not up to date: no space left"}},
		{"the CA is due", func(s *Status) { s.CADue = true }, 200, []string{"the CA nears its end: gracegate ca renew"}},
		{"draining", func(s *Status) { s.Draining = true }, 503, []string{"shutting down"}},
		{"a fatal and a mild one", func(s *Status) { s.Draining, s.RecordsFail = true, true }, 503, []string{"records are being lost", "shutting down"}},
		{"simulated", func(s *Status) { s.Clock.Simulated, s.Clock.Description = true, "simulated" }, 200, []string{}},
		{"the clock is needed", func(s *Status) { s.ClockNeeded = true }, 200, []string{}},
		{"the clock was set back", func(s *Status) { s.Clock.Trusted, s.Clock.Detail = false, "it is behind" }, 200, []string{"the clock cannot be believed: it is behind"}},
		{
			"the needed clock was set back", func(s *Status) { s.Clock.Trusted, s.Clock.Detail, s.ClockNeeded = false, "it is behind", true }, 503,
			[]string{"the clock cannot be believed: it is behind"},
		},
		{
			"the mark is not kept", func(s *Status) { s.Clock.MarkError = "no space left" }, 200,
			[]string{"the clock's mark is not kept, a restart may turn it back: no space left"},
		},
	}
	for _, tt := range tests {
		c := testConfig()
		status := c.Status()
		tt.change(&status)
		c.Status = func() Status { return status }
		res := ask(New(c), "GET", "localhost", "/readyz")
		var got readiness
		if err := json.Unmarshal([]byte(bodyOf(t, res)), &got); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != tt.code || got.Ready != (tt.code == 200) {
			t.Errorf("%s: %s, ready %v, want %d", tt.name, res.Status, got.Ready, tt.code)
		}
		if diff := cmp.Diff(tt.problems, got.Problems); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestReadyBody(t *testing.T) {
	t.Parallel()
	c := testConfig()
	zone, ahead := time.FixedZone("", -4*3600), 120.5
	mark := time.Date(2024, 9, 29, 0, 0, 0, 0, zone)
	c.Status = func() Status {
		return Status{
			Revision: "3f2a", ReloadError: "gone", RecordsFail: true, RecordsLost: 7, RecordsWaiting: 3, Draining: true,
			Clock: Clock{
				Description: "the machine's", PolicyTime: time.Date(2024, 9, 29, 0, 0, 0, 0, zone), WallTime: time.Date(2024, 9, 29, 0, 2, 0, 0, zone),
				State: "contradicted", Detail: "it is wrong", Mark: &mark, Kernel: "synchronised", Source: &TimeSource{Source: "ntp://b:123", Ahead: &ahead},
			},
		}
	}
	const want = `{
  "ready": false,
  "problems": [
    "the last reload failed, what it could not read stays as it was: gone",
    "records are being lost",
    "the clock cannot be believed: it is wrong",
    "shutting down"
  ],
  "policy": {
    "loaded": true,
    "revision": "3f2a",
    "last_reload_ok": false
  },
  "clock": {
    "simulated": false,
    "description": "the machine's",
    "policy_time": "2024-09-29T04:00:00Z",
    "wall_time": "2024-09-29T04:02:00Z",
    "trusted": false,
    "state": "contradicted",
    "detail": "it is wrong",
    "mark": "2024-09-29T04:00:00Z",
    "kernel": "synchronised",
    "second_source": {
      "source": "ntp://b:123",
      "machine_ahead_seconds": 120.5
    }
  },
  "recorder": {
    "failing": true,
    "lost": 7,
    "waiting": 3
  },
  "draining": true
}
`
	if diff := cmp.Diff(want, bodyOf(t, ask(New(c), "GET", "localhost", "/readyz"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnwritablePage(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Settings = func() any { return func() {} }
	if res := ask(New(c), "GET", "localhost", "/configz"); res.StatusCode != http.StatusInternalServerError {
		t.Errorf("settings that are no JSON: %s", res.Status)
	}
}
