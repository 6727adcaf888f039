package proxy

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// maxInterim bounds the interim answers (1xx) before the final one.
const maxInterim = 8

var (
	errClientLeft = errors.New("the client has gone")
	errCut        = errors.New("cut")
)

// exchange takes one request to its end, and tells whether the connection can carry another: head, facts, gate, then refuse
// it or send it on, as Server.forward and Server.serveInner do.
func (l *lane) exchange(q *laneRequest) (goesOn bool) {
	s := l.server
	w := &laneWriter{lane: l, closing: q.close}
	if !l.seat.request(time.Now()) {
		l.limited(w, q.asker())
		return w.goesOn()
	}
	f := l.newFlow(q)
	if l.inner == nil && !l.redirected() && !s.login(context.Background(), w, q.asker(), f, string(q.credentials)) {
		return w.goesOn()
	}
	s.judge(f)
	l.device = f.device
	if !l.admits(w, q, f) {
		return w.goesOn()
	}
	if l.inner != nil {
		defer l.inner.note(f)()
	}
	s.open(f, l.cutAsFunc)
	defer func() {
		f.end("panic") // whoever came through has given another reason
		if l.inner != nil {
			l.inner.sharesCut(f)
		}
		s.record(f, f.last())
		s.close(f)
	}()
	goesOn = l.forward(f, q)
	if f.broken {
		l.reset()
		return false
	}
	f.end("complete")
	return goesOn && !q.close
}

func (l *lane) newFlow(q *laneRequest) *flow {
	if l.inner != nil {
		return l.inner.newFlow(q.method, q.name, q.port, q.path, q.again, "https://"+secureAuthority(q.name, q.port)+q.target)
	}
	var f *flow
	if l.redirected() {
		url := "http://" + hostField(q.name, q.port) + q.target
		f = l.server.newRedirectedFlow(l.client, l.dest, q.method, q.name, q.path, q.again, url)
	} else {
		url := "http://" + l.last.text + q.target
		f = newPlainFlow(l.client, q.method, q.name, q.port, q.path, q.again, url)
	}
	f.device = l.device
	return f
}

// admits tells whether a flow that was judged may go on, and answers it if not. The guards of a request inside are those of
// its connection, which has passed them.
func (l *lane) admits(w *laneWriter, q *laneRequest, f *flow) bool {
	s := l.server
	switch {
	case l.inner == nil && !l.redirected() && !s.portAllowed(f):
		s.wrongPort(w, q.asker(), f)
		return false
	case f.ruling.Verdict == policy.Block:
		s.refuse(w, q.asker(), f)
		return false
	}
	return l.inner != nil || s.enter(w, q.asker(), f)
}

// forward sends a request on and its answer back. A connection that was idle may have ended just when it was taken; the
// request, which is safe to repeat, then goes out once more.
func (l *lane) forward(f *flow, q *laneRequest) (goesOn bool) {
	key := originKey{hostPort: hostPort{q.name, q.port}, secure: l.inner != nil}
	switch {
	case f.straight:
		key.at = f.to
	case q.parent:
		key = l.dialer().parentKey()
	}
	for {
		c := l.server.origins.take(key)
		if c == nil {
			var err error
			if c, err = l.dial(f, key); err != nil {
				return l.noAnswer(f, q, err)
			}
		}
		if !l.attach(f, c) {
			f.breakOff("client")
			return false
		}
		c.borrow()
		clean, err := l.attempt(f, q, c)
		stale := c.used && c.w == 0 && !errors.Is(err, errClientLeft) && !errors.Is(err, os.ErrDeadlineExceeded)
		l.detach(f, c, clean)
		switch {
		case err == nil:
			return !f.broken
		case !stale || f.endedBy() != "":
			return l.noAnswer(f, q, err)
		}
	}
}

// attach makes a connection the one that a cut ends, too. It is false if the cut came before.
func (l *lane) attach(f *flow, c *originConn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.origin, f.upstream = c, c.addr
	if f.over {
		_ = c.tcp.Close()
	}
	return !f.over
}

// detach is the end of an attempt. A clean connection is kept for others.
func (l *lane) detach(f *flow, c *originConn, clean bool) {
	f.mu.Lock()
	l.origin = nil
	clean = clean && !f.over
	f.mu.Unlock()
	c.giveBack()
	if clean {
		l.server.origins.keep(c)
	} else {
		_ = c.conn.Close()
	}
}

