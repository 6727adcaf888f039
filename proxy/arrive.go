package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/proxy/hello"
)

// arrive finds out what a connection carries that a packet filter sent here. It tells whether that is HTTP, which the lane goes on to
// serve; anything else is refused, or out of its hands, when it returns.
func (l *lane) arrive() (isHTTP bool) {
	if l.r == l.w && !l.listen() {
		return false
	}
	if openingOf(l.buf[l.r:l.w]) == openingHTTP {
		return true
	}
	what, held, learn := l.identify(bytes.Clone(l.buf[l.r:l.w]))
	l.giveBack()
	if what == openingHTTP {
		l.buf, l.r, l.w = held[:cap(held)], 0, len(held)
		return true
	}
	l.admit(l.newArrival(learn), held)
	return false
}

// identify reads on behind what is held, which is not HTTP as far as that can be seen, until it tells what the client wants.
func (l *lane) identify(held []byte) (what opening, all []byte, learn func(*policy.Facts)) {
	rest := helloReader{Conn: l.tcp, limit: l.front.limits.HeadTimeout}
	defer rest.done() // before another has the connection
	switch what, held = hearOpening(&rest, held); what {
	case openingUnclear:
		return what, held, halfSaid
	case openingHTTP, openingOther:
		return what, held, notTLS
	case openingTLS:
	}
	info, held, err := hello.Read(&rest, held)
	return what, held, func(facts *policy.Facts) { note(facts, &info, err) }
}

// listen waits for the client's first bytes. If it says nothing the server may be the one that begins: then the client is connected to
// that, if the policy lets pass what is no TLS, and listen returns false. So it does if the client has left.
func (l *lane) listen() (spoke bool) {
	err := l.await(l.server.transparent.silence)
	if err == nil {
		return true
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || l.retired() {
		l.close()
		return false
	}
	f := l.newArrival(notTLS)
	if l.server.judge(f); f.ruling.Verdict == policy.Block {
		if err = l.await(l.front.limits.HeadTimeout); err == nil { // a slow client gets its time: nothing is kept waiting
			return true
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || l.retired() {
			l.close()
			return false
		}
	}
	l.admit(f, nil)
	return false
}

// admit takes a connection that is no HTTP: guards, gate, then refuse it, intercept it, or connect it to where the client dialled.
// Held is what the client has said, nothing if it has not said anything yet.
func (l *lane) admit(f *flow, held []byte) {
	s := l.server
	switch {
	case !l.client.IsValid():
		client, _ := addresses(l.tcp)
		s.quiet.stranger(client.Addr(), s.cfg.Clients)
		s.cfg.Observer.Guarded("client")
		l.deny(f)
		return
	case !l.seat.request(time.Now()):
		s.meets(limitRate, f.occasion())
		l.deny(f)
		return
	}
	s.judge(f)
	intercept := s.mustIntercept(f, &f.ruling)
	switch {
	case f.ruling.Verdict == policy.Block && !intercept:
		s.refused(f)
		l.deny(f)
	case !s.takePlace(f):
		s.record(f, f.last())
		l.deny(f)
	case intercept:
		l.intercept(f, held)
	default:
		l.connectTo(f, held)
	}
}

// deny tells the client, as far as its protocol has a word for it, and ends the connection.
func (l *lane) deny(f *flow) {
	denyHello(l.tcp, &f.facts)
	_ = l.tcp.Close()
}

// leave gives the connection, and the seat, to a flow.
func (l *lane) leave(f *flow) {
	l.left = true
	f.release, f.seat = l.release, l.seat
	_ = l.tcp.SetDeadline(time.Time{})
}

// intercept has a client intercepted that has said hello.
func (l *lane) intercept(f *flow, held []byte) {
	l.leave(f)
	l.server.open(f, nil)
	i := &interception{server: l.server, flow: f}
	i.take(l.tcp, held)
	go func() {
		defer i.survive()
		i.serve()
	}()
}

// connectTo dials for a client, and makes a tunnel of the two connections.
func (l *lane) connectTo(f *flow, held []byte) {
	s := l.server
	s.open(f, l.cutAsFunc)
	begun := false
	defer func() {
		if !begun {
			f.end("panic") // whoever came through has given another reason
			s.close(f)
		}
	}()
	var up *net.TCPConn
	err := l.whileWanted(f, func(ctx context.Context) (err error) {
		up, err = s.dial(ctx, f.to.name, f.to.port)
		return err
	})
	if err != nil {
		if f.endedBy() == "" {
			f.end(failureOf(err).reason)
			s.noteFailure(f, err)
		}
		s.record(f, f.last())
		l.reset()
		return
	}
	f.reached(remoteOf(up))
	l.leave(f)
	begun = true
	t := s.newTunnel(f, l.tcp, up)
	if len(held) == 0 {
		go t.runUnheard(l.dest)
		return
	}
	f.in.Store(int64(len(held)))
	t.carryOn(held)
}

// runUnheard begins a tunnel of a client that has said nothing, in a goroutine of its own. If it does speak first, TLS or HTTP or what
// may become it, the tunnel gives way to what is judged by that: waiting is no way around it.
func (t *tunnel) runUnheard(dest hostPort) {
	t.running.Store(2)
	t.startWatch()
	defer t.leave()
	go t.runDown() // the server is the one that speaks first
	what, held := openingOther, []byte(nil)
	switch err := t.toUp.receive(); {
	case err == nil:
		first := helloReader{Conn: t.down.TCPConn, limit: t.server.cfg.Hello}
		what, held = hearOpening(&first, t.toUp.rest)
		first.done()
	case !errors.Is(err, io.EOF): // one that only listens may have ended its side
		t.flow.end("client")
		t.cut()
		return
	}
	switch identified := what != openingOther; {
	case t.gone.Load():
		t.cut()
		return
	case identified && !t.spokenTo():
		t.beginAnew(dest, bytes.Clone(held))
		return
	case identified && t.flow.out.Load() == 0: // it has ended, and could still take what nobody has judged
		t.flow.end("upstream")
		t.cut()
		return
	}
	t.flow.in.Store(int64(len(held)))
	t.watch.touch()
	t.server.record(t.flow, audit.Start)
	t.running.Add(1)
	go t.runUp(held)
}

// spokenTo tells whether the client has heard something of the origin: words, or the end.
func (t *tunnel) spokenTo() bool { return t.flow.out.Load() > 0 || t.whole.Load() }

// beginAnew gives up the origin, to which nothing was sent, and has the connection identified by what the client has said.
func (t *tunnel) beginAnew(dest hostPort, held []byte) {
	t.refused.Store(true) // so that the end of the origin is not that of the client
	t.toUp.letGo()
	_ = t.up.SetLinger(0)
	_ = t.up.Close()
	t.then = func() {
		s, f := t.server, t.flow
		f.setCut(func() {}) // what is judged next is cut by itself
		l := newLane(s.front, t.down.TCPConn, f.client, f.seat)
		l.release, l.dest = f.release, dest
		l.buf, l.w = held, len(held)
		f.release = nil
		f.supersede()
		overtaken := t.gone.Load() || t.spokenTo() // meanwhile
		s.close(f)
		if overtaken || !s.front.enter(l) {
			l.reset()
			l.release()
			return
		}
		s.front.run(l)
	}
}
