// Command bench measures gracegate beside what is run today: squid, haproxy, tinyproxy, mitmproxy,
// a raw relay, a bare goproxy.
//
// It is one program in several processes: the driver, which is also the load, starts each peer and the origin in a process
// of its own, so that the CPU time of a peer is that of the peer alone. It talks to nothing but loopback addresses. It runs
// on Linux, and is no part of gracegate.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	runtime.LockOSThread()                          // the kernel ends the peers with the thread that started them, which is this one
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) //nolint:forbidigo // this is main
}

// roles are what this program is started as by the driver.
var roles = map[string]func(args []string) error{
	"origin": runOrigin, "raw": runRelay, "goproxy": runGoproxy, "bump": runBump,
}

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if role := roles[first(args)]; role != nil {
		err = role(args[1:])
	} else if first(args) == "isolated" {
		if err = settle(); err == nil {
			err = drive(ctx, args[1:], stdout, stderr)
		}
	} else {
		err = isolate(ctx, args, stdout, stderr)
		if _, told := errors.AsType[*exec.ExitError](err); told {
			return 1
		}
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case ctx.Err() != nil:
		err = errors.New("interrupted")
	}
	_, _ = fmt.Fprintln(stderr, "bench:", err)
	return 1
}

// first is the first of some words, or nothing.
func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}
