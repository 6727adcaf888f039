package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rogpeppe/go-internal/testscript"
)

// The commands of a script that runs a gateway:
//
//	serve [FLAG...]     run gracegate serve on free ports, with its records in its log, and wait until it is ready; $PROXY and $ADMIN are its addresses, and $SOCKS, if there is a listener for it. With
//	                    $OPEN_FILES that is its limit of open files, and it may not raise it
//	origin              run gracegate demo's origins on free ports; $ORIGIN and $ORIGIN_TLS are their addresses
//	logged PATTERN      wait for a line in the log of serve, after the one that was waited for last; it is the standard output
//	signal HUP|TERM|INT send a signal to serve
//	stopped CODE        wait for the end of serve, which must have this code; its whole log is then in serve.log
//	stopped by SIGNAL   the same, where it is the signal that must end it
//	questions FILE      run gracegate explain - in place of serve, with the lines of a file and an input that does not end

// patience bounds every wait: no machine is as slow as that.
const patience = time.Minute

// gate is the gateway of a script, and what it told the service manager.
type gate struct{ serve, manager *background }

type gateKey struct{}

func running(ts *testscript.TestScript) *background {
	g := ts.Value(gateKey{}).(*gate)
	if g.serve == nil {
		ts.Fatalf("no gateway runs: begin with serve")
	}
	return g.serve
}

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, true, "serve [FLAG...]")
	ready := ts.MkAbs("ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		ts.Fatalf("%v", err)
	}
	watcher, err := fsnotify.NewWatcher()
	ts.Check(err)
	defer watcher.Close()
	ts.Check(watcher.Add(filepath.Dir(ready)))

	own := []string{"serve", "--ready-file", ready, "--listen-proxy", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0", "--audit-file", "-"}
	b := start(ts, nil, append(own, args...)...)
	ts.Value(gateKey{}).(*gate).serve = b
	b.waitForFile(ts, watcher, ready)

	var addresses struct {
		Proxy, SOCKS []string
		Admin        string
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(ready)), &addresses))
	ts.Setenv("PROXY", addresses.Proxy[0])
	if len(addresses.SOCKS) > 0 {
		ts.Setenv("SOCKS", addresses.SOCKS[0])
	}
	ts.Setenv("ADMIN", addresses.Admin)
}

func scriptOrigin(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "origin")
	b := start(ts, nil, "demo", "--origin", "127.0.0.1:0", "--origin-tls", "127.0.0.1:0")
	for scheme, name := range map[string]string{"http": "ORIGIN", "https": "ORIGIN_TLS"} {
		b.seen = 0
		line := b.waitForLine(ts, regexp.MustCompile("origin on "+scheme+"://"))
		_, address, _ := strings.Cut(line, "://")
		ts.Setenv(name, address)
	}
}

func scriptLogged(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "logged PATTERN")
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	_, err = fmt.Fprintln(ts.Stdout(), running(ts).waitForLine(ts, pattern))
	ts.Check(err)
}

var signals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT}

func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1 && signals[args[0]] != 0, "signal HUP|TERM|INT")
	ts.Check(running(ts).cmd.Process.Signal(signals[args[0]]))
}

func scriptStopped(ts *testscript.TestScript, neg bool, args []string) {
	bySignal := len(args) == 2 && args[0] == "by" && signals[args[1]] != 0
	usage(ts, neg, len(args) == 1 || bySignal, "stopped CODE|by SIGNAL")
	b := running(ts)
	select {
	case <-b.done:
	case <-time.After(patience):
		ts.Fatalf("it still runs:\n%s", b.log())
	}
	ts.Check(os.WriteFile(ts.MkAbs("serve.log"), []byte(b.log()), 0o600))
	if bySignal {
		if want := "signal: " + signals[args[1]].String(); b.err == nil || b.err.Error() != want {
			ts.Fatalf("it ended with %v, want %s:\n%s", b.err, want, b.log())
		}
		return
	}
	if got := fmt.Sprint(exitCode(ts, b.err)); got != args[0] {
		ts.Fatalf("it ended with %s, want %s:\n%s", got, args[0], b.log())
	}
}

