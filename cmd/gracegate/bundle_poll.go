package main

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

const (
	// pollEvery is how often a bundle is asked for, and pollAfterFailure how long it takes until the next try where none came. Both
	// differ by a fifth from one time to the next, so that many gateways do not ask at once.
	pollEvery, pollAfterFailure = 5 * time.Minute, time.Minute
)

// tellExpiry logs once that the bundle in force has expired.
func (k *bundleKeeper) tellExpiry() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.inForce; b != nil && !k.told && b.Expired(k.real()) {
		k.told = true
		k.log.Error("the bundle in force has expired; what it says is enforced on", zap.Int64("version", b.Version), zap.Time("expired", b.Expires),
			zap.String("hint", "sign a new one, with a higher version"))
	}
}

// ask has run look for a bundle at once, if it is to be fetched. A file is looked at by reread.
func (k *bundleKeeper) ask() {
	if k == nil || k.road.client == nil {
		return
	}
	select {
	case k.poke <- struct{}{}:
	default: // it is asked already
	}
}

// run looks at what is there, time and again if policy.reload says so, and calls reload whenever there is news, until ctx ends.
func (k *bundleKeeper) run(ctx context.Context, reload func()) {
	if k == nil {
		return
	}
	timer := time.NewTimer(k.pause())
	defer timer.Stop()
	for {
		look, asked := k.cfg.Policy.Reload, false
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-k.poke:
			look, asked = true, true
		}
		if look {
			news, err := k.refresh(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil && (news || asked) && k.road.client != nil { // of a file, reread complains
				k.complain(err)
			}
			if news || k.isUnkept() {
				reload()
			}
		}
		k.tellExpiry()
		timer.Reset(k.pause())
	}
}

// isUnkept tells that the bundle in force is still to be kept.
func (k *bundleKeeper) isUnkept() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unkept != nil
}

// pause is how long run waits: until the next look, or until the bundle in force expires.
func (k *bundleKeeper) pause() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	every := pollEvery
	if k.err != nil {
		every = pollAfterFailure
	}
	wait := every*4/5 + rand.N(every*2/5) //nolint:gosec // G404: spread, no secret
	if k.inForce != nil && !k.told {
		wait = min(wait, max(k.inForce.Expires.Sub(k.real()), time.Second))
	}
	return wait
}
