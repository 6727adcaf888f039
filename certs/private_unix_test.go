//go:build unix

package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWideDirectory: in a directory that others may write, nothing is read and nothing is written. What is around it does not matter.
func TestWideDirectory(t *testing.T) {
	t.Parallel()
	for mode, refused := range map[fs.FileMode]bool{
		0o700: false, 0o755: false, 0o720: true, 0o775: true, 0o702: true, 0o777 | fs.ModeSticky: true,
	} {
		_, dir := newCA(t)
		parent, offline, empty := filepath.Dir(dir), filepath.Join(t.TempDir(), "key"), filepath.Join(t.TempDir(), "ca")
		if _, err := (Store{Dir: filepath.Join(t.TempDir(), "ca"), RootKeyDir: offline}).Init(zones("example.org"), start); err != nil {
			t.Fatal(err)
		}
		err := errors.Join(os.Mkdir(empty, 0o700), os.Chmod(parent, 0o777|fs.ModeSticky))
		for _, d := range []string{dir, empty, offline} {
			err = errors.Join(err, os.Chmod(d, mode))
		}
		if err != nil {
			t.Fatal(err)
		}
		away := filepath.Join(t.TempDir(), "away")
		for _, tc := range []struct {
			name, dir string
			do        func() error
		}{
			{"load", dir, func() error { _, err := Load(dir); return err }},
			{"renew", dir, func() error { _, err := storeAt(dir).Renew(zones("example.org"), start); return err }},
			{"init", empty, func() error { _, err := storeAt(empty).Init(zones("example.org"), start); return err }},
			{"init with a root's key elsewhere", offline, func() error {
				_, err := Store{Dir: away, RootKeyDir: offline}.Init(zones("example.org"), start)
				if file, ok := errors.AsType[*FileError](err); ok && file.Name == filepath.Join(offline, rootPrivateKey) {
					return nil // as it should be, there is one
				}
				return err
			}},
			{"read a root's key elsewhere", offline, func() error { _, err := readKey(filepath.Join(offline, rootPrivateKey)); return err }},
		} {
			err := tc.do()
			want := fmt.Sprintf("%s: has the mode %04o", tc.dir, mode.Perm())
			if (err != nil) != refused || refused && (!strings.Contains(err.Error(), want) || hint(err) != "chmod go-w "+tc.dir) {
				t.Errorf("%v: %s: %v, refused %v", mode, tc.name, err, refused)
			}
		}
	}
}

// TestKeyOfAnother wants a key that another user gave us refused.
func TestKeyOfAnother(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	_, dir := newCA(t)
	key := filepath.Join(dir, intermediatePrivateKey)
	if err := os.Chown(key, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "intermediate.key: belongs to another user (65534)") || hint(err) != "chown 0 "+key {
		t.Errorf("%v (hint %q)", err, hint(err))
	}
}
