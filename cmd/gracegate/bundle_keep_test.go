package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/bundle"
	"github.com/gracegate/gracegate/policy/clock"
)

// shelf is a server in memory. What it has is fetched by HTTPS, as far as the client can tell.
type shelf struct {
	mu    sync.Mutex
	data  []byte // nil: nobody answers
	asked []string
}

func (s *shelf) put(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = data
}

// questions returns the ETags of what was asked since the last call.
func (s *shelf) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *shelf) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := r.Header.Get("If-None-Match")
	s.asked = append(s.asked, known)
	if s.data == nil {
		return nil, errors.New("nobody answers")
	}
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(s.data))
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Etag": {etag}}, Body: io.NopCloser(bytes.NewReader(s.data)), Request: r}
	if known == etag {
		resp.StatusCode, resp.Body = http.StatusNotModified, http.NoBody
	}
	return resp, nil
}

// keeperOf is a keeper that has taken up what is on the shelf, and runs until the test ends.
func keeperOf(t *testing.T, s *shelf, keys ...string) (*bundleKeeper, *observer.ObservedLogs) {
	t.Helper()
	return runKeeper(t, s, bundleConfig(t, "https://policy.example/site.bundle", keys...))
}

func runKeeper(t *testing.T, s *shelf, cfg *config.Config) (*bundleKeeper, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	k := &bundleKeeper{
		cfg: cfg, road: &bundleRoad{cfg: cfg, client: &http.Client{Transport: s}}, real: time.Now, log: zap.New(core), poke: make(chan struct{}, 1),
	}
	if _, err := k.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	takeUp := func() {
		b, err := k.toBuild()
		if err != nil {
			t.Error(err)
		}
		k.tookUp(b)
	}
	takeUp()
	go k.run(t.Context(), takeUp)
	return k, logs
}

// within lets so much time pass that a keeper has looked once more.
func within(every time.Duration) {
	time.Sleep(every*6/5 + time.Second) // of the bubble's clock
	synctest.Wait()
}

func wantVersion(t *testing.T, k *bundleKeeper, version int64) {
	t.Helper()
	if s := k.status(); s.Version != version {
		t.Errorf("version %d is in force, want %d", s.Version, version)
	}
	kept, err := keptBundle(k.cfg)
	seen, seenErr := seenBundle(k.cfg)
	if err != nil || seenErr != nil || kept.Version != version || seen != kept.Seen() {
		t.Errorf("not kept as version %d: seen is %+v, %v, %v", version, seen, err, seenErr)
	}
}

func wantRefused(t *testing.T, k *bundleKeeper, reason bundle.Reason) {
	t.Helper()
	refused, ok := errors.AsType[*bundle.RefusedError](k.refused())
	if ok != (reason != "") || ok && refused.Reason != reason {
		t.Errorf("refused: %v, want %q", k.refused(), reason)
	}
}

func TestKeeperFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ours, theirs := new(shelf), newSigner(t), newSigner(t)
		start := time.Now()
		first := ours.sign(t, 1, start, 24*time.Hour, 1)
		s.put(first)
		k, _ := keeperOf(t, s, ours.public(), theirs.public())
		wantVersion(t, k, 1)
		s.questions()

		// Nothing new: it is asked for by its ETag, within the time and not much more often.
		time.Sleep(time.Hour)
		if asked := s.questions(); len(asked) < 10 || len(asked) > 15 || slices.Contains(asked, "") {
			t.Errorf("asked in an hour: %q", asked)
		}

		second := ours.sign(t, 2, start, 24*time.Hour, 2)
		s.put(second)
		within(pollEvery)
		wantVersion(t, k, 2)

		for _, tt := range []struct {
			data   []byte
			reason bundle.Reason
		}{
			{first, bundle.Older},
			{ours.sign(t, 2, start, 24*time.Hour, 3), bundle.SameVersion},
			{ours.sign(t, 3, start, time.Minute, 3), bundle.Expired},
			{ours.sign(t, 3, start.Add(12*time.Hour), 24*time.Hour, 3), bundle.NotYetValid},
			{newSigner(t).sign(t, 3, start, 24*time.Hour, 3), bundle.UnknownKey},
			{second[:len(second)-1], bundle.Truncated},
			{slices.Concat(second[:len(second)-1], []byte{1}), bundle.Signature},
			{[]byte("<!DOCTYPE html><title>Log in to this network</title><p>Welcome"), bundle.Malformed},
		} {
			s.put(tt.data)
			within(pollEvery)
			wantRefused(t, k, tt.reason)
			wantVersion(t, k, 2)
			s.put(second)
			within(pollEvery)
			wantRefused(t, k, "")
		}

		// The same, signed by another key: so keys are changed.
		s.put(theirs.sign(t, 2, start, 24*time.Hour, 2))
		within(pollEvery)
		wantVersion(t, k, 2)
		if key := k.status().Key; key != theirs.key.Public().ID() {
			t.Errorf("it is still signed by %s", key)
		}

		// What is not valid yet is looked at again.
		s.put(ours.sign(t, 3, time.Now().Add(30*time.Minute), 24*time.Hour, 3))
		within(pollEvery)
		wantRefused(t, k, bundle.NotYetValid)
		time.Sleep(30 * time.Minute)
		wantVersion(t, k, 3)
		wantRefused(t, k, "")
	})
}

func TestKeeperWithoutANetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ours := new(shelf), newSigner(t)
		data := ours.sign(t, 1, time.Now(), 24*time.Hour, 1)
		s.put(data)
		k, logs := keeperOf(t, s, ours.public())
		s.put(nil)
		within(pollEvery)
		s.questions()
		time.Sleep(30 * time.Minute)
		if asked := s.questions(); len(asked) < 25 || len(asked) > 40 {
			t.Errorf("asked %d times in half an hour", len(asked))
		}
		wantVersion(t, k, 1)
		wantRefused(t, k, "")
		if problem := k.status().Problem; !strings.Contains(problem, "nobody answers") {
			t.Errorf("problem %q", problem)
		}
		if n := logs.FilterMessageSnippet("was not fetched").Len(); n != 1 {
			t.Errorf("it is told %d times", n)
		}
		s.put(data)
		within(pollAfterFailure)
		if problem := k.status().Problem; problem != "" {
			t.Errorf("problem %q", problem)
		}
		s.put(nil)
		k.ask()
		synctest.Wait()
		if n := logs.FilterMessageSnippet("was not fetched").Len(); n != 2 {
			t.Errorf("who asks is not told: %d", n)
		}
	})
}

func TestKeeperAtTheExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ours := new(shelf), newSigner(t)
		s.put(ours.sign(t, 1, time.Now(), time.Hour, 1))
		k, logs := keeperOf(t, s, ours.public())
		told := func() int { return logs.FilterMessageSnippet("has expired").Len() }
		time.Sleep(time.Hour - time.Nanosecond)
		synctest.Wait()
		if k.status().Expired || told() != 0 {
			t.Error("it has expired too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !k.status().Expired || told() != 1 {
			t.Errorf("expired: %t, told %d times", k.status().Expired, told())
		}
		time.Sleep(24 * time.Hour)
		wantVersion(t, k, 1)
		wantRefused(t, k, "")
		if told() != 1 {
			t.Errorf("told %d times", told())
		}
		s.put(ours.sign(t, 2, time.Now(), time.Hour, 1))
		within(pollEvery)
		wantVersion(t, k, 2)
		if k.status().Expired {
			t.Error("the new one has expired")
		}
	})
}

