package certs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestBusy: who writes into a directory keeps others from it, and nobody else.
func TestBusy(t *testing.T) {
	t.Parallel()
	_, dir := newCA(t)
	key := filepath.Join(t.TempDir(), "key")
	if _, err := (Store{Dir: filepath.Join(t.TempDir(), "ca"), RootKeyDir: key}).Init(zones("example.org"), start); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "ca")
	for name, tc := range map[string]struct {
		locked string
		change func() error
	}{
		"renew": {dir, func() error { _, err := storeAt(dir).Renew(zones("example.org"), start); return err }},
		"init":  {dir, func() error { _, err := storeAt(dir).Init(zones("example.org"), start); return err }},
		"init with the root's key there": {key, func() error {
			_, err := Store{Dir: elsewhere, RootKeyDir: key}.Init(zones("example.org"), start)
			return err
		}},
	} {
		unlock, err := storeAt(tc.locked).lock(tc.locked)
		if err != nil {
			t.Fatal(err)
		}
		err = tc.change()
		unlock()
		if want := tc.locked + ": another gracegate ca init or ca renew is at work"; err == nil || !strings.Contains(err.Error(), want) || hint(err) == "" {
			t.Errorf("%s while another works: %v (hint %q), want %q", name, err, hint(err), want)
		}
	}
	unlock, err := storeAt(elsewhere).lock(elsewhere) // the lock that was not needed is free
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if ca, err := Load(dir); err != nil || ca.Permits(zones("example.org")[0]) {
		t.Errorf("what was refused has changed something: %v", err)
	}
	if _, err := (Store{Dir: dir, RootKeyDir: dir}).Renew(zones("example.org"), start); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// TestRenewTogether renews from many sides while others read: all read a CA, and the last one renewed is what is there.
func TestRenewTogether(t *testing.T) {
	t.Parallel()
	_, dir := newCA(t)
	var renewing, reading sync.WaitGroup
	var renewed atomic.Int64
	for n := range 4 {
		renewing.Go(func() {
			for m := range 10 {
				_, err := storeAt(dir).Renew(zones(fmt.Sprintf("z%d-%d.example", n, m)), start)
				switch file, ok := errors.AsType[*FileError](err); {
				case err == nil:
					renewed.Add(1)
				case !ok || file.Name != dir:
					t.Error(err)
				}
			}
		})
	}
	over := make(chan struct{})
	for range 4 {
		reading.Go(func() {
			for {
				if _, err := Load(dir); err != nil {
					t.Error(err)
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	renewing.Wait()
	close(over)
	reading.Wait()
	if renewed.Load() == 0 {
		t.Error("nobody renewed it")
	}
}

// TestInitTogether makes one CA, however many make it at a time.
func TestInitTogether(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ca")
	var made atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := storeAt(dir).Init(zones("example.org"), start); err == nil {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if _, err := Load(dir); err != nil || made.Load() != 1 {
		t.Errorf("%d CAs were made: %v", made.Load(), err)
	}
}

// TestKilled: what a run left that was killed while it wrote is removed by the next one, unless somebody is writing it.
func TestKilled(t *testing.T) {
	t.Parallel()
	_, dir := newCA(t)
	other, key := filepath.Join(t.TempDir(), "ca"), filepath.Join(t.TempDir(), "key")
	for _, d := range []string{other, key} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	renew := func(s Store) error { _, err := s.Renew(zones("example.org"), start); return err }
	init := func(s Store) error { _, err := s.Init(zones("example.org"), start); return err }
	for _, tc := range []struct {
		name, in string
		store    Store
		run      func(Store) error
	}{
		{"renew", dir, Store{Dir: dir}, renew},
		{"init", other, Store{Dir: other}, init},
		{"init with the root's key elsewhere", key, Store{Dir: filepath.Join(t.TempDir(), "ca"), RootKeyDir: key}, init},
	} {
		var removed []string
		tc.store.Removed = func(name string) { removed = append(removed, name) }
		unlock, err := tc.store.lock(tc.in)
		if err != nil {
			t.Fatal(err)
		}
		left := filepath.Join(tc.in, unfinished+"1")
		(&files{t, tc.in}).replace(unfinished+"1", []byte("a key"))
		if err := tc.run(tc.store); err == nil || len(removed) > 0 {
			t.Errorf("%s while another works: %v, removed %v", tc.name, err, removed)
		}
		unlock()
		if err := tc.run(tc.store); err != nil || len(removed) != 1 || removed[0] != left {
			t.Errorf("%s: %v, removed %v, want %s", tc.name, err, removed, left)
		}
		if _, err := os.Lstat(left); err == nil {
			t.Errorf("%s: it is still there", tc.name)
		}
	}
}
