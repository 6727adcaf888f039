package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// server is a process that was started to be measured, or to be asked.
type server struct {
	name    string
	address string
	cmd     *exec.Cmd
	log     string // its standard output and error
	exited  chan struct{}
	failure error // once it has exited
}

// startServer starts a program in dir and waits until it accepts connections. It must be called on the thread of main.
func startServer(ctx context.Context, dir, name, address string, env []string, argv ...string) (*server, error) {
	s := &server{name: name, address: address, log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // the peers are what is to be started; stop ends them
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, out, out
	s.cmd.Env = append(outerEnv(), env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.failure = s.cmd.Wait()
		close(s.exited)
	}()
	if err := s.await(ctx); err != nil {
		s.stop()
		said, _ := os.ReadFile(s.log)
		return nil, fmt.Errorf("%s: %w\n%s", name, err, lastLines(string(said), 10))
	}
	return s, nil
}

// outerEnv is the environment without what sets up a gracegate or a proxy.
func outerEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if name := strings.ToUpper(e); !strings.HasPrefix(name, "GRACEGATE_") && !strings.Contains(strings.SplitN(name, "=", 2)[0], "PROXY") {
			env = append(env, e)
		}
	}
	return env
}

// await waits until the server accepts connections.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if c, err := new(net.Dialer).DialContext(ctx, "tcp", s.address); err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("ended before it listened: %w", errors.Join(s.failure, ctx.Err()))
		case <-ctx.Done():
			return fmt.Errorf("does not listen on %s: %w", s.address, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the server and whatever it started, at once: nothing of it is needed any more.
func (s *server) stop() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.exited
}

// processes are the server's process and all below it.
func (s *server) processes() ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := make(map[int][]int)
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // gone meanwhile
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	all := []int{s.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// sum adds up something of every process of the server.
func (s *server) sum(of func(pid int) (int64, error)) (int64, error) {
	pids, err := s.processes()
	if err != nil {
		return 0, err
	}
	var all int64
	for _, pid := range pids {
		n, err := of(pid)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", s.name, err)
		}
		all += n
	}
	return all, nil
}

// cpu is the user and system time that the server has taken, in nanoseconds: the process's own clock, which is what
// /proc/PID/stat shows in hundredths of a second.
func (s *server) cpu() (int64, error) {
	return s.sum(func(pid int) (int64, error) {
		var t unix.Timespec
		err := unix.ClockGettime(int32(^pid<<3|2), &t) //nolint:gosec // a process id has 22 bits
		return t.Nano(), err
	})
}

// resident is the server's resident memory in bytes.
func (s *server) resident() (int64, error) {
	return s.sum(func(pid int) (int64, error) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, err
		}
		pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
		return pages * int64(os.Getpagesize()), err
	})
}

// descriptors is the number of the server's open files.
func (s *server) descriptors() (int64, error) {
	return s.sum(func(pid int) (int64, error) {
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		return int64(len(open)), err
	})
}

// freeAddress finds a port that nobody listens on.
func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