// dial connects to a host, as long as the client is there.
func (l *lane) dial(f *flow, key originKey) (*originConn, error) {
	var c *originConn
	err := l.whileWanted(f, func(ctx context.Context) (err error) {
		c, err = l.server.reach(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	_ = c.tcp.SetReadDeadline(time.Now().Add(lookEvery))
	return c, nil
}

// whileWanted does what takes a while, with a context that ends when the flow is cut or the client has left.
func (l *lane) whileWanted(f *flow, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f.mu.Lock()
	l.cancel = cancel
	over := f.over
	f.mu.Unlock()
	if over {
		return errCut
	}
	defer l.whileClientStays(cancel)()
	err := do(ctx)
	f.mu.Lock()
	l.cancel = nil
	f.mu.Unlock()
	return err
}

// whileClientStays calls gone once the client has left, until stop is called.
func (l *lane) whileClientStays(gone func()) (stop func()) {
	var (
		mu      sync.Mutex
		look    *time.Timer
		stopped bool
	)
	mu.Lock()
	defer mu.Unlock()
	look = time.AfterFunc(lookEvery, func() {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case stopped:
		case l.gone():
			gone()
		default:
			look.Reset(lookEvery)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		look.Stop()
	}
}

// attempt asks one connection. The error tells why there was no answer; once an answer has begun, the flow is broken instead.
func (l *lane) attempt(f *flow, q *laneRequest, c *originConn) (clean bool, err error) {
	if err := c.ask(l.out, l.front.limits.Idle); err != nil {
		return false, err
	}
	a := &l.answer
	size, err := l.readAnswer(a, q, c)
	if err != nil {
		return false, err
	}
	if a.status == http.StatusProxyAuthRequired && q.parent {
		return false, dialError(context.Background(), "", parentRefused(a.status)) // it is not the client who must log in there
	}
	f.status = a.status
	q.close = q.close || l.retired()
	l.reply = a.write(l.reply[:0], c.in[c.r:c.r+size], f.sunset(), q.close)
	c.r += size
	whole := l.body(f, a, c)
	return whole && a.reuse && c.r == c.w, nil
}

// readAnswer receives the head of the final answer, and returns its size.
func (l *lane) readAnswer(a *laneAnswer, q *laneRequest, c *originConn) (size int, err error) {
	seen, passed, began := 0, 0, time.Now()
	for interim := 0; ; {
		if size = headEnd(c.in[c.r:c.w], seen); size > 0 {
			if err := a.read(c.in[c.r:c.r+size], q.method); err != nil {
				return 0, err
			}
			if a.status >= 200 {
				return size, nil
			}
			if interim++; interim > maxInterim {
				return 0, errAnswerLarge
			}
			c.r, seen, passed = c.r+size, 0, passed+size
			continue
		}
		seen = c.w - c.r
		if passed+seen >= maxResponseHead {
			return 0, errAnswerLarge
		}
		c.makeRoom()
		if err := l.hear(c, began); err != nil {
			return 0, err
		}
	}
}

// hear receives more from the origin, until the idle limit after began, and as long as the client is there.
func (l *lane) hear(c *originConn, began time.Time) error {
	for {
		n, err := c.conn.Read(c.in[c.w:])
		if c.w += n; n > 0 {
			return nil
		}
		if err := l.stillWaits(c, began, err); err != nil {
			return err
		}
	}
}

// stillWaits is asked when the wait for an origin was interrupted. It returns nil if the wait goes on, and err if there was
// enough of it.
func (l *lane) stillWaits(c *originConn, began time.Time, err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if l.gone() {
		return errClientLeft
	}
	now, next := time.Now(), lookEvery
	if idle := l.front.limits.Idle; idle > 0 {
		next = min(next, idle-now.Sub(began))
	}
	if next <= 0 {
		return err
	}
	return c.tcp.SetReadDeadline(now.Add(next))
}

// noAnswer answers in place of an origin that gave none, as Server.noAnswer does. Nobody hears that if the client has left.
func (l *lane) noAnswer(f *flow, q *laneRequest, err error) (goesOn bool) {
	if errors.Is(err, errClientLeft) || f.endedBy() != "" || l.gone() {
		f.breakOff("client")
		return false
	}
	why := failureOf(err)
	f.status = why.status
	f.end(why.reason)
	l.server.noteFailure(f, err)
	w := &laneWriter{lane: l, closing: q.close}
	l.server.answers(why).write(w, q.asker(), l.server.about(f, why.refusal()))
	return w.goesOn()
}
