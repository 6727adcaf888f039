package proxy

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// tickEvery is how often the policy clock is compared with the next instant at which something changes. Real time: a policy
// clock may run at any rate.
const tickEvery = 250 * time.Millisecond

// never is the instant of what does not change any more.
const never = math.MaxInt64

// flows are those in progress, so that they can be waited for, judged again and cut: net/http forgets the connections of
// tunnels, and does not reset those of the rest. Adding and removing one takes the same short time however many there are.
type flows struct {
	shards []*flowShard // about one a core: so many can be cut beside each other
	turn   atomic.Uint32
	open   atomic.Int64
	over   atomic.Pointer[string] // why every flow that still comes is cut; nil while they may come
	stays  func(*flow) bool       // whether a flow's user is still one; looked at when the flow is filed, and by expel
	none   chan struct{}          // holds an item after the last flow has ended

	// cutting is held while many are cut, and waited for by those that then write their records: cut first, record after.
	cutting sync.RWMutex
}

// flowShard is a part of the open flows, by the instant at which they must be judged again.
type flowShard struct {
	mu      sync.Mutex
	buckets map[int64]*bucket // few: the instants of a policy
	first   int64             // no bucket is earlier
	swept   view              // whoever was judged by another is judged again with the next tick
}

// bucket holds the flows of one instant, in nanoseconds since 1970, or never.
type bucket struct {
	at   int64
	head *flow
}

// place is where an open flow is held. It is guarded by the shard's lock.
type place struct {
	shard      *flowShard
	bucket     *bucket // nil while the flow is being judged again
	prev, next *flow
	gone       bool
}

func newFlows(stays func(*flow) bool) *flows {
	fs := &flows{stays: stays, none: make(chan struct{}, 1)}
	for range runtime.GOMAXPROCS(0) {
		fs.shards = append(fs.shards, &flowShard{buckets: make(map[int64]*bucket), first: never})
	}
	return fs
}

// add takes in a flow that has been judged.
func (fs *flows) add(f *flow) {
	fs.open.Add(1)
	f.place.shard = fs.shards[fs.turn.Add(1)%uint32(len(fs.shards))] //nolint:gosec // a number of cores
	fs.file(f)
}

// file puts an open flow where it belongs by its latest verdict, which several may give at a time.
func (fs *flows) file(f *flow) {
	f.mu.Lock()
	s := f.place.shard
	s.mu.Lock()
	s.take(f)
	if !f.place.gone && !f.over {
		at := f.next
		if f.ruling.view != s.swept {
			at = math.MinInt64 // the policy or the clock was changed between its verdict and now, or this is the first
		}
		s.put(f, at)
	}
	s.mu.Unlock()
	f.mu.Unlock()
	fs.expelled(f) // expel may have missed it, because it was not held here at that moment
}

// expelled cuts a flow that may not be open any more, whatever the policy says.
func (fs *flows) expelled(f *flow) {
	if why := fs.over.Load(); why != nil {
		f.cutFor(*why)
	} else if !fs.stays(f) {
		f.cutFor("logged-out")
	}
}

// remove forgets a flow, which must have been added.
func (fs *flows) remove(f *flow) {
	s := f.place.shard
	s.mu.Lock()
	f.place.gone = true
	s.take(f)
	s.mu.Unlock()
	if fs.open.Add(-1) == 0 {
		select {
		case fs.none <- struct{}{}:
		default:
		}
	}
}

func (s *flowShard) put(f *flow, at int64) {
	b := s.buckets[at]
	if b == nil {
		b = &bucket{at: at}
		s.buckets[at] = b
		s.first = min(s.first, at)
	}
	f.place.bucket, f.place.prev, f.place.next = b, nil, b.head
	if b.head != nil {
		b.head.place.prev = f
	}
	b.head = f
}

func (s *flowShard) take(f *flow) {
	p := &f.place
	if p.bucket == nil {
		return
	}
	if p.prev != nil {
		p.prev.place.next = p.next
	} else {
		p.bucket.head = p.next
	}
	if p.next != nil {
		p.next.place.prev = p.prev
	}
	p.bucket, p.prev, p.next = nil, nil, nil
}

// due takes out the flows to be judged again: those whose instant has come, or all if the policy is another one, or the clock was
// turned.
func (s *flowShard) due(now int64, in view) []*flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first > now && s.swept == in {
		return nil
	}
	var list []*flow
	first := int64(never)
	for at, b := range s.buckets {
		if at > now && s.swept == in {
			first = min(first, at)
			continue
		}
		for b.head != nil {
			list = append(list, b.head)
			s.take(b.head)
		}
		delete(s.buckets, at)
	}
	s.first, s.swept = first, in
	return list
}

// tick has whoever is due judged again.
func (fs *flows) tick(now int64, in view, again func(*flow)) {
	var closers sync.WaitGroup
	cutting := false
	for _, s := range fs.shards {
		due := s.due(now, in)
		if len(due) == 0 {
			continue
		}
		if !cutting {
			fs.cutting.Lock()
			cutting = true
		}
		closers.Go(func() {
			for _, f := range due {
				again(f)
				fs.file(f)
			}
		})
	}
	closers.Wait()
	if cutting {
		fs.cutting.Unlock()
	}
}

// all returns the open flows that are held here now. It holds up one shard at a time.
func (fs *flows) all() (list []*flow) {
	for _, s := range fs.shards {
		list = append(list, s.all()...)
	}
	return list
}

func (s *flowShard) all() []*flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*flow
	for _, b := range s.buckets {
		for f := b.head; f != nil; f = f.place.next {
			list = append(list, f)
		}
	}
	return list
}

// cutAll ends every open flow for the reason given, and every one that is yet to come.
func (fs *flows) cutAll(reason string) {
	fs.over.Store(&reason)
	fs.expel()
}

// expel cuts every open flow that may not be open any more, also those that are being judged again just now.
func (fs *flows) expel() {
	for _, f := range fs.all() {
		fs.expelled(f)
	}
}

// drain waits until no flow is open, or ctx ends.
func (fs *flows) drain(ctx context.Context) error {
	for fs.open.Load() > 0 {
		select {
		case <-fs.none:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