// Where there is no room for a bundle, at least its version is remembered.
func TestKeeperRemembersWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	ours := newSigner(t)
	cfg := bundleConfig(t, filepath.Join(t.TempDir(), "site.bundle"), ours.public())
	for name, data := range map[string][]byte{cfg.Policy.Bundle: ours.sign(t, 2, time.Now(), time.Hour, 1), filepath.Join(keptName(cfg), "in-the-way"): nil} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	k, err := openBundles(t.Context(), cfg, &edgeClock{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := k.toBuild()
	k.tookUp(b)
	if seen, err := seenBundle(cfg); err != nil || seen != b.Seen() || k.status().Unkept == "" {
		t.Errorf("remembered is %+v, %v; not kept: %q", seen, err, k.status().Unkept)
	}
}

// A key that is withdrawn is told, although the bundle is still there as it was; what is in force stays.
func TestKeeperWithoutItsKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ours := new(shelf), newSigner(t)
		s.put(ours.sign(t, 1, time.Now(), 24*time.Hour, 1))
		file := filepath.Join(t.TempDir(), "bundle.pub")
		trust := func(key string) {
			if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		trust(ours.public())
		k, _ := keeperOf(t, s, file)
		trust(newSigner(t).public())
		within(pollEvery)
		wantRefused(t, k, bundle.UnknownKey)
		if version := k.status().Version; version != 1 {
			t.Errorf("version %d is in force", version)
		}
		trust(ours.public())
		within(pollAfterFailure)
		wantRefused(t, k, "")
		wantVersion(t, k, 1)
	})
}

// A bundle that waits for a mistake in the waivers to be mended is not taken up after it has expired.
func TestKeeperOfOneThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ours := new(shelf), newSigner(t)
		start := time.Now()
		s.put(ours.sign(t, 1, start, 24*time.Hour, 1))
		k, _ := keeperOf(t, s, ours.public())
		wantNext := func(version int64) {
			t.Helper()
			if b, err := k.toBuild(); err != nil || b.Version != version {
				t.Errorf("version %d is to be taken up, %v; want %d", b.Version, err, version)
			}
		}
		s.put(ours.sign(t, 2, start, time.Hour, 2))
		if _, err := k.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantNext(2)
		time.Sleep(time.Hour - time.Since(start))
		wantNext(1)
		if _, err := k.refresh(t.Context()); err == nil {
			t.Error("nothing tells that it has expired")
		}
		wantRefused(t, k, bundle.Expired)
	})
}

// With policy.reload off, only who asks has it looked for.
func TestKeeperWithoutReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ours := new(shelf), newSigner(t)
		s.put(ours.sign(t, 1, time.Now(), 24*time.Hour, 1))
		cfg := bundleConfig(t, "https://policy.example/site.bundle", ours.public())
		cfg.Policy.Reload = false
		k, _ := runKeeper(t, s, cfg)
		s.questions()
		s.put(ours.sign(t, 2, time.Now(), 24*time.Hour, 1))
		time.Sleep(time.Hour)
		if asked := s.questions(); len(asked) > 0 {
			t.Errorf("asked %q", asked)
		}
		k.ask()
		synctest.Wait()
		wantVersion(t, k, 2)
	})
}

