package audit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gated is a sink that takes one record, or fails once, for each value sent to it.
type gated struct {
	gate  chan error
	taken []string
}

func newGated() *gated { return &gated{gate: make(chan error)} }

func (g *gated) Write(records []*Record) (written int, err error) {
	for i, r := range records {
		if err := <-g.gate; err != nil {
			return i, err
		}
		g.taken = append(g.taken, r.User)
	}
	return len(records), nil
}

type status struct {
	failing bool
	lost    uint64
	queued  int
}

func (r *Recorder) status() status { return status{r.Failing(), r.Lost(), r.Len()} }

func closeNow(t *testing.T, r *Recorder) {
	t.Helper()
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRecorderOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newGated()
		r := newRecorder(sink, 2, 0)
		check := func(when string, want status) {
			t.Helper()
			synctest.Wait()
			if got := r.status(); got != want {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
		}
		record := func(user string) { r.Record(&Record{Event: End, User: user}); synctest.Wait() }

		record("a") // is being written
		record("b")
		record("c")
		check("a full queue is no loss yet", status{false, 0, 3})
		record("d")
		record("e")
		check("two found no room", status{true, 2, 3})
		sink.gate <- nil
		check("a is written", status{true, 2, 2})
		record("f")
		check("there was room for f", status{true, 2, 3})
		sink.gate <- nil
		sink.gate <- nil
		check("the last is being written", status{true, 2, 1})
		sink.gate <- nil
		check("drained", status{false, 2, 0})
		closeNow(t, r)
		if want := []string{"a", "b", "c", "f"}; !slices.Equal(sink.taken, want) {
			t.Errorf("written %v, want %v", sink.taken, want)
		}
	})
}

func TestRecorderSinkError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newGated()
		r := newRecorder(sink, 8, 0)
		full := errors.New("no space left")
		for _, step := range []struct {
			result error
			want   status
		}{
			{nil, status{false, 0, 0}},
			{full, status{true, 1, 0}},
			{full, status{true, 2, 0}},
			{nil, status{false, 2, 0}},
		} {
			r.Record(&Record{Event: End})
			sink.gate <- step.result
			synctest.Wait()
			if got := r.status(); got != step.want {
				t.Errorf("after %v: %+v, want %+v", step.result, got, step.want)
			}
		}
		closeNow(t, r)
	})
}

func TestRecorderClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newGated()
		r := newRecorder(sink, 8, 0)
		for _, user := range []string{"a", "b", "c"} {
			r.Record(&Record{Event: End, User: user})
		}
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := r.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 records") {
			t.Errorf("Close while the sink hangs: %v", err)
		}
		r.Record(&Record{Event: End, User: "late"})
		if got, want := r.status(), (status{false, 1, 3}); got != want {
			t.Errorf("a record after Close: %+v, want %+v", got, want)
		}

		go func() {
			for range 3 {
				sink.gate <- nil
			}
		}()
		closeNow(t, r)
		if want := []string{"a", "b", "c"}; !slices.Equal(sink.taken, want) {
			t.Errorf("written %v, want %v", sink.taken, want)
		}
		closeNow(t, r)
	})
}

type sinkFunc func(*Record) error

func (f sinkFunc) Write(records []*Record) (written int, err error) {
	for i, r := range records {
		if err := f(r); err != nil {
			return i, err
		}
	}
	return len(records), nil
}

// Every record is either written, in its sender's order, or counted as lost; and once all is written, nothing is failing.
func TestRecorderUnderLoad(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 2000
	written := map[string]int64{}
	var total uint64
	r := New(sinkFunc(func(rec *Record) error {
		if rec.BytesIn < written[rec.User] {
			t.Errorf("record %d of %s after %d", rec.BytesIn, rec.User, written[rec.User])
		}
		written[rec.User] = rec.BytesIn
		total++
		return nil
	}), 16)
	var wg sync.WaitGroup
	for _, user := range strings.Split("abcdefgh", "")[:senders] {
		wg.Go(func() {
			for i := range int64(each) {
				r.Record(&Record{Event: End, User: user, BytesIn: i})
			}
		})
	}
	wg.Wait()
	closeNow(t, r)
	if total+r.Lost() != senders*each {
		t.Errorf("%d written and %d lost of %d", total, r.Lost(), senders*each)
	}
	if r.Failing() {
		t.Error("failing though everything is written")
	}
}

func TestRecorderSmallestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{-1, 0, 1} {
			var n int
			r := New(sinkFunc(func(*Record) error { n++; return nil }), size)
			r.Record(&Record{Event: End})
			closeNow(t, r)
			if n != 1 {
				t.Errorf("size %d: %d records written, want 1", size, n)
			}
		}
	})
}

// batches is a sink that tells how many records it gets at a time, and refuses the first n.
type batches struct {
	gate   chan struct{}
	refuse int
	sizes  []int
}

