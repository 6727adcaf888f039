package console

import (
	"bytes"
	"io"
	"net/http"
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

// A profile may measure for longer than an answer may take otherwise.
func TestProfileOutlastsTheWriteTimeout(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Pprof = true
	const usual = 50 * time.Millisecond
	addr := serve(t, c, usual)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + "/debug/pprof/trace?seconds=0.2")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	trace, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !bytes.HasPrefix(trace, []byte("go 1.")) {
		t.Errorf("%s, %v, %.20q", res.Status, err, trace)
	}
}
