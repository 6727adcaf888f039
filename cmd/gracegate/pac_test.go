package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
)

// manyNames makes a catalogue directory with a list of names.
func manyNames(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "host-%06d.zone-%03d.example\n", i, i%1000)
	}
	for name, text := range map[string]string{"names.txt": list.String(), "acme.yaml": `vendor: acme
sources: {own: {title: The manual, checked: 2026-11-23, grade: primary}}
endpoints: [{list: names.txt, channels: [signatures], sources: [own]}]
`} {
		name = filepath.Join(dir, "vendors", name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A list of names that no browser would take is refused, by the command and by the page, and the whole file is still served.
func TestPACOfTooManyNames(t *testing.T) {
	t.Parallel()
	dir := manyNames(t, 60_000)
	var out, stderr bytes.Buffer
	code := run(t.Context(), []string{"pac", "--only", "catalog", "--policy-catalog", dir}, nil, &out, &stderr)
	want := "error: the names take more than the 1024 KiB that browsers take of a PAC file\nhint: leave out --only catalog: the gateway passes what it does not know\n"
	if code != exitInvalid || out.Len() > 0 || stderr.String() != want {
		t.Errorf("pac: %d, %d bytes, %s", code, out.Len(), stderr.String())
	}

	cfg := &config.Config{}
	cfg.Policy.Catalog = dir
	p, err := (&law{cfg: cfg}).build(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pages := &pacPages{proxies: []net.Listener{l}, policy: func() *policy.Policy { return p }}
	for query, want := range map[string]int{"": 200, "?only=catalog": 503, "?only=": 400, "?only=catalog&only=catalog": 400} {
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://gw.example.net:9128/proxy.pac"+query, nil))
		if w.Code != want {
			t.Errorf("/proxy.pac%s: %d, want %d: %.100s", query, w.Code, want, w.Body)
		}
	}
}
