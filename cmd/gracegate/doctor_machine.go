package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/console"
	"github.com/gracegate/gracegate/policy"
)

// machine is what doctor looks at. Nothing in it can change the machine.
type machine struct {
	system string                                            // as runtime.GOOS has it
	uid    int                                               // of who looks
	files  fs.FS                                             // from the root directory on
	run    func(name string, args ...string) (string, error) // a program that tells something; its standard output
	clock  func(*config.Config) (*console.Clock, error)      // how the gateway's clock stands
}

// thisHost is the one that the program runs on.
func thisHost(ctx context.Context) *machine {
	return &machine{
		system: runtime.GOOS, uid: os.Geteuid(), files: os.DirFS("/"),
		clock: func(cfg *config.Config) (*console.Clock, error) {
			_, status, err := clockStatus(ctx, cfg)
			return status, err
		},
		run: func(name string, args ...string) (string, error) { return runProgram(ctx, name, args...) },
	}
}

// programTime is what a program may take that only tells something.
const programTime = 10 * time.Second

// runProgram runs a program of the PATH, or of where programs for root are. The error is exec.ErrNotFound if there is none, and
// else has what the program said.
func runProgram(ctx context.Context, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	if err != nil {
		return "", exec.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // the names and arguments are all written in this program
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		said, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("%s: %s", name, strings.TrimPrefix(said, "Error: "))
	}
	return string(out), err
}

// read returns a file, by its absolute path.
func (m *machine) read(name string) (string, error) {
	text, err := fs.ReadFile(m.files, strings.TrimPrefix(name, "/"))
	return strings.TrimSpace(string(text)), err
}

// kernel returns a value below /proc/sys; "" if there is none.
func (m *machine) kernel(name string) string {
	value, err := m.read("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return value
}

// examination is what the checks look at, and what more than one of them asks for.
type examination struct {
	*machine
	cfg     *config.Config
	now     time.Time
	policy  func() (*policy.Policy, error)
	table   func() (*loadedTable, error) // nil: there is none
	sockets func() ([]listening, error)
	gateway func() *proc // that serves on one of the ports of the settings; nil: none that can be seen
}

func newExamination(m *machine, cfg *config.Config) *examination {
	x := &examination{machine: m, cfg: cfg, now: time.Now()}
	x.policy = sync.OnceValues(func() (*policy.Policy, error) { return loadPolicy(cfg) })
	x.table = sync.OnceValues(x.loadTable)
	x.sockets = sync.OnceValues(x.listeningSockets)
	x.gateway = sync.OnceValue(x.findGateway)
	return x
}
