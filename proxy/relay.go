package proxy

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// relay carries bytes between a client and an origin, each way until its source ends. An end is passed on as a half-close; a
// failure ends both sides with a reset, so that neither takes what it has for the whole.
type relay struct {
	flow         *flow
	down, up     side // the client, the origin
	toDown, toUp direction
	watch        watch
	pipes        *pipePool

	ends    atomic.Int32 // of the two directions, those that came to their end
	whole   atomic.Bool  // the origin has said all, and the client got it
	deaf    atomic.Bool  // the origin is gone, and takes nothing more
	refused atomic.Bool  // the client is being told so: leave its side open for that
	gone    atomic.Bool  // it was cut
}

// side is one end of a relay.
type side struct {
	*net.TCPConn
	name    string
	raw     syscall.RawConn // nil where a system has only the ordinary way
	writing sync.Mutex      // held from an attempt to write until its outcome is acted upon, but not while a write waits
}

// farewell is how long a client that still talks is listened to after the last word of an origin that is gone. Closing with
// unread bytes makes the system send a reset, and drop what the client has not got yet.
const farewell = 2 * time.Second

// newRelay makes a relay that ends when nothing moved in either direction for idle; 0 is no limit. It watches and moves
// nothing yet.
func newRelay(f *flow, idle time.Duration, down, up *net.TCPConn) *relay {
	l := &relay{flow: f, pipes: &allPipes, down: side{TCPConn: down, name: "client"}, up: side{TCPConn: up, name: "upstream"}}
	l.watch.idle, l.watch.began = idle, time.Now()
	for _, s := range []*side{&l.down, &l.up} {
		s.raw = rawConn(s.TCPConn)
	}
	l.toDown.init(l, &l.down, &l.up)
	l.toUp.init(l, &l.up, &l.down)
	return l
}

// cut ends both sides at once, with a reset. It may be called from anywhere, and more than once.
func (l *relay) cut() {
	if l.gone.Swap(true) {
		return
	}
	_ = l.down.SetLinger(0)
	_ = l.up.SetLinger(0)
	l.close()
}

func (l *relay) close() {
	_ = l.down.Close()
	_ = l.up.Close()
}

// upward sends the origin what is held, and then what the client sends.
func (l *relay) upward(held []byte) {
	l.toUp.rest = held
	if l.toUp.carry() {
		l.passEnd(&l.up)
	}
}

// downward sends the client what is held, and then what the origin sends.
func (l *relay) downward(held []byte) {
	l.toDown.rest = held
	if l.toDown.carry() {
		l.whole.Store(true)
		l.passEnd(&l.down)
		l.hearOut()
	}
}

// passEnd passes the end of one direction on. If it is the second one, both connections are about to be closed with nothing
// unread, which says the same.
func (l *relay) passEnd(to *side) {
	if l.ends.Add(1) == 1 {
		_ = to.CloseWrite()
	}
}

// hearOut bounds the time of a client that talks to an origin which is gone, once the client was told everything.
func (l *relay) hearOut() {
	if l.deaf.Load() && l.whole.Load() {
		_ = l.down.SetReadDeadline(time.Now().Add(farewell))
	}
}

// unheard tells whether a failure to send spares the relay: the origin has said all before it went away, and the client is
// still to get it. From then on the client talks into the void, for a while.
func (l *relay) unheard(err error, at *side) bool {
	// EPIPE: the origin ended before it went away, or the error would be a reset.
	if at != &l.up || l.refused.Load() || !l.whole.Load() && !errors.Is(err, syscall.EPIPE) {
		return false
	}
	l.deaf.Store(true)
	l.hearOut()
	return true
}

// fail ends both sides for a failure of one.
func (l *relay) fail(err error, at *side) {
	switch {
	case l.refused.Load():
	case l.deaf.Load() && errors.Is(err, os.ErrDeadlineExceeded): // a client that has had its time
	default:
		l.flow.end(at.name)
		l.cut()
	}
}
