package audit

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxBatch is how many records the sink gets at a time: about as many as fill one write.
const maxBatch = 128

// Recorder hands records to one sink, in order, from a queue of bounded length. Its methods may be called from any
// goroutine.
type Recorder struct {
	sink   Sink
	size   int // of the queue, at most
	linger time.Duration
	some   chan struct{} // holds an item once something is queued
	urgent chan struct{} // holds an item once what is queued should not linger
	done   chan struct{} // closed when the last record is written

	tells bool   // records tell of those lost before them: only the first recorder of a record may change it
	told  uint64 // of the lost, how many a record has told of

	lost    atomic.Uint64
	overrun atomic.Bool  // a record found the queue full, and the queue has not been empty since
	refused atomic.Bool  // the sink returned an error, and has taken no record since
	stuck   atomic.Bool  // a refusal has waited in vain, and nothing was written since
	inHand  atomic.Int64 // records that left the queue for the sink, and are not yet written

	// mu orders a sender's finding that the queue is full before the writer's finding that it is empty, so that overrun
	// never outlives the drained queue.
	mu      sync.Mutex
	queue   []queued
	waiting int // of the queued, how many are waited for
	closed  bool
}

// queued is a record with whom to tell, if anyone, that it was written, or is lost.
type queued struct {
	*Record
	over chan struct{}
}

// maxWait is how long a refusal waits for its record. A block never depends on the record, and a sink can hang.
const maxWait = time.Second

// lingerTime is how long a record for which nobody waits stays in the queue, so that others go with it: what a record costs is
// mostly the waking and the writing.
const lingerTime = 10 * time.Millisecond

// New starts a recorder with a queue of size records (at least 1). It starts one goroutine, which [Recorder.Close] ends.
//
// The first record behind some that were lost tells how many, as [Record.Lost].
func New(sink Sink, size int) *Recorder {
	r := newRecorder(sink, size, lingerTime)
	r.tells = true // before any record comes
	return r
}

func newRecorder(sink Sink, size int, linger time.Duration) *Recorder {
	r := &Recorder{
		sink: sink, size: max(size, 1), linger: linger,
		some: make(chan struct{}, 1), urgent: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go r.run()
	return r
}

// Record queues a record. That of a refusal, or of a turn of the clock, waits until the sink has it: it is written before the refusal is answered. It waits
// for a second at most, and not at all while the sink hangs. No other blocks. When the queue is full, or the recorder is closed, the record is counted as lost; a full queue
// also makes the recorder failing until it has drained.
func (r *Recorder) Record(rec *Record) {
	q := queued{Record: rec}
	if rec.Event == Refused || rec.Event == ClockTurn {
		q.over = make(chan struct{}, 1)
	}
	if !r.enqueue(q) || q.over == nil || r.stuck.Load() {
		return
	}
	limit := time.NewTimer(maxWait)
	defer limit.Stop()
	select {
	case <-q.over:
	case <-limit.C:
		r.stuck.Store(true)
	}
}

// Queue is [Recorder.Record] for whoever waits for nothing.
func (r *Recorder) Queue(rec *Record) { r.enqueue(queued{Record: rec}) }

func (r *Recorder) enqueue(q queued) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	full := len(r.queue) >= r.size
	if full && !r.closed {
		r.overrun.Store(true)
	}
	if full || r.closed {
		r.lost.Add(1)
		return false
	}
	r.queue = append(r.queue, q)
	if len(r.queue) == 1 {
		signal(r.some)
	}
	if q.over != nil {
		r.waiting++
	}
	if r.pressing() {
		signal(r.urgent)
	}
	return true
}

// pressing tells that what is queued should not linger; the lock is held.
func (r *Recorder) pressing() bool {
	return r.waiting > 0 || r.closed || len(r.queue) >= min(maxBatch, (r.size+1)/2)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// Works tells that the sink would take records again, which without one nobody learns.
func (r *Recorder) Works() {
	r.refused.Store(false)
	r.stuck.Store(false) // what was waited for may have been written just when nobody waited any longer
}

// Failing reports whether records are being lost, or may be: the queue overran and has not drained yet, the sink refused the last
// record, or it hangs.
func (r *Recorder) Failing() bool { return r.overrun.Load() || r.refused.Load() || r.stuck.Load() }

// Lost counts the records that were never written, for want of room, after Close, or because the sink refused them.
func (r *Recorder) Lost() uint64 { return r.lost.Load() }

// Len is the number of records that are not yet written.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) + int(r.inHand.Load())
}

// Close takes no more records and waits until the queued ones are written, or ctx ends; then its error says how many
// were not yet written. The writing goroutine goes on until they are written. Closing twice is harmless.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	signal(r.some)
	signal(r.urgent)
	r.mu.Unlock()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("audit queue: %d records are not written: %w", r.Len(), context.Cause(ctx))
	}
}

func (r *Recorder) run() {
	defer close(r.done)
	var b batch
	for r.await() {
		r.take(&b)
		r.write(&b)
		b.over()
		r.mu.Lock()
		if len(r.queue) == 0 {
			r.overrun.Store(false)
		}
		r.mu.Unlock()
	}
}

// await waits until something is queued, and others could come to it. It returns false once nothing will come.
func (r *Recorder) await() bool {
	for {
		r.mu.Lock()
		n, closed, pressing := len(r.queue), r.closed, r.pressing()
		if !pressing {
			drain(r.urgent) // what that was for is written
		}
		r.mu.Unlock()
		switch {
		case n == 0 && closed:
			return false
		case n == 0:
			<-r.some
		case pressing || r.linger <= 0:
			runtime.Gosched() // whoever is about to record something does so first: one write for all of them
			return true
		default:
			r.wait()
			return true
		}
	}
}

// wait lets others come to what is queued.
func (r *Recorder) wait() {
	timer := time.NewTimer(r.linger)
	defer timer.Stop()
	select {
	case <-r.urgent:
	case <-timer.C:
	}
}

// batch is what the sink gets at a time, and who waits for it.
type batch struct {
	records []*Record
	waiting []chan struct{}
}

// take moves the first of the queue to an empty batch.
func (r *Recorder) take(b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.queue), maxBatch)
	for _, q := range r.queue[:n] {
		b.records = append(b.records, q.Record)
		if q.over != nil {
			b.waiting = append(b.waiting, q.over)
		}
	}
	r.waiting -= len(b.waiting)
	r.queue = slices.Delete(r.queue, 0, n)
	r.inHand.Store(int64(n))
}

// over empties the batch. What is written is garbage, though the queue stays empty.
func (b *batch) over() {
	for _, over := range b.waiting {
		over <- struct{}{} // it has room
	}
	clear(b.records)
	clear(b.waiting)
	b.records, b.waiting = b.records[:0], b.waiting[:0]
}

// write gives the records to the sink. While that refuses them it gets one at a time, so that one that it cannot take is not
// tried over and over with those before it.
func (r *Recorder) write(b *batch) {
	for rest := b.records; len(rest) > 0; {
		part := rest
		if r.refused.Load() {
			part = rest[:1]
		}
		lost := r.lost.Load()
		if r.tells {
			part[0].Lost = lost - r.told
		}
		n, err := r.sink.Write(part)
		if n > 0 {
			r.told = lost
		}
		if err != nil {
			n++
			r.lost.Add(1)
		}
		r.refused.Store(err != nil)
		r.stuck.Store(false)
		rest = rest[n:]
		r.inHand.Store(int64(len(rest)))
	}
}
