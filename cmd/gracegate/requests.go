package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy/clock"
)

const (
	// requestEvery is how often a gateway looks for a request (one call, which also works where nothing is watched), requestMaxAge how
	// old one may be, and requestWait how long who made it waits: the gateway may be asking its second source.
	requestEvery, requestMaxAge, requestWait = time.Second, time.Minute, 15 * time.Second

	maxRequest = 64 << 10 // bytes
)

// acceptance is what `gracegate clock accept` asks a gateway that runs, by a file in its data directory: who may write there could write
// the mark, too. No port takes it.
type acceptance struct {
	Machine time.Time `json:"machine"` // what the machine's clock showed
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
}

// requests are those in a data directory.
type requests struct{ dir string }

func (q *requests) name() string    { return filepath.Join(q.dir, "clock.accept") }
func (q *requests) refused() string { return filepath.Join(q.dir, "clock.refused") }

// serve takes requests until ctx ends. One from before it began is not taken: nobody waits for it any more.
func (q *requests) serve(ctx context.Context, g *clock.Guarded, log *zap.Logger) {
	if err := os.Remove(q.name()); err == nil {
		log.Warn("the clock: a request to accept it was left over, and is not taken", zap.String("file", q.name()))
	}
	tick := time.NewTicker(requestEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := q.take(g); err != nil {
				log.Error("the clock: a request to accept it was refused", zap.Error(err))
			}
		}
	}
}

// take does what a request asks for, if there is one. Its file goes when that is done; what went wrong is in another one then.
func (q *requests) take(g *clock.Guarded) error {
	r, err := q.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = r.grant(g)
	}
	if err != nil {
		err = errors.Join(err, putFile(q.refused(), nil, 0o600, contents([]byte(err.Error()))))
	}
	return errors.Join(err, os.Remove(q.name()))
}

func (q *requests) read() (*acceptance, error) {
	f, err := os.Open(q.name())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := new(acceptance)
	if err := json.NewDecoder(io.LimitReader(f, maxRequest)).Decode(r); err != nil {
		return nil, fmt.Errorf("the request makes no sense: %w", err)
	}
	return r, nil
}

// grant accepts the clock, unless it was set since the request was made.
func (r *acceptance) grant(g *clock.Guarded) error {
	if off := g.Status().Wall.Sub(r.Machine); off.Abs() > requestMaxAge {
		return fmt.Errorf("the machine's clock shows another time than the %s that was accepted, by %s", r.Machine.Format(time.RFC3339), clock.Span(off))
	}
	return g.Accept(r.Reason, r.By)
}

// ask has the gateway that runs take a request, and waits until it has.
func (q *requests) ask(ctx context.Context, r *acceptance) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_ = os.Remove(q.refused()) // of an earlier one
	dir, err := os.Stat(q.dir)
	if err == nil { // root's request belongs to the gateway's user from the start on, who must be able to read it
		err = putFile(q.name(), dir, 0o600, contents(text))
	}
	if err != nil {
		return failed(err, runAsGateway)
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = os.Remove(q.name())
			return failed(errors.New("the gateway has not taken the request"), "its log may tell why; try again, or stop it first")
		case <-look.C:
			if _, err := os.Stat(q.name()); errors.Is(err, fs.ErrNotExist) {
				return q.outcome()
			}
		}
	}
}

// outcome is what became of the request that is gone.
func (q *requests) outcome() error {
	why, err := os.ReadFile(q.refused())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_ = os.Remove(q.refused())
	return failed(errors.Join(errors.New("the gateway has refused it: "+strings.TrimSpace(string(why))), err), "")
}
