package proxy

import (
	"context"
	"sync"
)

// flows are those in progress, so that they can be waited for and cut: net/http forgets the connections of tunnels, and does
// not reset those of the rest. The zero value is empty.
type flows struct {
	mu   sync.Mutex
	open map[*flow]func() // how to cut it
	over string           // why every flow that still comes is cut; empty while they may come
	none chan struct{}    // closed when the last flow ends; nil while nobody waits for that
}

func (fs *flows) add(f *flow, cut func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.open == nil {
		fs.open = make(map[*flow]func())
	}
	fs.put(f, cut)
}

// setCut replaces how to cut an open flow.
func (fs *flows) setCut(f *flow, cut func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.put(f, cut)
}

// put notes how to cut a flow, or cuts it if all are. The lock is held.
func (fs *flows) put(f *flow, cut func()) {
	fs.open[f] = cut
	if fs.over != "" {
		f.end(fs.over)
		cut()
	}
}

func (fs *flows) remove(f *flow) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.open, f)
	if len(fs.open) == 0 && fs.none != nil {
		close(fs.none)
		fs.none = nil
	}
}

// cutAll ends every open flow for the reason given, and every one that is yet to come.
func (fs *flows) cutAll(reason string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.over = reason
	for f, cut := range fs.open {
		f.end(reason)
		cut()
	}
}

// drain waits until no flow is open, or ctx ends.
func (fs *flows) drain(ctx context.Context) error {
	fs.mu.Lock()
	if len(fs.open) == 0 {
		fs.mu.Unlock()
		return nil
	}
	if fs.none == nil {
		fs.none = make(chan struct{})
	}
	none := fs.none
	fs.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
