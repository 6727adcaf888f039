package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy/bundle"
)

// reloadState remembers how the last reload went.
type reloadState struct {
	mu   sync.Mutex
	last string
}

func (s *reloadState) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = ""
	if err != nil {
		s.last = err.Error()
	}
}

// lastError is what the last reload failed with, or empty.
func (s *reloadState) lastError() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// reloadOnSignal calls reload on every signal from hup, until ctx ends.
func reloadOnSignal(ctx context.Context, hup <-chan os.Signal, reload func(why string)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			reload("SIGHUP")
		}
	}
}

// reload builds the policy anew, reads the page of refusals, the users and the CA, and opens the files of records by their names. What fails
// of them stays as it is, and does not keep the others from being taken up.
func (g *gateway) reload(why string) {
	start := time.Now()
	before := g.policy().Revision()
	pageErr := g.reloadPage()
	if pageErr != nil {
		g.log.Error("the page of refusals was not reloaded; the last good one stays in use", zap.String("because", why), zap.Error(pageErr))
	}
	usersErr := g.reloadUsers(why)
	caErr := g.authority.load()
	if caErr != nil {
		g.log.Error("the CA was not loaded; what was in use stays", zap.String("because", why), zap.Error(caErr), zap.String("hint", hintOf(caErr)))
	}
	if err := g.records.outlets.Reopen(); err != nil {
		g.log.Error("a file of records was not opened anew; the one that was stays in use", zap.String("because", why), zap.Error(err))
	}
	g.bundles.reread()
	refused, err := g.rebuild(start)
	g.reloads.set(errors.Join(err, refused, pageErr, usersErr, caErr))
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			g.log.Error("reload failed; the last good policy stays in force", zap.String("because", why), zap.String("problem", strings.TrimSpace(line)))
		}
		return
	}
	if changed := before != g.policy().Revision(); refused != nil && !changed {
		return // it is told already
	}
	g.log.Info("policy reloaded", zap.String("because", why), zap.String("revision", g.policy().Revision()),
		zap.Bool("changed", before != g.policy().Revision()), zap.Duration("took", time.Since(start)))
	g.announceCA()
}

// firstPolicy puts the first policy in force. If the bundle that is there now makes none, as together with the gateway's own waivers, that
// which was in force last is taken instead; untaken is why.
func (g *gateway) firstPolicy() (untaken, err error) {
	err = g.policies.Reload(g.law.build)
	before := g.bundles.before()
	if err == nil || before == nil {
		return nil, err
	}
	latest := g.law.bundles
	g.law.bundles = func() (*bundle.Bundle, error) { return before, nil }
	defer func() { g.law.bundles = latest }()
	if g.policies.Reload(g.law.build) != nil {
		return nil, err
	}
	for line := range strings.Lines(err.Error()) {
		g.log.Error("the bundle was not taken up; the one that was in force last is used", zap.Int64("version", before.Version), zap.String("problem", strings.TrimSpace(line)))
	}
	return err, nil
}

// rebuild puts the policy in force that the files and the bundle now make, and tells the metrics. Refused is why the bundle that is there
// now is not the one in it.
func (g *gateway) rebuild(start time.Time) (refused, err error) {
	if err = g.policies.Reload(g.law.build); err == nil {
		g.bundles.tookUp(g.law.built)
	}
	refused = g.bundles.refused()
	g.metrics.Reloaded(g.policy().Revision(), start, err)
	if refused != nil {
		g.metrics.Reloaded("", start, refused)
	}
	return refused, err
}

// reloadUsers reads the users again, and ends what is open of those who are gone. If the file has a mistake, those stay who were known.
func (g *gateway) reloadUsers(why string) error {
	if g.users == nil {
		return nil
	}
	users, err := readUsers(g.cfg.Clients.Auth)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			g.log.Error("the users were not reloaded; the last good ones stay", zap.String("because", why), zap.String("problem", strings.TrimSpace(line)))
		}
		return err
	}
	g.users.Replace(users)
	g.server.LogOut()
	g.log.Info("users reloaded", zap.String("because", why), zap.Int("users", users.Len()))
	return nil
}
