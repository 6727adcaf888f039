package audit

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// maxBatch is how many records the sink gets at a time: about as many as fill one write.
const maxBatch = 64

// Recorder hands records to one sink, in order, from a queue of bounded length. Its methods may be called from any
// goroutine.
type Recorder struct {
	sink  Sink
	queue chan *Record
	done  chan struct{} // closed when the last record is written

	lost    atomic.Uint64
	overrun atomic.Bool  // a record found the queue full, and the queue has not been empty since
	refused atomic.Bool  // the sink returned an error, and has taken no record since
	inHand  atomic.Int64 // records that left the queue for the sink, and are not yet written

	// mu orders a sender's finding that the queue is full before the writer's finding that it is empty, so that overrun
	// never outlives the drained queue; and it keeps Close from closing the queue under a sender.
	mu     sync.Mutex
	closed bool
}

// New starts a recorder with a queue of size records (at least 1). It starts one goroutine, which [Recorder.Close] ends.
func New(sink Sink, size int) *Recorder {
	r := &Recorder{sink: sink, queue: make(chan *Record, max(size, 1)), done: make(chan struct{})}
	go r.run()
	return r
}

// Record queues a record and never blocks. When the queue is full, or the recorder is closed, the record is counted as
// lost; a full queue also makes the recorder failing until it has drained.
func (r *Recorder) Record(rec *Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.lost.Add(1)
		return
	}
	select {
	case r.queue <- rec:
	default:
		r.overrun.Store(true)
		r.lost.Add(1)
	}
}

// Failing reports whether records are being lost: the queue overran and has not drained yet, or the sink refused the
// last record.
func (r *Recorder) Failing() bool { return r.overrun.Load() || r.refused.Load() }

// Lost counts the records that were never written, for want of room, after Close, or because the sink refused them.
func (r *Recorder) Lost() uint64 { return r.lost.Load() }

// Len is the number of records that are not yet written.
func (r *Recorder) Len() int { return len(r.queue) + int(r.inHand.Load()) }

// Close takes no more records and waits until the queued ones are written, or ctx ends; then its error says how many
// were not yet written. The writing goroutine goes on until they are written. Closing twice is harmless.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
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
	batch := make([]*Record, 0, maxBatch)
	for rec := range r.queue {
		runtime.Gosched() // whoever is about to record something does so first: one write for all of them
		batch = r.gather(append(batch[:0], rec))
		r.inHand.Store(int64(len(batch)))
		r.write(batch)
		clear(batch) // what is written is garbage, though the queue stays empty
		r.mu.Lock()
		if len(r.queue) == 0 {
			r.overrun.Store(false)
		}
		r.mu.Unlock()
	}
}

// gather adds what else is queued, without waiting for more.
func (r *Recorder) gather(batch []*Record) []*Record {
	for len(batch) < maxBatch {
		select {
		case rec, open := <-r.queue:
			if !open {
				return batch
			}
			batch = append(batch, rec)
		default:
			return batch
		}
	}
	return batch
}

// write gives the records to the sink. While that refuses them it gets one at a time, so that one that it cannot take is not
// tried over and over with those before it.
func (r *Recorder) write(batch []*Record) {
	for len(batch) > 0 {
		part := batch
		if r.refused.Load() {
			part = batch[:1]
		}
		n, err := r.sink.Write(part)
		if err != nil {
			n++
			r.lost.Add(1)
		}
		r.refused.Store(err != nil)
		batch = batch[n:]
		r.inHand.Store(int64(len(batch)))
	}
}
