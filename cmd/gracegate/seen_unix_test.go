//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gracegate/gracegate/audit/journal"
	"github.com/gracegate/gracegate/config"
)

// A report that root asks for leaves no file that the gateway cannot use.
func TestDatabaseThatRootMakes(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	const nobody = 65534
	cfg := &config.Config{}
	cfg.Data.Dir = t.TempDir()
	j, err := journal.Open(journalDir(cfg), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(cfg.Data.Dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	reader, _, err := openSeen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	files, err := filepath.Glob(databaseOf(cfg) + "*")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != nobody { //nolint:forcetypeassert // on unix
			t.Errorf("%s belongs to %d", name, owner)
		}
	}
}
