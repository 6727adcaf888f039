package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/bundle"
	"github.com/gracegate/gracegate/policy/host"
)

// roadTo is a road to a server that only the test trusts.
func roadTo(t *testing.T, s *httptest.Server, path string) *bundleRoad {
	t.Helper()
	road, err := newBundleRoad(bundleConfig(t, s.URL+path))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	road.client.Transport.(*http.Transport).TLSClientConfig.RootCAs = roots
	return road
}

func TestFetchKnowsByETag(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "b"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startPublisher(publish(dir))
	defer s.Close()
	road := roadTo(t, s, "/b")
	put("one")
	data, first, err := road.fetch(t.Context(), "")
	if err != nil || string(data) != "one" || first == "" {
		t.Fatalf("%q, %q, %v", data, first, err)
	}
	if data, etag, err := road.fetch(t.Context(), first); err != nil || data != nil || etag != first {
		t.Errorf("unchanged: %q, %q, %v", data, etag, err)
	}
	put("two")
	if data, etag, err := road.fetch(t.Context(), first); err != nil || string(data) != "two" || etag == first {
		t.Errorf("changed: %q, %q, %v", data, etag, err)
	}
}

func TestFetchFails(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/304", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	mux.Handle("/http", http.RedirectHandler(plain.URL, http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("12345"))
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		part := bytes.Repeat([]byte("x"), 1<<20)
		for range bundle.MaxSize>>20 + 16 {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/terminal", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 599 \x1b]0;owned\a" + strings.Repeat("x", 10_000) + "\r\nContent-Length: 0\r\n\r\n"))
		_ = conn.Close()
	})
	s := startPublisher(mux)
	defer s.Close()
	for path, says := range map[string]string{
		"/404": "it answers 404 Not Found", "/304": "it answers 304 Not Modified", "/cut": "unexpected EOF",
		"/http": "which is not https", "/loop": "it leads on and on",
		"/terminal": "cannot be fetched: it answers 599",
	} {
		_, _, err := roadTo(t, s, path).fetch(t.Context(), "")
		if _, ok := errors.AsType[*unreachableError](err); !ok || !strings.Contains(err.Error(), says) || len(err.Error()) > 200 {
			t.Errorf("%s: %v, want %s", path, err, says)
		}
	}
	if data, _, err := roadTo(t, s, "/large").fetch(t.Context(), ""); err != nil || len(data) != bundle.MaxSize+1 {
		t.Errorf("what is too large: %d bytes, %v", len(data), err)
	}
	untrusting, err := newBundleRoad(bundleConfig(t, s.URL+"/404"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := untrusting.fetch(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of nobody: %v", err)
	}
}

// A parent proxy that does not want to is told as such, in our words.
func TestFetchRefusedByTheParent(t *testing.T) {
	t.Parallel()
	parent := answering(t, "HTTP/1.1 407 \x1b]0;owned\a\r\nContent-Length: 0\r\n\r\n")
	cfg := bundleConfig(t, "https://policy.example/b")
	cfg.Upstream.Parent = config.Parent{Name: host.FromAddr(parent.Addr()), Port: parent.Port()}
	road, err := newBundleRoad(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = road.fetch(t.Context(), "")
	if want := `bundle "https://policy.example/b" cannot be fetched: upstream.parent answers 407 Proxy Authentication Required`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// answering is a server that says the same to everybody.
func answering(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte(text))
		_ = conn.Close()
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

func TestFetchOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, says := range map[string]string{filepath.Join(dir, "none"): "no such file", dir: "it is not a regular file"} {
		road, err := newBundleRoad(bundleConfig(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := road.fetch(t.Context(), ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", name, err, says)
		}
	}
}

func TestBundleKeys(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.pub"), filepath.Join(dir, "bad.pub")
	for name, text := range map[string][]byte{good: s.key.Public().File(), bad: []byte("version: 1\n")} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := bundleKeys(bundleConfig(t, "b", s.public(), good))
	if err != nil || len(keys) != 2 || keys[0].String() != s.public() || keys[1].String() != s.public() {
		t.Errorf("%v, %v", keys, err)
	}
	_, err = bundleKeys(bundleConfig(t, "b", bad, filepath.Join(dir, "none.pub"), s.public()))
	problems, ok := errors.AsType[config.Errors](err)
	if !ok || len(problems) != 2 || !strings.Contains(err.Error(), "no public key of minisign") || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%v", err)
	}
}

// A parent proxy is gone through, with the user and the password for it.
func TestFetchThroughAParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b"), []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startPublisher(publish(dir))
	defer s.Close()
	parent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "policy.example:443" || r.Header.Get("Proxy-Authorization") != "Basic bWU6c2VjcmV0" {
			http.Error(w, "not for you", http.StatusForbidden)
			return
		}
		up, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer up.Close()
		down, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer down.Close()
		_, _ = down.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		go func() { _, _ = io.Copy(up, down) }()
		_, _ = io.Copy(down, up)
	}))
	defer parent.Close()

	login := filepath.Join(dir, "login")
	if err := os.WriteFile(login, []byte("me:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := bundleConfig(t, "https://policy.example/b")
	at := parent.Listener.Addr().(*net.TCPAddr).AddrPort()
	cfg.Upstream.Parent, cfg.Upstream.ParentAuth = config.Parent{Name: host.FromAddr(at.Addr()), Port: at.Port()}, "file:"+login
	road, err := newBundleRoad(cfg)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	tlsConfig := road.client.Transport.(*http.Transport).TLSClientConfig
	tlsConfig.RootCAs, tlsConfig.ServerName = roots, "example.com" // the name in the certificate of httptest
	if data, _, err := road.fetch(t.Context(), ""); err != nil || string(data) != "one" {
		t.Errorf("%q, %v", data, err)
	}
}
