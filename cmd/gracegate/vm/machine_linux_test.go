package vm_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// emulator and kernels are what a machine is made of, besides the programs that are built here.
const emulator, kernels = "qemu-system-x86_64", "/boot/vmlinuz-*"

// limit is how long a machine may run, by the clock of the host.
const limit = 5 * time.Minute

// Lines by which a machine tells the host something.
const (
	endLine  = "the machine ends with " // and the code of its tests
	keepLine = "the machine keeps "     // and a file, in base64
)

// start is how a machine starts, for a part of a test.
type start struct {
	part string
	at   time.Time // what its battery-backed clock shows
	had  files     // that an earlier one kept

	// Its time is that of the host, so that it can sleep. Else it is that of its processor, which is emulated and counts its instructions,
	// and jumps to the next event while there is nothing to do, so that minutes pass at once.
	hostTime bool
}

// onMachine runs a part of a test on a machine: it boots one that runs this very test, where guest is called. The result is the files that
// the machine keeps.
func onMachine(t *testing.T, s start, guest func(m machine)) (kept files) {
	t.Helper()
	switch os.Getenv(partVariable) {
	case "":
		began := time.Now()
		kept = hear(t, boot(t, &s))
		t.Logf("the machine ran for %v", time.Since(began).Round(100*time.Millisecond))
	case s.part:
		partRan = true
		guest(machine{t})
	}
	return kept
}

// boot runs a part of the test on a machine and returns what that said on its console.
func boot(t *testing.T, s *start) string {
	t.Helper()
	kernel, programs := needs(t)
	root := filepath.Join(t.TempDir(), "root.cpio")
	if err := os.WriteFile(root, archive(programs, s.had), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	keepsTime := []string{"-icount", "shift=1,sleep=off", "-rtc", "clock=vm,base=" + s.at.UTC().Format("2006-01-02T15:04:05")}
	if s.hostTime {
		keepsTime = []string{"-rtc", "clock=host,base=" + s.at.UTC().Format("2006-01-02T15:04:05")}
	}
	cmd := exec.CommandContext(ctx, emulator, append(keepsTime,
		"-machine", "pc,hpet=off", "-accel", "tcg", "-cpu", "max", "-m", "512",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", kernel, "-initrd", root,
		// Without the kernel's tests of its own ciphers, which take long here. What it does not know is for its first process.
		"-append", "console=ttyS0,115200 quiet panic=-1 cryptomgr.notests "+partVariable+"="+s.part+" -- -test.v -test.run=^"+t.Name()+"$")...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	said := strings.ReplaceAll(string(out), "\r", "")
	if err != nil || !strings.Contains(said, endLine+"0\n") {
		t.Fatalf("%v: %v\n%s", cmd, err, said)
	}
	return said
}

// hear logs what a machine said, and returns the files that it keeps.
func hear(t *testing.T, said string) files {
	t.Helper()
	kept := files{}
	for line := range strings.Lines(said) {
		file, ok := strings.CutPrefix(line, keepLine)
		if !ok {
			t.Log(strings.TrimSuffix(line, "\n"))
			continue
		}
		name, text, _ := strings.Cut(strings.TrimSpace(file), " ")
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		kept[name] = data
	}
	return kept
}

// needs returns the kernel and the programs, or skips the test; in CI nothing may be missing.
func needs(t *testing.T) (kernel string, programs files) {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("CI") == "true" {
		skip = t.Fatalf
	}
	if testing.Short() {
		t.Skip("-short: emulating a machine takes half a minute")
	}
	if runtime.GOARCH != "amd64" {
		t.Skipf("the machine is an amd64, and this is an %s", runtime.GOARCH)
	}
	if _, err := exec.LookPath(emulator); err != nil {
		skip("%s is not installed", emulator)
	}
	found, _ := filepath.Glob(kernels) // the pattern is right
	for _, name := range found {
		if f, err := os.Open(name); err == nil {
			_ = f.Close()
			kernel = name
		}
	}
	if kernel == "" {
		skip("no kernel to boot: none of the files %s, %q, can be read", kernels, found)
	}
	lookAtSources(t)
	programs, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return kernel, programs
}

// lookAtSources looks at what the programs are built from: go test remembers a result until a file changes that the test itself, and not a
// program that it runs, has looked at.
func lookAtSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../../..", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// build makes the gateway as it is shipped, and the test that runs on the machine: this one, without what it was built with here.
var build = sync.OnceValues(func() (files, error) {
	dir, err := os.MkdirTemp("", "gracegate-vm-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is in the way of nobody
	made := files{}
	for name, of := range map[string][]string{"gracegate": {"build", ".."}, "init": {"test", "-c", "."}} {
		file := filepath.Join(dir, name)
		last := len(of) - 1
		args := slices.Concat(of[:last], []string{"-o", file, "-trimpath", "-buildvcs=false", "-ldflags=-s -w"}, of[last:])
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
		if made[name], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return made, nil
})

// files are files in the root of the machine.
type files map[string][]byte

// archive is the root of a machine, in the format of the kernel's initramfs: "newc" of cpio(5). Everything in it may be run.
func archive(all ...files) []byte {
	var out bytes.Buffer
	entry := func(mode int, name string, data []byte) {
		const header = "070701" + "%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x"
		fmt.Fprintf(&out, header, 0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
		out.WriteString(name + "\x00")
		for _, part := range [][]byte{nil, data} {
			out.Write(part)
			out.Write(make([]byte, -out.Len()&3)) // each part begins at a multiple of four bytes
		}
	}
	for _, some := range all {
		for name, data := range some {
			if dir := path.Dir(name); dir != "." {
				entry(0o40755, dir, nil)
			}
			entry(0o100755, name, data)
		}
	}
	entry(0, "TRAILER!!!", nil)
	return out.Bytes()
}
