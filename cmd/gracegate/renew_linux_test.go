package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

const renewPolicy = `version: 1
settings: {block-page: true}
rules:
  - {id: no-games, zones: [games.example], reason: not at work, phases: [{from: 2024-01-01T00:00:00Z, effect: block}]}
`

// TestRenewUnderLoad renews the CA of a gateway five times, and has it reload, while eight clients make intercepted connections, half of
// which resume sessions. Each is served with a certificate that chains to the root, and nothing is left over.
func TestRenewUnderLoad(t *testing.T) {
	t.Parallel()
	const clients, renewals = 8, 5
	binary, dir := buildGateway(t), t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte(renewPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if out, err := exec.CommandContext(ctx, binary, append(args, "--data-dir", dir)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	ca := func(command string) {
		t.Helper()
		run("ca", command, "--policy-file", policy)
	}
	ca("init")
	run("clock", "accept", "--reason", "whether this machine is synchronised is not what is tested") // or there is a warning
	load := &renewLoad{roots: x509.NewCertPool(), intermediates: map[string]int{}}
	root, err := os.ReadFile(filepath.Join(dir, "ca", "root.pem"))
	if err != nil || !load.roots.AppendCertsFromPEM(root) {
		t.Fatalf("root.pem: %v", err)
	}
	const possible, notLoaded, warning = "interception is possible", "was not loaded", `"log.level":"warn"`
	gateway := launch(t, binary, []string{possible, notLoaded, warning, errorLine}, "--data-dir", dir, "--policy-file", policy,
		"--limits-rate", "0", "--limits-per-client", "0", "--limits-connections", "64")
	gateway.logged(possible, 1)
	load.proxy = gateway.proxy
	if err := load.connect("warm.games.example", nil); err != nil {
		t.Fatal(err)
	}
	before, err := gateway.figures()
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var working sync.WaitGroup
	for n := range clients {
		var sessions tls.ClientSessionCache
		if n%2 == 0 {
			sessions = tls.NewLRUClientSessionCache(16)
		}
		working.Go(func() {
			for m := 0; ctx.Err() == nil; m++ {
				if err := load.connect(fmt.Sprintf("h%d.games.example", (n+m)%12), sessions); err != nil {
					t.Errorf("client %d, connection %d: %v", n, m, err)
				}
			}
		})
	}
	more := func() {
		t.Helper()
		from := load.done.Load()
		eventually(t, "more connections", func() bool { return load.done.Load() >= from+10*clients })
	}
	more()
	for n := range renewals {
		ca("renew")
		if err := gateway.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		gateway.logged(possible, 2+n)
		more()
	}
	stop()
	working.Wait()

	t.Logf("%d connections, %d of them resumed, certificates by %d intermediates", load.done.Load(), load.resumed.Load(), len(load.intermediates))
	if len(load.intermediates) < 1+renewals || load.resumed.Load() == 0 {
		t.Errorf("certificates by %d intermediates, %d sessions resumed", len(load.intermediates), load.resumed.Load())
	}
	var after figures
	back := holdsWithin(patience, func() bool {
		after, err = gateway.figures()
		return err == nil && after.files <= before.files+opensLater && after.goroutines <= before.goroutines+opensLater
	})
	if !back {
		t.Errorf("%d descriptors and %d goroutines at first, %d and %d at the end: %v", before.files, before.goroutines, after.files, after.goroutines, err)
	}
	if gateway.count(notLoaded)+gateway.count(warning)+gateway.count(errorLine) > 0 {
		t.Errorf("warnings or errors:\n%s", gateway.log())
	}
	if err := gateway.stop(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// renewLoad is what clients of a gateway see that intercepts.
type renewLoad struct {
	proxy         string
	roots         *x509.CertPool
	done, resumed atomic.Int64

	mu            sync.Mutex
	intermediates map[string]int // connections by the serial number of who signed
}

// connect makes one intercepted connection, and gets the page of a blocked name over it. Only a certificate that chains to the root will do.
func (l *renewLoad) connect(name string, sessions tls.ClientSessionCache) error {
	raw, err := dialTunnel("127.0.0.1", l.proxy, name+":443")
	if err != nil {
		return err
	}
	defer raw.Close()
	c := tls.Client(raw, &tls.Config{RootCAs: l.roots, ServerName: name, MinVersion: tls.VersionTLS12, ClientSessionCache: sessions})
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+name+"\r\nAccept: text/html\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	state := c.ConnectionState()
	if resp.StatusCode != http.StatusForbidden || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) != 3 {
		return fmt.Errorf("status %d, chains %d", resp.StatusCode, len(state.VerifiedChains))
	}
	l.done.Add(1)
	if state.DidResume {
		l.resumed.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.intermediates[state.VerifiedChains[0][1].SerialNumber.String()]++
	return nil
}
