package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What docs/gateway/docker-compose.yml has.
const (
	composeVendor, composeOther, composeResolver = "198.51.100.10", "198.51.100.20", "172.30.45.53"
	composeProxy                                 = "http://172.30.44.2:3128"

	updateURL, secureURL, otherURL = "http://dnl-01.geo.kaspersky.com/update", "https://s01.upd.kaspersky.com/update", "http://other.example/"
)

// TestCompose runs docs/gateway/docker-compose.yml with the container engine of this machine, partitions and restarts included.
func TestCompose(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: images are built")
	}
	c := newComposition(t)
	client := c.namespace("client")
	c.expect("an update", "200 0", updateURL)
	c.expect("an update over TLS", "200 0", secureURL)
	c.expect("another origin", "200 0", otherURL)
	c.expect("what is forwarded", "000 7", "http://"+composeVendor+":8080/") // nothing listens there, and it says so
	refusesQUIC(t, client)
	loseOrigin(t, c)
	loseResolver(t, c)

	load := startLoad(client)
	c.restarted(load, func() { c.compose("restart", "gateway") })
	load.check(t, "a restart")
	load = startLoad(client)
	c.clock = demoDeadline.Add(-12 * time.Second).Format(time.RFC3339)
	c.restarted(load, func() { c.compose("up", "--detach", "--no-build", "--no-deps", "gateway") })
	load.check(t, "another container")

	checkCut(t, c)
	c.expect("an update after the deadline", "451 0", updateURL)
	c.expect("an update over TLS after the deadline", "000 35", secureURL)
	c.expect("another origin after the deadline", "200 0", otherURL)
	c.expect("a private destination, whatever it is called", "200 0", "--header", "Host: dnl-01.geo.kaspersky.com", "http://nas.example/")
	refusesQUIC(t, client)
}

// loseOrigin: who wants an origin that is gone is told so, and nobody else notices.
func loseOrigin(t *testing.T, c *composition) {
	t.Helper()
	heal := c.partition("vendor", "internet", composeVendor)
	var asking sync.WaitGroup
	asking.Go(func() {
		c.expect("an update over a connection that was kept", "50[24] 0", updateURL)
		c.expect("an update over a new connection", "50[24] 0", updateURL) // 504 while ARP still believes in the origin
	})
	asking.Go(func() { c.expect("an update over TLS of an origin that is gone", "000 35", secureURL) })
	asking.Go(func() { c.expect("another origin meanwhile", "200 0", otherURL) })
	asking.Wait()
	heal()
	eventually(t, "the origin is reached again", func() bool { return c.status(updateURL) == "200 0" })
}

// loseResolver: who has an address gets there without names.
func loseResolver(t *testing.T, c *composition) {
	t.Helper()
	heal := c.partition("resolver", "office", composeResolver)
	var asking sync.WaitGroup
	asking.Go(func() {
		c.expect("a client that knows the address", "200 0", "--resolve", "other.example:80:"+composeOther, otherURL)
		c.expect("an update likewise", "200 0", "--resolve", "s01.upd.kaspersky.com:443:"+composeVendor, secureURL)
	})
	asking.Go(func() { c.expect("a client that asks the proxy", "504 0", "--proxy", composeProxy, otherURL) })
	asking.Wait()
	heal()
	eventually(t, "the gateway resolves again", func() bool { return c.status("--proxy", composeProxy, otherURL) == "200 0" })
	c.expect("a client that resolves again", "200 0", otherURL)
}

// refusesQUIC: the client is told at once that there is no QUIC.
func refusesQUIC(t *testing.T, client *namespace) {
	t.Helper()
	conn, err := client.dialContext(t.Context(), "udp", composeVendor+":443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = conn.Write([]byte("hello"))
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("QUIC: %v, want it refused", err)
	}
}

// checkCut has a download begin before the deadline, and waits until it is cut.
func checkCut(t *testing.T, c *composition) {
	t.Helper()
	download := c.curl("--no-buffer", "http://dnl-01.geo.kaspersky.com/slow")
	out, err := download.Output()
	// 18: the body is not whole; 56: a reset.
	if code := download.ProcessState.ExitCode(); code != 18 && code != 56 || !strings.HasSuffix(string(out), "\n") {
		t.Errorf("a download that is open at the deadline: %v, %d: %q", err, code, out)
	}
}

// restarted does something that ends the gateway's process and starts another, while the load goes on before, meanwhile and after.
func (c *composition) restarted(load *composeLoad, do func()) {
	c.t.Helper()
	process := func() string { return c.docker("inspect", "--format", "{{.State.Pid}}", c.container("gateway")) }
	before := process()
	load.await(c.t, 100)
	do()
	if after := process(); after == before {
		c.t.Fatalf("process %s still runs", before)
	}
	load.await(c.t, 100)
}

// composeLoad is a client that opens a connection every few milliseconds, whatever became of those before.
type composeLoad struct {
	stop                     func() // and waits for what is open
	asked, answered, refused atomic.Int64
	slowest                  atomic.Int64 // nanoseconds

	mu       sync.Mutex
	failures []error
}

func startLoad(client *namespace) *composeLoad {
	load := &composeLoad{}
	enough, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		var asking sync.WaitGroup
		defer asking.Wait()
		next := time.NewTicker(5 * time.Millisecond)
		defer next.Stop()
		for {
			select {
			case <-enough:
				return
			case <-next.C:
				load.asked.Add(1)
				asking.Go(func() { load.ask(client) })
			}
		}
	}()
	load.stop = sync.OnceFunc(func() {
		close(enough)
		<-over
	})
	client.t.Cleanup(load.stop)
	return load
}

func (l *composeLoad) ask(client *namespace) {
	began := time.Now()
	err := getOnce(client, composeOther, "other.example")
	took := time.Since(began).Nanoseconds()
	for slowest := l.slowest.Load(); took > slowest && !l.slowest.CompareAndSwap(slowest, took); slowest = l.slowest.Load() {
	}
	switch {
	case err == nil:
		l.answered.Add(1)
		return
	case errors.Is(err, syscall.ECONNREFUSED):
		l.refused.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, err)
}

// getOnce asks for a page on a connection of its own, and reads the answer to its end.
func getOnce(client *namespace, addr, host string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.dialContext(ctx, "tcp", net.JoinHostPort(addr, "80"))
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err == nil && !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		err = fmt.Errorf("answered with %.60q", answer)
	}
	return err
}

// await waits until so many more were answered.
func (l *composeLoad) await(t *testing.T, n int64) {
	t.Helper()
	enough := l.answered.Load() + n
	eventually(t, "clients are answered", func() bool { return l.answered.Load() >= enough })
}

// check ends the load; every connection must have been answered.
func (l *composeLoad) check(t *testing.T, during string) {
	t.Helper()
	l.stop()
	t.Logf("%s: %d connections, %d refused, %d failed; the slowest took %v", during, l.asked.Load(), l.refused.Load(), len(l.failures),
		time.Duration(l.slowest.Load()).Round(time.Millisecond))
	if len(l.failures) > 0 {
		t.Errorf("%s: %d of %d connections failed, the first by %v", during, len(l.failures), l.asked.Load(), l.failures[0])
	}
}
