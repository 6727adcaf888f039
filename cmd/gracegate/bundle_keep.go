package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/console"
	"github.com/gracegate/gracegate/policy/bundle"
)

// keptName is the file in the data directory of the bundle that was in force last, and seenName that of what is remembered of it.
func keptName(cfg *config.Config) string { return filepath.Join(cfg.Data.Dir, "bundle") }
func seenName(cfg *config.Config) string { return filepath.Join(cfg.Data.Dir, "bundle.seen") }

// keptBundle returns the bundle that was in force last. The error is fs.ErrNotExist if there is none.
func keptBundle(cfg *config.Config) (*bundle.Bundle, error) {
	data, err := os.ReadFile(keptName(cfg))
	if err != nil {
		return nil, err
	}
	return verifyBundle(cfg, keptName(cfg), data)
}

// seenBundle returns what is remembered of the bundle that was in force last; it is zero if there was none.
func seenBundle(cfg *config.Config) (seen bundle.Seen, err error) {
	text, err := os.ReadFile(seenName(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		return seen, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &seen)
	}
	if err == nil && (seen.Version < 1 || seen.Digest == "") {
		err = errors.New("it names no bundle")
	}
	if err != nil {
		return seen, failed(fmt.Errorf("which bundle was in force last cannot be read: %s: %w", seenName(cfg), cause(err)),
			"without this file an older bundle would be taken up; repair it, or remove it and see to it that the bundle is the latest")
	}
	return seen, nil
}

// bundleKeeper follows policy.bundle for a gateway, and keeps the bundle that is in force for the next start. One that is nil, as where
// no bundle is configured, does nothing.
type bundleKeeper struct {
	cfg  *config.Config
	road *bundleRoad
	real func() time.Time
	log  *zap.Logger
	poke chan struct{} // to be asked for at once

	looking sync.Mutex // one at a time, so that what is found later counts

	mu      sync.Mutex
	latest  *bundle.Bundle // to be in force: the newest that was good
	etag    string         // of latest; empty: it has none, or did not come by the road
	inForce *bundle.Bundle // nil: none yet
	kept    *bundle.Bundle // that is in the data directory: before the first was taken up, the one in force before the start; nil: none
	seen    bundle.Seen
	checked time.Time // when the road last led to latest; zero: not since the start
	outcome string    // of the last try, in a word; empty: it was good
	err     error     // of the last try
	unkept  error     // why the bundle in force is not in the data directory
	told    bool      // that it has expired
}

// openBundles gets the bundle of policy.bundle, or else the one that was in force last; nil, if none is configured.
func openBundles(ctx context.Context, cfg *config.Config, clk *edgeClock, log *zap.Logger) (*bundleKeeper, error) {
	if cfg.Policy.Bundle == "" {
		return nil, nil
	}
	road, err := newBundleRoad(cfg)
	if err != nil {
		return nil, err
	}
	k := &bundleKeeper{cfg: cfg, road: road, log: log.Named("bundle"), poke: make(chan struct{}, 1), real: func() time.Time {
		now, _ := clk.real()
		return now
	}}
	if k.seen, err = seenBundle(cfg); err != nil {
		return nil, err
	}
	sweep(cfg)
	kept, keptErr := keptBundle(cfg)
	if keptErr == nil {
		keptErr = refusal(keptName(cfg), kept.After(k.seen))
	}
	switch {
	case keptErr == nil:
		k.latest, k.kept, k.seen = kept, kept, kept.Seen() // who was killed may have kept it, and not remembered it
	case !errors.Is(keptErr, fs.ErrNotExist):
		k.log.Error("the bundle that was in force last cannot be used", zap.Error(keptErr), zap.String("hint", hintOf(keptErr)))
	}
	if _, err = k.refresh(ctx); err == nil {
		return k, nil
	}
	if k.latest == nil {
		_, believed := clk.real()
		return nil, startFailure(err, believed)
	}
	k.complain(err)
	k.log.Warn("the bundle that was in force last is used", zap.Int64("version", k.latest.Version), zap.Time("expires", k.latest.Expires))
	return k, nil
}

// startFailure is why a gateway does not start that had no bundle before. What time or the network may mend, a service manager tries again.
func startFailure(err error, believed bool) error {
	if _, unreachable := errors.AsType[*unreachableError](err); unreachable {
		return failed(err, "the first start needs it; later ones can do with the one that was in force last, which is kept in data.dir")
	}
	if refused, ok := errors.AsType[*bundle.RefusedError](err); ok && refused.Reason == bundle.NotYetValid && !believed {
		return &codedError{err, exitFailed, "this machine's clock cannot be believed yet; start again once it is set"}
	}
	return err
}

// complain logs why a bundle is not taken up.
func (k *bundleKeeper) complain(err error) {
	if _, unreachable := errors.AsType[*unreachableError](err); unreachable {
		k.log.Warn("the bundle was not fetched; the last good one stays in force", zap.Error(err))
		return
	}
	k.log.Error("the bundle was not taken up; the last good one stays in force", zap.Error(err), zap.String("hint", hintOf(err)))
}

