package proxy

import (
	"net"
	"syscall"
)

// giveBackLane takes back what a lane borrowed, a small buffer; one that was made larger is left to the garbage collector.
func giveBackLane(b []byte) {
	if len(b) == smallRead {
		smallBuffers.Put((*smallBuffer)(b))
	}
}

// waiter receives into a buffer that it borrows for the attempt and gives back while there is nothing. It is made once for a
// connection, so that waiting costs no memory.
type waiter struct {
	raw syscall.RawConn // nil where there is none: then a buffer is held while it waits
	try func(fd uintptr) bool

	buf *smallBuffer
	n   int
	err error
}

func (w *waiter) init(raw syscall.RawConn) {
	w.raw, w.try = raw, w.attempt
}

// receive waits for the first bytes. The buffer, if there is one, is to be given back.
func (w *waiter) receive(c net.Conn) (buf []byte, n int, err error) {
	if w.raw == nil {
		b := smallBuffers.Get().(*smallBuffer)
		n, err = c.Read(b[:])
		return b[:], n, err
	}
	waitErr := w.raw.Read(w.try)
	if w.buf != nil {
		buf = w.buf[:]
	}
	n, err = w.n, w.err
	w.buf, w.n, w.err = nil, 0, nil
	if waitErr != nil {
		return buf, 0, waitErr
	}
	return buf, n, err
}
