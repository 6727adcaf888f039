package clock

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// bubbled is a machine in a synctest bubble: time elapses as it does there.
type bubbled struct {
	*fakeKernel
	start time.Time
	moved time.Duration
}

func (b *bubbled) Read() Reading {
	elapsed := time.Since(b.start)
	b.pass(elapsed - b.moved)
	b.moved = elapsed
	return b.fakeKernel.Read()
}

// Run looks every second, keeps the mark every minute and at the end, and ends with its context.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "clock")
		k := &bubbled{fakeKernel: newKernel(NotSynchronised), start: time.Now()}
		told := make(chan Event, 10)
		g, err := New(Options{File: file, Built: built, Kernel: k, Report: func(e Event) { told <- e }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("New wrote the mark: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { g.Run(ctx); close(ended) }()
		synctest.Wait()
		marked := func(what string, want time.Time) {
			t.Helper()
			m, damage, err := loadMark(file)
			if err != nil || damage != nil || !m.Time.Equal(want) || m.Boot != "first" {
				t.Errorf("%s: %+v, %v, %v, want %s", what, m, damage, err, want)
			}
		}
		marked("at the start", now)
		if e, f := <-told, <-told; e.Kind != FirstStart || f.Kind != Turned || f.State != Unsynchronised {
			t.Errorf("told %+v, %+v", e, f)
		}
		time.Sleep(59*time.Second + 500*time.Millisecond)
		marked("before a minute is over", now)
		time.Sleep(time.Second)
		marked("a minute later", now.Add(time.Minute))
		k.says(Synchronised)
		time.Sleep(time.Second)
		marked("vouched for", now.Add(time.Minute+time.Second))
		if e := <-told; e.State != Trusted {
			t.Errorf("told %+v", e)
		}
		k.set(-year)
		time.Sleep(time.Second)
		if e := <-told; e.State != SetBack || e.Policy.Before(now.Add(time.Minute)) {
			t.Errorf("told %+v", e)
		}
		time.Sleep(10 * time.Second)
		cancel()
		<-ended
		marked("at the end", now.Add(72*time.Second+500*time.Millisecond))
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}
