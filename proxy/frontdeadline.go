package proxy

import (
	"net"
	"sync"
	"time"
)

// frontDeadlines brings together the read deadlines that the front wants and those that net/http sets, for example in the
// past to wake up a Read. The earlier one counts.
type frontDeadlines struct {
	headBy time.Time // when the head or the trailers that have begun must be complete; used by Read alone

	mu    sync.Mutex
	outer time.Time // set from outside
	own   time.Time // for what is awaited now
}

// set changes one of the two, and tells the connection.
func (d *frontDeadlines) set(c net.Conn, which *time.Time, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	*which = t
	if d.ownFirst() {
		return c.SetReadDeadline(d.own)
	}
	return c.SetReadDeadline(d.outer)
}

// ownFirst reports whether the front's deadline is the one that counts. The lock is held.
func (d *frontDeadlines) ownFirst() bool {
	return !d.own.IsZero() && (d.outer.IsZero() || d.own.Before(d.outer))
}

// SetReadDeadline sets a deadline beside the front's own.
func (c *frontConn) SetReadDeadline(t time.Time) error {
	return c.deadlines.set(c.Conn, &c.deadlines.outer, t)
}

// SetDeadline sets a deadline for reading, beside the front's own, and for writing.
func (c *frontConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// await sets the deadline for what is awaited now. Asked is how many bytes the reader wants.
func (c *frontConn) await(asked int) error {
	d := &c.deadlines
	var by time.Time
	switch {
	case c.framing.part == inTunnel:
	case c.betweenRequests() && asked == 1:
		// The background read of net/http, which asks for a single byte: a request is being answered and the client is only
		// watched. An error would cancel that request.
	case c.framing.part == inTrailer, c.framing.part == inHead && !c.betweenRequests():
		if d.headBy.IsZero() {
			d.headBy = after(c.limits.HeadTimeout)
		}
		by = d.headBy
	default:
		by = after(c.limits.Idle)
	}
	return d.set(c.Conn, &d.own, by)
}

// betweenRequests reports whether no byte of the next request is there.
func (c *frontConn) betweenRequests() bool { return c.framing.part == inHead && c.w == c.r }

// expired says what it means that the time for err was up. An error stays for a deadline that was set from outside, and for
// a connection that was merely idle. A slow head is refused like any other fault, and the error is then nil.
func (c *frontConn) expired(err error) error {
	c.deadlines.mu.Lock()
	own := c.deadlines.ownFirst()
	c.deadlines.mu.Unlock()
	switch {
	case !own, c.betweenRequests():
		return err
	case c.framing.part == inHead:
		c.w = c.r
		c.refuse(timedOut("head-timeout", "the request head was not complete in time"))
		return nil
	default:
		c.refuse(timedOut("body-timeout", "the request body did not come in time"))
		return c.end
	}
}

// after returns the end of a limit that begins now; 0 is no limit.
func after(limit time.Duration) time.Time {
	if limit <= 0 {
		return time.Time{}
	}
	return time.Now().Add(limit)
}
