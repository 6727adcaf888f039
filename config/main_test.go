package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// tokenDir holds the token files f, e and g. The user of the tests is at home in homeDir.
var tokenDir, homeDir string

// TestMain keeps settings of the machine out of the tests.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, envPrefix) {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	dir, err := os.MkdirTemp("", "gracegate-config")
	if err != nil {
		panic(err)
	}
	homeDir = filepath.Join(dir, "home")
	if err := errors.Join(os.Setenv("HOME", homeDir), os.Unsetenv(stateVariable)); err != nil {
		panic(err)
	}
	standardFiles[1] = filepath.Join(dir, "etc.yaml")
	tokenDir = dir
	for _, name := range []string{"f", "e", "g"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("secret\n"), 0o600); err != nil {
			panic(err)
		}
	}
	m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
}

// parsed returns the flags of all groups, parsed.
func parsed(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(flags, AllGroups()...)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags
}

// write stores a file in a directory of the test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
