package proxy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// direction is one of the two of a relay. While it waits for its source it holds nothing: an attempt to receive borrows a buffer or
// a pipe, and gives it back when nothing is there. What it holds is what its destination has not taken yet.
type direction struct {
	relay *relay
	src   *side
	dst   *side
	came  *atomic.Int64 // counts what is received; may be nil
	went  *atomic.Int64 // counts what is sent; may be nil

	total int64 // bytes that came
	burst int   // of those, since the source had nothing more
	last  int   // what the burst before that came to

	buf  []byte // what is borrowed, whole
	rest []byte // what is still to be sent; in buf or in memory of its own
	pipe *pipe
	in   int // bytes in the pipe, still to be sent

	void     bool // what comes is dropped: nobody takes it
	noSplice bool

	// For the attempts within a RawConn, which want functions: they are made once.
	receiving, sending func(fd uintptr) bool
	err                error // of the last attempt
	waited             bool  // the destination did not take all at once
	done               bool  // the last attempt to send is through, and dst.writing is held
}

const (
	// smallRead is what a direction receives into at first, and while what comes at a time does not fill it: a handshake, messages.
	smallRead = 8 << 10

	// spliceAfter is how many bytes a direction moves through buffers before it takes pipes: those are worth their while from here on.
	spliceAfter = 64 << 10
)

type smallBuffer [smallRead]byte

var smallBuffers = sync.Pool{New: func() any { return new(smallBuffer) }}

func (n *direction) init(l *relay, dst, src *side) {
	n.relay, n.dst, n.src = l, dst, src
	n.makeAttempts()
	if src == &l.down {
		n.came = &l.flow.in
	} else {
		n.went = &l.flow.out
	}
}

// carry moves bytes until the source ends. On a failure it ends both sides.
func (n *direction) carry() (ended bool) {
	defer n.letGo()
	for n.send() {
		err := n.receive()
		if errors.Is(err, io.EOF) {
			n.src.settle()
			return true
		}
		if err != nil {
			n.relay.fail(err, n.src)
			return false
		}
	}
	return false
}

// lose acts upon a failure to send.
func (n *direction) lose(err error) {
	n.freePipe()
	if n.void = n.relay.unheard(err, n.dst); n.void {
		n.noSplice = true
		return
	}
	n.relay.fail(err, n.dst)
}

// much tells whether what comes next is likely to fill a small buffer.
func (n *direction) much() bool { return max(n.last, n.burst) >= smallRead }

// borrow takes a buffer.
func (n *direction) borrow() {
	if !n.much() {
		n.buf = smallBuffers.Get().(*smallBuffer)[:]
	} else {
		n.buf = borrow()[:]
	}
}

// giveBack returns the buffer, if there is one.
func (n *direction) giveBack() {
	switch len(n.buf) {
	case smallRead:
		smallBuffers.Put((*smallBuffer)(n.buf))
	case len(streamBuffer{}):
		(*streamBuffer)(n.buf).giveBack()
	}
	n.buf, n.rest = nil, nil
}

// letGo returns all that is held. What was not sent is lost.
func (n *direction) letGo() {
	n.giveBack()
	n.freePipe()
}

// dry notes that the source has nothing more for now, and returns what was borrowed.
func (n *direction) dry() {
	if n.burst > 0 {
		n.last, n.burst = n.burst, 0
	}
	n.letGo()
}

// received notes that bytes came.
func (n *direction) received(bytes int) {
	n.total += int64(bytes)
	n.burst = min(n.burst+bytes, spliceAfter) // more makes no difference
	if n.came != nil {
		n.came.Add(int64(bytes))
	}
	n.relay.watch.touch()
}

// sent notes that bytes were taken.
func (n *direction) sent(bytes int) {
	if n.went != nil {
		n.went.Add(int64(bytes))
	}
}