// wordOf is a word for how a try went, by which two of them are told apart.
func wordOf(err error) string {
	if refused, ok := errors.AsType[*bundle.RefusedError](err); ok {
		return string(refused.Reason)
	}
	if _, ok := errors.AsType[*unreachableError](err); ok {
		return "unreachable"
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// refresh looks at what there is now. News tells that there is another bundle to take up, or that the try went otherwise than the one
// before.
func (k *bundleKeeper) refresh(ctx context.Context) (news bool, err error) {
	k.looking.Lock()
	defer k.looking.Unlock()
	k.mu.Lock()
	latest, inForce, etag, seen, before := k.latest, k.inForce, k.etag, k.seen, k.outcome
	k.mu.Unlock()
	next, etag, err := k.next(ctx, etag, seen, latest, inForce)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err, k.outcome = err, wordOf(err)
	if err != nil {
		k.etag = "" // what was refused is looked at again: it may become valid, and keys may change
		return k.outcome != before, err
	}
	k.checked = k.real()
	k.latest, k.etag = next, etag
	return next != latest || k.outcome != before, nil
}

// next returns the bundle that is there: latest or inForce, if it is one of them.
func (k *bundleKeeper) next(ctx context.Context, known string, seen bundle.Seen, latest, inForce *bundle.Bundle) (b *bundle.Bundle, etag string, err error) {
	data, etag, err := k.road.fetch(ctx, known)
	if err != nil {
		return nil, "", err
	}
	if data == nil { // it is that of the ETag still, which is verified again: keys may have changed
		data = latest.Bytes()
	}
	if b, err = verifyBundle(k.cfg, k.cfg.Policy.Bundle, data); err != nil {
		return nil, "", err
	}
	if err = k.fit(b, seen); err != nil {
		return nil, "", refusal(k.cfg.Policy.Bundle, err)
	}
	for _, was := range []*bundle.Bundle{latest, inForce} {
		if was != nil && was.Digest == b.Digest && was.KeyID == b.KeyID {
			return was, etag, nil
		}
	}
	return b, etag, nil
}

// fit refuses a bundle that may not be taken up. The one that was in force last may, even if it has expired since.
func (k *bundleKeeper) fit(b *bundle.Bundle, seen bundle.Seen) error {
	if b.Seen() == seen {
		return nil
	}
	if err := b.Fresh(k.real()); err != nil {
		return err
	}
	return b.After(seen)
}

// toBuild returns the bundle to make a policy of: the latest, unless it had to wait, as for a mistake in the waivers, until it expired.
func (k *bundleKeeper) toBuild() (*bundle.Bundle, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inForce != nil && k.fit(k.latest, k.seen) != nil {
		return k.inForce, nil
	}
	return k.latest, nil
}

// before returns the bundle that was in force before the start, if the latest is another one; else nil.
func (k *bundleKeeper) before() *bundle.Bundle {
	if k == nil || k.kept == k.latest {
		return nil
	}
	return k.kept
}

// reread looks at the bundle again if it is a file. What comes over a network is not waited for, see ask.
func (k *bundleKeeper) reread() {
	if k == nil || k.road.client != nil {
		return
	}
	if _, err := k.refresh(context.Background()); err != nil {
		k.complain(err)
	}
}

// tookUp notes that a policy with this bundle is in force, and keeps it for the next start.
func (k *bundleKeeper) tookUp(b *bundle.Bundle) {
	if k == nil {
		return
	}
	k.mu.Lock()
	same := k.inForce == b && k.unkept == nil
	k.inForce, k.seen = b, b.Seen()
	k.mu.Unlock()
	if same {
		return
	}
	err := k.keep(b) // before it is told: who hears of it may rely on it
	k.log.Info("bundle in force", zap.String("from", k.cfg.Policy.Bundle), zap.Int64("version", b.Version), zap.Time("created", b.Created),
		zap.Time("expires", b.Expires), zap.String("key", b.KeyID))
	if err != nil {
		k.log.Error("the bundle in force is not kept: a start without its source would not have it", zap.Error(err))
	}
	k.mu.Lock()
	k.unkept, k.told = err, false
	k.mu.Unlock()
	k.tellExpiry()
}

// keep writes a bundle and what is remembered of it. A start between the two knows what to make of it. What finds no room for the one may
// find some for the other, so that at least no older bundle is taken up.
func (k *bundleKeeper) keep(b *bundle.Bundle) error {
	seen, err := json.Marshal(b.Seen())
	if err != nil {
		return err
	}
	if b != k.kept {
		if err = putFile(keptName(k.cfg), nil, 0o600, contents(b.Bytes())); err == nil {
			k.kept = b
		}
	}
	return errors.Join(err, putFile(seenName(k.cfg), nil, 0o600, contents(append(seen, '\n'))))
}

// sweep removes what is left in a data directory of writing that was cut off. It may be large.
func sweep(cfg *config.Config) {
	left, _ := fs.Glob(os.DirFS(cfg.Data.Dir), ".bundle.*") // the pattern is a good one
	for _, name := range left {
		_ = os.Remove(filepath.Join(cfg.Data.Dir, name)) // what stays does no harm but to take room
	}
}

// refused is why what there is now is not in force; nil if it is, or nothing can be fetched.
func (k *bundleKeeper) refused() error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, unreachable := errors.AsType[*unreachableError](k.err); unreachable {
		return nil
	}
	return k.err
}

// status is how the bundle stands, for the admin listener; nil without one.
func (k *bundleKeeper) status() *console.Bundle {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inForce == nil {
		return nil
	}
	s := &console.Bundle{
		From: k.cfg.Policy.Bundle, Version: k.inForce.Version, Created: k.inForce.Created, Expires: k.inForce.Expires,
		Expired: k.inForce.Expired(k.real()), Key: k.inForce.KeyID,
	}
	if checked := k.checked; !checked.IsZero() {
		s.Checked = &checked
	}
	if unreachable, ok := errors.AsType[*unreachableError](k.err); ok { // why one was refused, the reload tells
		s.Problem = unreachable.Error()
	}
	if k.unkept != nil {
		s.Unkept = k.unkept.Error()
	}
	return s
}