// What a start makes of what is there and of what was kept.
func TestOpenBundles(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ours, gone := newSigner(t), newSigner(t)
	sign := func(version int64, days int) []byte {
		return ours.sign(t, version, now.Add(-time.Hour), 48*time.Hour, days)
	}
	seen := func(data []byte) string {
		b, err := bundle.Read(data, []bundle.Key{ours.key.Public()})
		if err != nil {
			t.Fatal(err)
		}
		return `{"version":` + string(rune('0'+b.Version)) + `,"digest":"` + b.Digest + `"}`
	}
	expired := ours.sign(t, 2, now.Add(-48*time.Hour), time.Hour, 2)
	v1, v2 := sign(1, 1), sign(2, 2)
	for _, tt := range []struct {
		name        string
		there, kept []byte // nil: nothing
		seen        string
		version     int64  // 0: it fails
		says        string // the error, or the log
	}{
		{"the first start", v1, nil, "", 1, ""},
		{"a first start without a bundle", nil, nil, "", 0, "no such file"},
		{"a first start with an expired one", expired, nil, "", 0, "it expired at "},
		{"a newer one", v2, v1, seen(v1), 2, ""},
		{"the same", v2, v2, seen(v2), 2, ""},
		{"an older one", v1, v2, seen(v2), 2, "it is version 1, and version 2 was in force"},
		{"the same version with other contents", sign(2, 3), v2, seen(v2), 2, "it is version 2, as was one in force with other contents"},
		{"none there", nil, v2, seen(v2), 2, "no such file"},
		{"what was kept has expired", nil, expired, seen(expired), 2, "no such file"},
		{"what was kept has expired, and is there still", expired, expired, seen(expired), 2, ""},
		{"what was kept is damaged", v2, v1[:100], seen(v1), 2, "cannot be used"},
		{"what was kept is damaged, and none there", nil, v1[:100], seen(v1), 0, "no such file"},
		{"what was kept is damaged, and an older one there", v1, v2[:100], seen(v2), 0, "it is version 1, and version 2 was in force"},
		{"what was kept was signed by a key that is gone", nil, gone.sign(t, 2, now, time.Hour, 2), seen(v1), 0, "no such file"},
		{"killed before it was remembered", v1, v2, seen(v1), 2, "it is version 1, and version 2 was in force"},
		{"what was kept is older than what is remembered", nil, v1, seen(v2), 0, "no such file"},
		{"what is remembered is damaged", v2, v1, "{", 0, "which bundle was in force last cannot be read"},
		{"what is remembered is nothing", v2, nil, "null", 0, "which bundle was in force last cannot be read"},
		{"what is remembered is half of it", v2, nil, `{"version":1}`, 0, "which bundle was in force last cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := bundleConfig(t, filepath.Join(t.TempDir(), "site.bundle"), ours.public())
			cutOff := filepath.Join(cfg.Data.Dir, ".bundle.2p1ybr17iy5ru")
			for name, data := range map[string][]byte{cfg.Policy.Bundle: tt.there, keptName(cfg): tt.kept, seenName(cfg): []byte(tt.seen), cutOff: v1[:100]} {
				if len(data) > 0 {
					if err := os.WriteFile(name, data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			core, logs := observer.New(zapcore.InfoLevel)
			clk := &edgeClock{simulated: clock.At(time.Unix(0, 0), 1)} // which no expiry is judged by
			k, err := openBundles(t.Context(), cfg, clk, zap.New(core))
			if tt.version == 0 {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Fatalf("%v, want %s", err, tt.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := k.toBuild()
			if err != nil || b.Version != tt.version {
				t.Fatalf("version %d, %v", b.Version, err)
			}
			told := ""
			for _, e := range logs.All() {
				told += e.Message
				if problem, ok := e.ContextMap()["error"].(string); ok {
					told += ": " + problem + "\n"
				}
			}
			if tt.says == "" && told != "" || !strings.Contains(told, tt.says) {
				t.Errorf("it logs %q, want %q", told, tt.says)
			}
			k.tookUp(b)
			wantVersion(t, k, tt.version)
			if _, err := os.Stat(cutOff); err == nil {
				t.Error("what was cut off is still there")
			}
			for _, name := range []string{keptName(cfg), seenName(cfg)} {
				if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", name, info.Mode(), err)
				}
			}
		})
	}
}

// A bundle that could not be kept is kept later.
func TestKeeperTriesToKeepAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ours := new(shelf), newSigner(t)
		s.put(ours.sign(t, 1, time.Now(), 24*time.Hour, 1))
		cfg := bundleConfig(t, "https://policy.example/site.bundle", ours.public())
		cfg.Data.Dir = filepath.Join(cfg.Data.Dir, "later")
		k, _ := runKeeper(t, s, cfg)
		if k.status().Unkept == "" {
			t.Error("nothing tells that it was not kept")
		}
		if err := os.Mkdir(cfg.Data.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		within(pollEvery)
		wantVersion(t, k, 1)
		if k.status().Unkept != "" {
			t.Error(k.status().Unkept)
		}
	})
}