func (b *batches) Write(records []*Record) (written int, err error) {
	<-b.gate
	b.sizes = append(b.sizes, len(records))
	if b.refuse > 0 {
		b.refuse--
		return 0, errors.New("no space left")
	}
	return len(records), nil
}

func TestRecorderWritesWhatIsQueuedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		refuse int
		sizes  []int
	}{
		{0, []int{1, maxBatch, 6}},
		{3, []int{1, 1, 1, 1, maxBatch - 3, 6}}, // one at a time, until it takes one
	} {
		synctest.Test(t, func(t *testing.T) {
			sink := &batches{gate: make(chan struct{}), refuse: tt.refuse}
			r := newRecorder(sink, 2*maxBatch, 0)
			for range maxBatch + 7 {
				r.Record(&Record{Event: End})
				synctest.Wait() // the first is at the sink before the others are queued
			}
			close(sink.gate)
			closeNow(t, r)
			if !slices.Equal(sink.sizes, tt.sizes) || r.Lost() != uint64(tt.refuse) {
				t.Errorf("the sink refuses %d: it got %v and %d were lost, want %v", tt.refuse, sink.sizes, r.Lost(), tt.sizes)
			}
		})
	}
}

// A refusal is answered once its record is written; what is let through waits for nothing.
func TestRefusalWaitsForItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newGated()
		r := newRecorder(sink, 4, 0)
		var answered time.Duration
		began := time.Now()
		refuse := func() {
			r.Record(&Record{Event: Refused, User: "refused"})
			answered = time.Since(began)
		}
		go func() {
			time.Sleep(300 * time.Millisecond)
			sink.gate <- nil
		}()
		refuse()
		if answered != 300*time.Millisecond {
			t.Errorf("answered after %v", answered)
		}
		began = time.Now()
		r.Record(&Record{Event: End, User: "passed"})
		if time.Since(began) != 0 {
			t.Error("what passed has waited")
		}
		refuse() // the sink hangs
		if answered != maxWait {
			t.Errorf("answered after %v though the sink hangs, want %v", answered, maxWait)
		}
		began = time.Now()
		refuse() // and hangs: nobody waits any more
		if answered != 0 || !r.Failing() {
			t.Errorf("answered after %v, failing %v", answered, r.Failing())
		}
		if r.Works(); r.Failing() {
			t.Error("it fails though it was told to work")
		}
		sink.gate <- nil
		sink.gate <- nil
		sink.gate <- errors.New("no space left")
		synctest.Wait()
		began = time.Now()
		go func() { sink.gate <- errors.New("no space left") }()
		refuse() // the sink fails at once
		if answered != 0 || r.Lost() != 2 {
			t.Errorf("answered after %v, %d lost", answered, r.Lost())
		}
		closeNow(t, r)
	})
}

// The record behind a gap tells how many are missing, so that a reader of the records alone knows of it.
func TestRecordTellsOfThoseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := newGated()
		r := newRecorder(sink, 8, 0)
		r.tells = true
		var told []uint64
		next := func(err error) {
			rec := &Record{Event: End}
			r.Record(rec)
			sink.gate <- err
			synctest.Wait()
			told = append(told, rec.Lost)
		}
		full := errors.New("no space left")
		next(nil)
		next(full)
		next(full)
		next(nil)
		next(nil)
		if want := []uint64{0, 0, 1, 2, 0}; !slices.Equal(told, want) {
			t.Errorf("%v, want %v", told, want)
		}
		closeNow(t, r)
	})
}

// Records for which nobody waits go together; one for which somebody waits takes them along at once.
func TestRecordsLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		var at []time.Duration
		began := time.Now()
		r := New(sinkOf(func(list []*Record) (int, error) {
			sizes, at = append(sizes, len(list)), append(at, time.Since(began))
			return len(list), nil
		}), 100)
		for range 3 {
			r.Record(&Record{Event: End})
		}
		time.Sleep(lingerTime)
		synctest.Wait()
		r.Record(&Record{Event: End})
		synctest.Wait()
		r.Record(&Record{Event: Refused})
		for range 50 { // half of the queue is not left to wait
			r.Record(&Record{Event: End})
		}
		synctest.Wait()
		r.Record(&Record{Event: Refused})
		r.Record(&Record{Event: End}) // which the one before does not hurry
		synctest.Wait()
		r.Record(&Record{Event: End})
		time.Sleep(lingerTime)
		synctest.Wait()
		closeNow(t, r)
		wantAt := []time.Duration{lingerTime, lingerTime, lingerTime, lingerTime, 2 * lingerTime}
		if want := []int{3, 2, 50, 1, 2}; !slices.Equal(sizes, want) || !slices.Equal(at, wantAt) {
			t.Errorf("batches %v at %v, want %v at %v", sizes, at, want, wantAt)
		}
	})
}

type sinkOf func([]*Record) (int, error)

func (f sinkOf) Write(list []*Record) (int, error) { return f(list) }