func scriptQuestions(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "questions FILE")
	in, out, err := os.Pipe()
	ts.Check(err)
	ts.Defer(func() { _ = out.Close() })
	ts.Value(gateKey{}).(*gate).serve = start(ts, in, "explain", "-")
	ts.Check(in.Close())
	_, err = out.WriteString(ts.ReadFile(args[0]))
	ts.Check(err)
}

// background is a process that runs while the script does, and all that it printed.
type background struct {
	cmd  *exec.Cmd
	done chan struct{} // closed at its end
	err  error         // of its end
	seen int           // how much of the text waitForLine has passed

	mu   sync.Mutex
	text []byte
	more chan struct{} // closed when text has grown
}

// withOpenFiles is a script for a shell that runs a command with a limit of open files. Root could raise it; this takes that
// from it.
const withOpenFiles = `ulimit -n "$0"
[ "$(id -u)" != 0 ] || set -- setpriv --bounding-set -sys_resource "$@"
exec "$@"`

func start(ts *testscript.TestScript, stdin *os.File, args ...string) *background {
	command := append([]string{"gracegate"}, args...)
	if files := ts.Getenv("OPEN_FILES"); files != "" {
		command = append([]string{"sh", "-c", withOpenFiles, files}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	if stdin != nil { // a nil file is no nil reader
		cmd.Stdin = stdin
	}
	return startCommand(ts, cmd)
}

// startCommand starts a command with the directory of the script, and some of its environment besides its own.
func startCommand(ts *testscript.TestScript, cmd *exec.Cmd) *background {
	b := &background{cmd: cmd, done: make(chan struct{}), more: make(chan struct{})}
	b.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GORACE", "GOMEMLIMIT", "PARENT_LOGIN", machineVariable} {
		if value := ts.Getenv(name); value != "" {
			b.cmd.Env = append(b.cmd.Env, name+"="+value)
		}
	}
	b.cmd.Stdout, b.cmd.Stderr = b, b
	ts.Check(b.cmd.Start())
	go func() {
		b.err = b.cmd.Wait()
		close(b.done)
	}()
	ts.Defer(func() {
		_ = b.cmd.Process.Kill() // it may have ended
		<-b.done
	})
	return b
}

// Write takes what the process prints.
func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	close(b.more)
	b.more = make(chan struct{})
	return len(p), nil
}

func (b *background) log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// waitForLine returns the next line that matches.
func (b *background) waitForLine(ts *testscript.TestScript, pattern *regexp.Regexp) string {
	timeout := time.After(patience)
	for ended := false; ; {
		b.mu.Lock()
		more := b.more
		rest := string(b.text[b.seen:])
		b.mu.Unlock()
		for line := range strings.Lines(rest) {
			if !strings.HasSuffix(line, "\n") {
				break
			}
			b.seen += len(line)
			if line = strings.TrimSuffix(line, "\n"); pattern.MatchString(line) {
				return line
			}
		}
		if ended {
			ts.Fatalf("it ended without a line like %s:\n%s", pattern, b.log())
		}
		select {
		case <-more:
		case <-b.done:
			ended = true
		case <-timeout:
			ts.Fatalf("no line like %s:\n%s", pattern, b.log())
		}
	}
}

// waitForFile waits until a file is there. The watcher looks at its directory.
func (b *background) waitForFile(ts *testscript.TestScript, watcher *fsnotify.Watcher, name string) {
	timeout := time.After(patience)
	for {
		if _, err := os.Stat(name); err == nil {
			return
		}
		select {
		case <-watcher.Events:
		case err := <-watcher.Errors:
			ts.Fatalf("%v", err)
		case <-b.done:
			ts.Fatalf("it ended before it was ready:\n%s", b.log())
		case <-timeout:
			ts.Fatalf("it is not ready:\n%s", b.log())
		}
	}
}
