package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/source"
)

// A program that keeps a list for as long as it is told to has another one at the deadline, and not before.
func TestExportedListsChangeAtTheDeadline(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load("", false)
	if err != nil {
		t.Fatal(err)
	}
	op, problems := source.Operator(catalog.Builtin())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	var held policy.Holder
	if err := held.Reload(func(*policy.Policy) (*policy.Policy, error) {
		return policy.Compile(c, &op, policy.Options{Revision: "r"})
	}); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		deadline := time.Date(2024, 9, 29, 4, 0, 0, 0, time.UTC)
		etags := map[bool]string{} // by whether the deadline is over
		for _, test := range []struct {
			before time.Duration // the deadline, by the policy's clock
			rate   float64
			age    string
			fresh  time.Duration
		}{
			{2 * time.Hour, 1, "max-age=3600", time.Hour},
			{time.Hour + time.Second, 1, "max-age=3600", time.Hour},
			{10 * time.Second, 1, "max-age=10", 10 * time.Second},
			{10*time.Second + 999*time.Millisecond, 1, "max-age=10", 10 * time.Second},
			{600 * time.Second, 60, "max-age=10", 10 * time.Second},
			{time.Nanosecond, 1, "max-age=0", 0},
			{0, 1, "max-age=3600", time.Hour},
			{-24 * time.Hour, 1, "max-age=3600", time.Hour},
		} {
			over := test.before <= 0
			x := newExports(&held, func() time.Time { return deadline.Add(-test.before) }, test.rate)
			ask := func(etag string) *httptest.ResponseRecorder {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/export/adguard?site=", http.NoBody)
				r.Header.Set("If-None-Match", etag)
				w := httptest.NewRecorder()
				x.handler("adguard").ServeHTTP(w, r)
				return w
			}
			w := ask(etags[!over])
			h := w.Header()
			if blocks := strings.Contains(w.Body.String(), "\n||upd.kaspersky.com^\n"); w.Code != http.StatusOK || blocks != over {
				t.Errorf("%s before: %d, blocks %t", test.before, w.Code, blocks)
			}
			if want := time.Now().Add(test.fresh).UTC().Format(http.TimeFormat); h.Get("Cache-Control") != test.age || h.Get("Expires") != want {
				t.Errorf("%s before, at rate %v: %q, expires %s; want %q, %s", test.before, test.rate, h.Get("Cache-Control"), h.Get("Expires"), test.age, want)
			}
			if etags[over] == "" {
				etags[over] = h.Get("ETag")
			}
			if again := ask(etags[over]); again.Code != http.StatusNotModified {
				t.Errorf("%s before: asked again, %d", test.before, again.Code)
			}
		}
	})
}
