//go:build unix

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit/journal"
)

// A gateway that is killed twenty times under load has a record of every block that a client was answered, and the proof of what was
// recorded holds over all its lives.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	binary, data := buildGateway(t), t.TempDir()
	answered := map[string]bool{} // the references that clients were told
	for range 20 {
		p := launch(t, binary, nil, "--clock-at", "2024-10-01T00:00:00Z", "--data-dir", data)
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		var clients sync.WaitGroup
		enough := make(chan struct{})
		told := 0
		for n := range 8 {
			clients.Go(func() {
				for reference := range refusedAgain(ctx, p.proxy, n) {
					mu.Lock()
					answered[reference] = true
					if told++; told == 200 {
						close(enough)
					}
					mu.Unlock()
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(patience):
			t.Fatal("no 200 refusals were answered")
		}
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.wait() // it was killed
		stop()
		clients.Wait()
	}

	dir := filepath.Join(data, "journal")
	proof, err := journal.Verify(dir, "")
	if err != nil || proof.Fault != nil {
		t.Fatalf("%+v %v %v", proof, proof.Fault, err)
	}
	recorded := 0
	for line, err := range journal.Read(dir, 0) {
		if err != nil {
			t.Fatal(err)
		}
		var r struct {
			ID string `json:"event.id"`
		}
		if err := json.Unmarshal(line.Text, &r); err != nil {
			t.Fatalf("%s: %v", line.Text, err)
		}
		if answered[r.ID] {
			recorded++
		}
	}
	if len(answered) < 20*200 || recorded != len(answered) {
		t.Errorf("%d refusals were answered, and %d of these recorded", len(answered), recorded)
	}
	t.Logf("%d refusals were answered, %d records are there", len(answered), proof.Next)
}

// refusedAgain asks for something blocked until the connection breaks, and yields the reference of each answer that came whole.
func refusedAgain(ctx context.Context, proxy string, client int) func(func(string) bool) {
	return func(yield func(string) bool) {
		transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})}
		defer transport.CloseIdleConnections()
		for i := 0; ; i++ {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://s01.upd.kaspersky.com/"+strconv.Itoa(client)+"/"+strconv.Itoa(i), http.NoBody)
			if err != nil {
				return
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				return
			}
			var problem struct{ Instance string }
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || json.Unmarshal(body, &problem) != nil || !yield(strings.TrimPrefix(problem.Instance, "urn:gracegate:")) {
				return
			}
		}
	}
}
