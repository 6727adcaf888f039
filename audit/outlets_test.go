package audit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// A stuck outlet loses what finds no room, and nothing else does.
func TestFan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var quick []string
		stuck, closed := newGated(), false
		f := NewFan(2,
			Outlet{Name: "quick", Sink: sinkFunc(func(r *Record) error { quick = append(quick, r.User); return nil })},
			Outlet{Name: "stuck", Sink: stuck, Closer: closerFunc(func() error { closed = true; return nil })},
		)
		for _, user := range []string{"a", "b", "c", "d", "e"} {
			f.Queue([]*Record{{User: user}})
			time.Sleep(lingerTime) // else it may wait for the next
			synctest.Wait()
		}
		if !slices.Equal(quick, []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("written %v", quick)
		}
		if all := f.Outlets(); all["quick"].Lost() != 0 || all["stuck"].Lost() != 2 || all["stuck"].Len() != 3 || !all["stuck"].Failing() || len(all) != 2 {
			t.Errorf("%+v", all)
		}
		for range 3 { // it recovers by itself
			stuck.gate <- nil
		}
		synctest.Wait()
		if got := f.Outlets()["stuck"].status(); got != (status{false, 2, 0}) {
			t.Errorf("%+v", got)
		}
		f.Queue([]*Record{{User: "f"}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := f.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "stuck: audit queue: 1 records") || !closed {
			t.Errorf("%v, closed: %v", err, closed)
		}
		stuck.gate <- nil
	})
}

func TestFanReopens(t *testing.T) {
	t.Parallel()
	failed, reopened := errors.New("no such directory"), 0
	f := NewFan(1,
		Outlet{Name: "a", Sink: sinkFunc(func(*Record) error { return nil })},
		Outlet{Name: "b", Sink: sinkFunc(func(*Record) error { return nil }), Reopen: func() error { return failed }},
		Outlet{Name: "c", Sink: sinkFunc(func(*Record) error { return nil }), Reopen: func() error { reopened++; return nil }},
	)
	if err := f.Reopen(); !errors.Is(err, failed) || reopened != 1 {
		t.Errorf("%v, %d opened anew", err, reopened)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Without outlets there is nothing to fail.
func TestFanOfNone(t *testing.T) {
	t.Parallel()
	f := NewFan(1)
	f.Queue([]*Record{{}})
	if f.Reopen() != nil || f.Close(t.Context()) != nil {
		t.Error("nothing fails")
	}
}
