package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestProfiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		path, holds string
		code        int // where they are served
	}{
		{"/debug/pprof/", "goroutine?debug=1", 200},
		{"/debug/pprof/cmdline", "console.test", 200},
		{"/debug/pprof/symbol", "num_symbols: 1", 200},
		{"/debug/pprof/heap?debug=1", "heap profile: ", 200},
		{"/debug/pprof/goroutine?debug=1", "goroutine profile: ", 200},
		{"/debug/pprof/nothing", "Unknown profile", 404},
		{"/debug/pprof", "no such page", 404},
	}
	for _, served := range []bool{true, false} {
		c := testConfig()
		c.Pprof = served
		h := New(c)
		for _, tt := range tests {
			if !served {
				tt.code, tt.holds = 404, "no such page"
			}
			res := ask(h, "GET", "localhost", tt.path)
			if body := bodyOf(t, res); res.StatusCode != tt.code || !strings.Contains(body, tt.holds) {
				t.Errorf("served %v: %s: %s, no %q in\n%.200s", served, tt.path, res.Status, tt.holds, body)
			}
		}
	}
}

// deadlined is an answer that has its deadline moved.
type deadlined struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (d *deadlined) SetWriteDeadline(t time.Time) error {
	d.deadline = t
	return nil
}

// A profile may measure for longer than an answer may take otherwise.
func TestProfileMovesItsDeadline(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Pprof = true
	h := New(c)
	server := Server(h, nil)
	r := httptest.NewRequest("GET", "http://localhost/debug/pprof/trace?seconds=0.05", nil)
	w := &deadlined{ResponseRecorder: httptest.NewRecorder()}
	least := time.Now().Add(server.WriteTimeout + 50*time.Millisecond)
	h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, server)))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "go 1.") {
		t.Errorf("%d, %.20q", w.Code, w.Body)
	}
	if w.deadline.Before(least) {
		t.Errorf("the answer has time until %s, want %s at least", w.deadline, least)
	}
}
