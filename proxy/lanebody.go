package proxy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"time"
)

// body sends the head of the answer, and passes the body on as it comes. It tells whether the whole of it went through; if
// not, the flow is broken.
func (l *lane) body(f *flow, a *laneAnswer, c *originConn) (whole bool) {
	rest := bodyReader{kind: a.body, left: a.length}
	head := l.reply
	for ended := false; ; head = l.reply[:0] {
		data, done, fault := rest.read(c, ended)
		if fault != nil {
			f.breakOff("upstream")
			return false
		}
		if err := l.pass(head, data, rest.trailers, a.rechunked(), done); err != nil {
			f.breakOff("client")
			return false
		}
		f.out.Add(int64(len(data)))
		if done {
			return true
		}
		if c.r == c.w {
			c.r, c.w = 0, 0
		}
		if rest.kind == bodyLength && rest.left >= spliceRest && l.inner == nil {
			var side string
			var err error
			if rest.left, side, err = l.spliceBody(f, c, rest.left); err != nil {
				f.breakOff(side)
				return false
			}
			if rest.left == 0 {
				return true
			}
		}
		err := l.hear(c, time.Now())
		ended = errors.Is(err, io.EOF) && a.body == bodyToEnd
		if err != nil && !ended {
			f.breakOff(brokenAt(err))
			return false
		}
	}
}

// spliceRest is how much of a body must be left for a pipe to be worth it.
const spliceRest = 256 << 10

// brokenAt tells at which side an answer broke off.
func brokenAt(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "idle"
	case errors.Is(err, errClientLeft):
		return "client"
	}
	return "upstream"
}

// rechunked tells that the body goes to the client in chunks of our own.
func (a *laneAnswer) rechunked() bool { return a.body == bodyChunked || a.body == bodyToEnd }

// pass writes what has come of an answer, in one go.
func (l *lane) pass(head, data, trailers []byte, chunked, done bool) error {
	var tail [32]byte
	end := tail[:0]
	if chunked {
		if len(data) > 0 {
			head = strconv.AppendInt(head, int64(len(data)), 16)
			head = append(head, "\r\n"...)
			end = append(end, "\r\n"...)
		}
		if done {
			end = append(end, "0\r\n"...)
			end = append(end, trailers...)
			end = append(end, "\r\n"...)
		}
	}
	l.reply = head // which may have grown
	if len(head)+len(data)+len(end) <= laneHead {
		l.reply = append(append(head, data...), end...)
		return l.send(l.reply)
	}
	if len(end) == 0 {
		return l.send(head, data)
	}
	return l.send(head, data, end)
}

// bodyReader finds the data of a body in what has come.
type bodyReader struct {
	kind bodyKind
	left int64 // with bodyLength

	chunks   chunks
	inTail   bool   // behind the last chunk
	held     []byte // of the trailers, while they are incomplete
	trailers []byte // lines that go to the client
}

// read takes the data out of what is held, and tells whether the body is complete with it.
func (b *bodyReader) read(c *originConn, ended bool) (data []byte, done bool, fault *Fault) {
	switch b.kind {
	case bodyLength:
		n := int(min(b.left, int64(c.w-c.r)))
		data = c.in[c.r : c.r+n]
		c.r += n
		b.left -= int64(n)
		return data, b.left == 0, nil
	case bodyToEnd:
		data = c.in[c.r:c.w]
		c.r = c.w
		return data, ended, nil
	case bodyChunked:
		return b.readChunks(c)
	case bodyNone:
	}
	return nil, true, nil
}

// readChunks moves the data of several chunks together, in place.
func (b *bodyReader) readChunks(c *originConn) (data []byte, done bool, fault *Fault) {
	data = c.in[c.r:c.r]
	for c.r < c.w && !b.inTail {
		n, part, last, fault := b.chunks.next(c.in[c.r:c.w])
		if fault != nil {
			return nil, false, fault
		}
		data = append(data, part...)
		c.r += n
		b.inTail = last
	}
	if b.inTail {
		done, fault = b.readTrailers(c)
	}
	return data, done, fault
}

// readTrailers takes what follows the last chunk, and keeps the lines that may come after a body.
func (b *bodyReader) readTrailers(c *originConn) (done bool, fault *Fault) {
	before := len(b.held)
	b.held = append(b.held, c.in[c.r:c.w]...)
	size := headEnd(b.held, before)
	switch {
	case bytes.HasPrefix(b.held, []byte("\r\n")):
		size = 2
	case bytes.HasPrefix(b.held, []byte("\n")):
		size = 1
	}
	if size > maxTrailers || size == 0 && len(b.held) > maxTrailers {
		return false, tooLarge("too-large", "the trailers are larger than this proxy takes")
	}
	if size == 0 {
		c.r = c.w
		return false, nil
	}
	c.r += size - before
	var line []byte
	for rest := b.held[:size]; ; {
		if line, rest = cutLine(rest); len(line) == 0 {
			return true, nil
		}
		name, _, fault := cutField(line)
		if fault != nil {
			return false, fault
		}
		if trailerAllowed(name) {
			b.trailers = append(append(b.trailers, line...), "\r\n"...)
		}
	}
}
