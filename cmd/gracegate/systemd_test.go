package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// The commands of a script in which the gateway runs as a service:
//
//	systemd [NAME...] [-- FLAG...] run gracegate serve as systemd would, with a socket of each FileDescriptorName, which may be
//	                               empty. It listens on a free port of loopback; $ADMIN and $SOCKS are the last ones that are
//	                               called so, $PROXY the last one that is not. $WATCHDOG_USEC is passed on.
//	notified PATTERN               wait for a message to systemd that matches, its lines joined by spaces, after the one that was
//	                               waited for last; it is the standard output

func scriptSystemd(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, true, "systemd [NAME...] [-- FLAG...]")
	names, flags := args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		names, flags = args[:i], args[i+1:]
	}
	g := ts.Value(gateKey{}).(*gate)
	var socket string
	g.manager, socket = manage(ts)

	// LISTEN_PID is the process that the sockets are for. A shell can tell which that will be.
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec gracegate serve --audit-file - "$@"`, "sh"}, flags...)...)
	cmd.Env = []string{"NOTIFY_SOCKET=" + socket}
	if usec := ts.Getenv("WATCHDOG_USEC"); usec != "" {
		cmd.Env = append(cmd.Env, "WATCHDOG_USEC="+usec)
	}
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Defer(func() { _ = l.Close() }) // systemd keeps it open, too
		f, err := l.(*net.TCPListener).File()
		ts.Check(err)
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		variable := "PROXY"
		if name == "admin" || name == "socks" {
			variable = strings.ToUpper(name)
		}
		ts.Setenv(variable, l.Addr().String())
	}
	if len(names) > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprint("LISTEN_FDS=", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	g.serve = startCommand(ts, cmd)
}

// manage listens to what is told to a service manager, in lines, and returns the address for that.
func manage(ts *testscript.TestScript) (*background, string) {
	dir, err := os.MkdirTemp("", "gracegate") // the script's own may have too long a name for a socket
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(dir) })
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	ts.Check(err)
	heard := &background{done: make(chan struct{}), more: make(chan struct{})}
	go func() {
		defer close(heard.done)
		message := make([]byte, 4096)
		for {
			n, err := conn.Read(message)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			text := strings.TrimSpace(string(message[:n]))
			_, _ = fmt.Fprintln(heard, strings.ReplaceAll(text, "\n", " "))
		}
	}()
	ts.Defer(func() {
		_ = conn.Close()
		<-heard.done
	})
	return heard, conn.LocalAddr().String()
}

func scriptNotified(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "notified PATTERN")
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	g := ts.Value(gateKey{}).(*gate)
	if g.manager == nil {
		ts.Fatalf("no service manager listens: begin with systemd")
	}
	_, err = fmt.Fprintln(ts.Stdout(), g.manager.waitForLine(ts, pattern))
	ts.Check(err)
}
