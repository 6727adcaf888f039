package console

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

const right, wrong = "Bearer open-sesame", "Bearer guess"

func tokenHandler() http.Handler {
	c := testConfig()
	c.Token = "open-sesame"
	return New(c)
}

func TestToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		authorization string
		code          int
	}{
		{"", 401},
		{right, 200},
		{"bearer open-sesame", 200},
		{wrong, 401},
		{"Bearer", 401},
		{"Bearer ", 401},
		{"Bearer open-sesame ", 401},
		{"Bearer  open-sesame", 401},
		{"Bearer open-sesam", 401},
		{"Bearer Open-Sesame", 401},
		{"Basic open-sesame", 401},
		{"open-sesame", 401},
	}
	for _, tt := range tests {
		for _, path := range []string{"/readyz", "/metrics", "/version", "/configz", "/proxy.pac"} {
			res := ask(tokenHandler(), "GET", "localhost", path, "Authorization", tt.authorization)
			if res.StatusCode != tt.code {
				t.Errorf("%q for %s: %s, want %d", tt.authorization, path, res.Status, tt.code)
			}
			if got := res.Header.Get("WWW-Authenticate"); (got == realm) != (tt.code == 401) {
				t.Errorf("%q for %s: WWW-Authenticate is %q", tt.authorization, path, got)
			}
		}
	}
	for _, authorization := range []string{"", wrong} {
		if res := ask(tokenHandler(), "GET", "localhost", "/healthz", "Authorization", authorization); res.StatusCode != 200 {
			t.Errorf("/healthz with %q: %s", authorization, res.Status)
		}
	}
	if res := ask(tokenHandler(), "GET", "localhost", "/nowhere"); res.StatusCode != 401 {
		t.Errorf("an unknown page without a token: %s", res.Status)
	}
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tokenHandler()
		try := func(remote, authorization string, code int, retryAfter string) {
			t.Helper()
			r := httptest.NewRequest("GET", "http://localhost/version", nil)
			r.RemoteAddr = remote
			r.Header.Set("Authorization", authorization)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("Retry-After"); w.Code != code || got != retryAfter {
				t.Errorf("%s at %s: %d, Retry-After %q, want %d, %q", remote, time.Now(), w.Code, got, code, retryAfter)
			}
		}
		const client, other = "10.0.0.1:1000", "10.0.0.2:1000"
		for range freeFailures {
			try(client, wrong, 401, "")
		}
		try(client, wrong, 429, "1")
		try(client, right, 429, "1") // or guessing would go on unhindered
		try("10.0.0.1:2000", right, 429, "1")
		try("[::ffff:10.0.0.1]:1000", right, 429, "1")
		try(other, right, 200, "")

		time.Sleep(perFailure - 1)
		try(client, right, 429, "1")
		time.Sleep(time.Nanosecond)
		try(client, wrong, 401, "") // one a second
		try(client, right, 429, "1")
		time.Sleep(perFailure)
		try(client, right, 200, "")
		try(client, right, 200, "") // what is right costs nothing
		time.Sleep(freeFailures * perFailure)
		for range freeFailures {
			try(client, wrong, 401, "")
		}
		try(client, wrong, 429, "1")

		// One host has a whole /64 to guess from.
		for range freeFailures {
			try("[2001:db8::1]:1000", wrong, 401, "")
		}
		try("[2001:db8::2]:1000", right, 429, "1")
		try("[2001:db8:0:1::1]:1000", right, 200, "")
	})
}

// However many clients guess, what is remembered of them is bounded.
func TestThrottleForgets(t *testing.T) {
	t.Parallel()
	k := newToken("open-sesame")
	r := httptest.NewRequest("GET", "http://localhost/version", nil)
	now := time.Unix(0, 0)
	for i := range 3 * throttled {
		r.RemoteAddr = "10.0." + strconv.Itoa(i/200) + "." + strconv.Itoa(i%200) + ":1000"
		if right, wait := k.try(r, now); right || wait != 0 {
			t.Fatalf("%s: %v, %v", r.RemoteAddr, right, wait)
		}
	}
	if n := k.forgotten.Len(); n != throttled {
		t.Errorf("%d clients are remembered, want %d", n, throttled)
	}
}
