package policy

import (
	"sync"
	"sync/atomic"
)

// Holder holds the policy in force. Swapping is atomic: a flow sees the old policy or the new one, never a mixture. The zero
// Holder holds none.
type Holder struct {
	current atomic.Pointer[Policy]
	mu      sync.Mutex // one reload at a time
}

// Current returns the policy in force, or nil before the first Reload succeeded.
func (h *Holder) Current() *Policy { return h.current.Load() }

// Reload builds a policy anew and puts it in force. If build fails, what was in force stays, and the error is returned.
// build is given the policy in force, nil at first, and may return it again where nothing changed.
func (h *Holder) Reload(build func(old *Policy) (*Policy, error)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := build(h.current.Load())
	if err != nil {
		return err
	}
	h.current.Store(p)
	return nil
}
