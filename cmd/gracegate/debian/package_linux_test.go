// The package as administrators get it: built, looked at, and installed into a clean root directory.
package debian_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// limit is how long any command may take: a network that hangs must not hold the tests.
const limit = 5 * time.Minute

// maxExposure is what `systemd-analyze security` may say of the service, from 0 to 10.
const maxExposure = 2.5

func TestPackage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: building takes half a minute")
	}
	need(t, "bash", "gzip", "dpkg-deb")
	lookAtSources(t)
	dir := t.TempDir()
	deb := build(t, filepath.Join(dir, "first"))

	t.Run("contents", func(t *testing.T) {
		t.Parallel()
		if got := run(t, "dpkg-deb", "--field", deb, "Version"); got != "1.0.0-1\n" {
			t.Errorf("version %q", got)
		}
		files := run(t, "dpkg-deb", "--contents", deb)
		for _, want := range []string{
			"-rwxr-xr-x root/root .* ./usr/bin/gracegate",
			"-rw-r--r-- root/root .* ./etc/gracegate/gracegate.yaml",
			"-rw-r--r-- root/root .* ./usr/lib/systemd/system/gracegate.socket",
			"-rw-r--r-- root/root .* ./usr/lib/systemd/system/gracegate-socks.socket",
			"-rw-r--r-- root/root .* ./usr/share/man/man1/gracegate-serve.1.gz",
			"-rw-r--r-- root/root .* ./usr/share/man/man5/gracegate.yaml.5.gz",
			"-rw-r--r-- root/root .* ./usr/share/bash-completion/completions/gracegate",
			"-rw-r--r-- root/root .* ./usr/share/doc/gracegate/docs/policy.md",
		} {
			if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(files) {
				t.Errorf("nothing like %s in\n%s", want, files)
			}
		}
	})
	t.Run("same bytes again", func(t *testing.T) {
		t.Parallel()
		again := build(t, filepath.Join(dir, "second"))
		if !bytes.Equal(read(t, deb), read(t, again)) {
			t.Errorf("%s and %s differ", deb, again)
		}
	})
	t.Run("lintian", func(t *testing.T) {
		t.Parallel()
		need(t, "lintian")
		run(t, "lintian", "--fail-on", "error,warning", "--allow-root", deb)
	})
	t.Run("confined", func(t *testing.T) {
		t.Parallel()
		need(t, "systemd-analyze")
		said := run(t, "systemd-analyze", "security", "--offline=true", "--no-pager", "gracegate.service")
		m := regexp.MustCompile(`exposure level for gracegate.service: ([0-9.]+)`).FindStringSubmatch(said)
		if m == nil {
			t.Fatalf("no exposure in\n%s", said)
		}
		if exposure, err := strconv.ParseFloat(m[1], 64); err != nil || exposure >= maxExposure {
			t.Errorf("exposure %s, want less than %g (%v):\n%s", m[1], maxExposure, err, said)
		}
	})
	t.Run("installed", func(t *testing.T) {
		t.Parallel()
		testInstalled(t, deb)
	})
}

// need skips a test where a program is missing; in CI none may be.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", p)
		}
		t.Skipf("%s is not installed", p)
	}
}

// lookAtSources looks at what the package is made from: go test remembers a result until a file changes that the test itself, and not a
// program that it runs, has looked at.
func lookAtSources(t *testing.T) {
	t.Helper()
	const repository = "../../.."
	err := filepath.WalkDir(repository, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "dist") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// build makes the package of v1.0.0.
func build(t *testing.T, dir string) string {
	t.Helper()
	cmd := command(t, "bash", "build.sh", dir)
	cmd.Env = append(os.Environ(), "VERSION=v1.0.0", "SOURCE_DATE_EPOCH=1727582400", "GOARCH=", "GOOS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	debs, err := filepath.Glob(filepath.Join(dir, "gracegate_1.0.0-1_*.deb"))
	if err != nil || len(debs) != 1 {
		t.Fatalf("%d packages in %s: %v", len(debs), dir, err)
	}
	return debs[0]
}

// command is a command that ends with its time.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit) // also while the test cleans up
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second // what it left behind may hold its output
	return cmd
}

// run returns what a command says, which must not fail.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := command(t, name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
