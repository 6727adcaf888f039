package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fewDescriptors names the variable that makes of the test binary a server that has few.
const fewDescriptors = "GRACEGATE_TEST_FEW_DESCRIPTORS"

// Those who were served go on while there are no descriptors, those who come are told, and served again when some leave.
func TestDescriptorsRunOut(t *testing.T) {
	if os.Getenv(fewDescriptors) != "" {
		echoWithFewDescriptors(t)
		return
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestDescriptorsRunOut$")
	cmd.Env = append(os.Environ(), fewDescriptors+"=48")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	first, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimSpace(first)

	var served []*net.TCPConn
	for {
		c := echoClient(t, addr)
		if !echoes(t, c) {
			break
		}
		if served = append(served, c); len(served) > 48 {
			t.Fatal("more clients are served than there are descriptors")
		}
	}
	if len(served) < 20 {
		t.Errorf("%d clients are served with 48 descriptors", len(served))
	}
	for range 30 {
		if echoes(t, echoClient(t, addr)) {
			t.Fatal("a client is served without a descriptor")
		}
	}
	for i, c := range served {
		if !echoes(t, c) {
			t.Fatalf("client %d does not go on", i)
		}
	}
	for range 3 { // as one leaves, one is served: at once, but for the time that the server takes to see it
		_ = served[0].Close()
		served = append(served[1:], echoedAgain(t, addr))
	}
	for i, c := range served {
		if !echoes(t, c) {
			t.Fatalf("client %d does not go on", i)
		}
		_ = c.Close()
	}
	_ = stdin.Close()
	said, err := io.ReadAll(out)
	if waitErr := cmd.Wait(); err != nil || waitErr != nil {
		t.Errorf("%v, %v: %s", err, waitErr, said)
	}
	var failures int
	if _, err := fmt.Sscanf(string(said), "%d failures", &failures); err != nil || failures < 30 {
		t.Errorf("it said %q", said)
	}
}

func echoClient(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

// echoes reports whether the client has its byte back, and fails unless it is turned away otherwise.
func echoes(t *testing.T, c *net.TCPConn) bool {
	t.Helper()
	_, _ = io.WriteString(c, "h") // of a client that was turned away it may fail
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		t.Fatal(err)
	}
	if answer[0] == 'h' {
		return true
	}
	rest, err := io.ReadAll(c)
	if err != nil && len(rest) == 0 || !strings.HasPrefix(string(answer[:])+string(rest), "HTTP/1.1 503 Service Unavailable\r\n") {
		t.Errorf("%v, %c%s", err, answer[0], rest)
	}
	return false
}

// echoedAgain comes until it is served.
func echoedAgain(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		if c := echoClient(t, addr); echoes(t, c) {
			return c
		}
	}
	t.Fatal("nobody is served after a client has left")
	return nil
}

func echoWithFewDescriptors(t *testing.T) {
	t.Helper()
	var most uint64
	if _, err := fmt.Sscan(os.Getenv(fewDescriptors), &most); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := descriptors(t)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		t.Fatal(err)
	}
	d := newDoor(testRefusals)
	failures := 0
	var clients sync.WaitGroup
	var a *acceptor
	a = newAcceptor(l.(*net.TCPListener), func(c *net.TCPConn) {
		clients.Go(func() {
			_, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			_ = c.Close()
			a.freed()
		})
	}, func(c *net.TCPConn) { d.turnAway(c, limitDescriptors) }, func(error) { failures++ })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.run(ctx) }()
	_, _ = fmt.Fprintln(os.Stdout, l.Addr())

	_, _ = io.Copy(io.Discard, os.Stdin)
	clients.Wait()
	cancel()
	_ = l.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if after := descriptors(t); after != before-1 { // the listener's
		t.Errorf("%d descriptors at first, %d at the end", before, after)
	}
	_, _ = fmt.Fprintln(os.Stdout, failures, "failures")
}
