package main

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/bundle"
)

// scriptPublisher is the command `publisher DIR`: an HTTPS server of a directory's files, with ETags. $PUBLISHER is its URL, and
// publisher.pem has the root of its certificate.
func scriptPublisher(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "publisher DIR")
	s := startPublisher(publish(ts.MkAbs(args[0])))
	ts.Defer(s.Close)
	ts.Setenv("PUBLISHER", s.URL)
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs("publisher.pem"), root, 0o600))
}

// startPublisher does not tell of clients that do not trust it.
func startPublisher(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

func publish(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(filepath.Join(dir, filepath.Base(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		etag := fmt.Sprintf(`"%x"`, sha256.Sum256(data))
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(data) // who has gone gets nothing
	})
}

// signer makes bundles with a key of its own.
type signer struct{ key *bundle.SecretKey }

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := bundle.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return signer{key}
}

func (s signer) public() string { return s.key.Public().String() }

// sign returns a bundle with nothing but a policy that warns for so many days, which lives for a time from created on.
func (s signer) sign(t *testing.T, version int64, created time.Time, lives time.Duration, days int) []byte {
	t.Helper()
	created = created.UTC().Truncate(time.Second)
	m := bundle.Manifest{Version: version, Created: created, Expires: created.Add(lives)}
	data, err := bundle.Make(m, map[string][]byte{bundle.PolicyName: fmt.Appendf(nil, "version: 1\nsettings: {warn-before: %dd}\n", days)}, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// bundleConfig names a bundle, these keys, and a data directory of the test's own.
func bundleConfig(t *testing.T, from string, keys ...string) *config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Policy.Bundle, cfg.Policy.Keys, cfg.Data.Dir = from, keys, t.TempDir()
	return cfg
}
