package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a connection to a proxy may take, and how long a load waits for an answer after its time.
const patience = 10 * time.Second

// client is one of the clients of a load: its source address, and the connection that it keeps.
type client struct {
	dialer  net.Dialer
	conn    net.Conn
	reader  *headReader
	dials   int
	resumed int       // handshakes
	until   time.Time // by when everything must have been answered
}

// sources are the addresses of clients: several, so that ports do not get short.
var sources = func() (all []net.IP) {
	for last := range byte(16) {
		all = append(all, net.IPv4(127, 0, 0, 2+last))
	}
	return all
}()

// newClient makes the i-th client.
func newClient(i int, until time.Time) *client {
	return &client{
		reader: newHeadReader(nil), until: until,
		dialer: net.Dialer{
			Timeout: patience, KeepAlive: -1, LocalAddr: &net.TCPAddr{IP: sources[i%len(sources)]},
			Control: func(_, _ string, c syscall.RawConn) (err error) {
				// The port is chosen when the destination is known; without this, ports of closed connections are missing.
				return errors.Join(c.Control(func(fd uintptr) {
					err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
				}), err)
			},
		},
	}
}

// dial connects to a proxy, or keeps the connection that there is.
func (c *client) dial(proxy string) error {
	if c.conn != nil {
		return nil
	}
	conn, err := c.dialer.Dial("tcp", proxy)
	if err != nil {
		return err
	}
	c.conn, c.dials = conn, c.dials+1
	c.reader.reset(conn)
	return conn.SetDeadline(c.until)
}

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// ask sends a request and reads the answer, which must have the status and, if it is not below 0, the length.
func (c *client) ask(request []byte, status, length int) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	a, err := c.reader.answer()
	switch {
	case err != nil:
		return err
	case a.status != status:
		return fmt.Errorf("status %d, want %d", a.status, status)
	case length >= 0 && a.length != length:
		return fmt.Errorf("%d bytes, want %d", a.length, length)
	case a.closes:
		c.hangUp()
	}
	return nil
}

// connect opens a tunnel.
func (c *client) connect(proxy string, request []byte) error {
	c.hangUp()
	if err := c.dial(proxy); err != nil {
		return err
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	head, err := c.reader.head()
	if err != nil {
		return fmt.Errorf("no answer to CONNECT: %w", err)
	}
	a, _, err := parseHead(head)
	if err == nil && (a.status != 200 || c.reader.buffered() > 0) {
		err = fmt.Errorf("CONNECT: status %d, want 200, with nothing behind the head", a.status)
	}
	return err
}

// greet sends the hello of a tunnel to a blob, and waits for the answer.
func (c *client) greet(hello []byte) error {
	if _, err := c.conn.Write(hello); err != nil {
		return err
	}
	var got [1]byte
	_, err := c.reader.Read(got[:])
	return err
}

// want asks a blob for a number of bytes.
func (c *client) want(n int) error {
	_, err := c.conn.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) //nolint:gosec // never below 0
	return err
}

// take reads from a blob of which at bytes were read, and looks whether the bytes are those that belong there.
func (c *client) take(buf []byte, at int) (int, error) {
	n, err := c.conn.Read(buf)
	if got := buf[:n]; n > 0 && (got[0] != blobBytes[at%period] || got[len(got)-1] != blobBytes[(at+n-1)%period]) {
		return n, fmt.Errorf("wrong bytes at %d of a blob", at)
	}
	return n, err
}

// step is one operation of a client, or a part of one: it returns how much it was.
type step func(c *client) (done int64, err error)

// load runs steps on a number of clients at once, each beginning the next when the last is done.
type load struct {
	done    atomic.Int64
	dials   atomic.Int64
	resumed atomic.Int64
	over    atomic.Bool
	group   sync.WaitGroup
	once    sync.Once
	err     error
	fail    context.CancelFunc
}

// startLoad begins. The context that it returns ends when a step fails, or is not done by the given time. A client whose step
// returns errDone ends.
func startLoad(ctx context.Context, clients int, until time.Time, newStep func() step) (*load, context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{fail: cancel}
	for i := range clients {
		l.group.Go(func() {
			c := newClient(i, until)
			defer c.hangUp()
			for do := newStep(); !l.over.Load(); {
				dials, resumed := c.dials, c.resumed
				n, err := do(c)
				if errors.Is(err, errDone) {
					return
				}
				if err != nil {
					l.once.Do(func() { l.err = err })
					l.over.Store(true)
					l.fail()
					return
				}
				l.done.Add(n)
				l.dials.Add(int64(c.dials - dials))
				l.resumed.Add(int64(c.resumed - resumed))
			}
		})
	}
	return l, ctx
}

// stop waits until every client has ended its step, and tells what failed.
func (l *load) stop() error {
	l.over.Store(true)
	l.group.Wait()
	l.fail()
	return l.err
}

// finish waits until every client has nothing left to do, or the load's context ends, and tells what failed.
func (l *load) finish(ctx context.Context) error {
	unwatch := context.AfterFunc(ctx, func() { l.over.Store(true) })
	defer unwatch()
	l.group.Wait()
	interrupted := ctx.Err()
	if err := l.stop(); err != nil {
		return err
	}
	return interrupted
}
