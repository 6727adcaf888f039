package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// idleRow is the name of the row about idle tunnels.
const idleRow = "idle"

// idleSkip are the peers that a whole run leaves out of it.
var idleSkip = []string{"tinyproxy", "goproxy"}

// idleBlob is how much goes through a tunnel before it is idle again.
const idleBlob = 1_500_000

// settling is how long tunnels are left alone before memory is looked at.
const settling = 2 * time.Second

// idleResult is what an idle tunnel costs a peer: bytes of resident memory and descriptors, of fresh ones and after a blob.
type idleResult struct {
	label        string
	tunnels      int
	fresh, after *perTunnel // nil if it came to nothing
	failure      error
}

type perTunnel struct{ resident, descriptors float64 }

// idle measures each peer that makes tunnels, in a process that has done nothing before.
func (d *driver) idle(ctx context.Context, wanted []string) ([]idleResult, error) {
	var all []idleResult
	for _, p := range d.peers {
		if p.blob == "" || slices.Contains(idleSkip, p.name) && !slices.Contains(wanted, p.name) {
			continue
		}
		res := d.idleOf(ctx, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		all = append(all, res)
		if err := d.stage.shortenLogs(); err != nil {
			return nil, err
		}
	}
	d.say("\n%s: %s\n%s  %s\n  %s\n", idleRow, idleTitle(d.tunnels), idleTable(all).text(), judgeIdle(all, 16), judgeIdle(all, 12))
	return all, nil
}

func idleTitle(tunnels int) string {
	return fmt.Sprintf("%d idle tunnels, fresh and after %.1f MB each", tunnels, idleBlob/1e6)
}

func (d *driver) idleOf(ctx context.Context, p *peer) idleResult {
	// Fewer of those for which there are not enough descriptors; per tunnel it is the same.
	each := 2
	if p.pipes {
		each = 6
	}
	res := idleResult{label: p.name, tunnels: min(d.tunnels, (d.stage.files-100)/each)}
	s, err := d.stage.launch(ctx, p)
	if err != nil {
		res.failure = err
		return res
	}
	defer s.stop()
	t := target{proxy: s.address, connect: p.blob}
	clients := make([]*client, res.tunnels)
	for i := range clients {
		clients[i] = newClient(i, time.Now().Add(10*time.Minute))
		clients[i].reader.buf = make([]byte, 512) // an answer to CONNECT fits, and there are many of these
		defer clients[i].hangUp()
	}
	connect := t.connectHead()
	before, err := weigh(ctx, s, 1)
	if err != nil {
		res.failure = err
		return res
	}
	for _, phase := range []struct {
		result **perTunnel
		do     func(c *client, buf []byte) error
	}{
		{&res.fresh, func(c *client, _ []byte) error { return c.open(t, connect, d.stage.hello) }},
		{&res.after, func(c *client, buf []byte) error { return c.fetch(idleBlob, buf) }},
	} {
		if err := forEach(ctx, clients, phase.do); err != nil {
			res.failure = err
			return res
		}
		now, err := weigh(ctx, s, res.tunnels)
		if err != nil {
			res.failure = err
			return res
		}
		*phase.result = &perTunnel{now.resident - before.resident/float64(res.tunnels), now.descriptors - before.descriptors/float64(res.tunnels)}
	}
	return res
}

// weigh waits until a server has settled, and looks at what it holds, divided by n.
func weigh(ctx context.Context, s *server, n int) (w perTunnel, err error) {
	if err := sleep(ctx, settling); err != nil {
		return w, err
	}
	resident, err := s.resident()
	if err != nil {
		return w, err
	}
	descriptors, err := s.descriptors()
	return perTunnel{float64(resident) / float64(n), float64(descriptors) / float64(n)}, err
}

// forEach does something with every client, with some at once. It ends at the first failure.
func forEach(ctx context.Context, clients []*client, do func(c *client, buf []byte) error) (err error) {
	var group sync.WaitGroup
	var next atomic.Int64
	var once sync.Once
	for range 16 {
		group.Go(func() {
			buf := make([]byte, 256<<10)
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(len(clients)) {
					return
				}
				if failed := do(clients[i], buf); failed != nil {
					once.Do(func() { err = fmt.Errorf("tunnel %d: %w", i+1, failed) })
					next.Store(int64(len(clients)))
				}
			}
		})
	}
	group.Wait()
	return err
}

// fetch reads a whole blob.
func (c *client) fetch(length int, buf []byte) error {
	if err := c.want(length); err != nil {
		return err
	}
	for at := 0; at < length; {
		n, err := c.take(buf[:min(len(buf), length-at)], at)
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}
