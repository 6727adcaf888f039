package proxy

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"time"
)

// laneWriter takes the gateway's own answers in the fast lane. They are pages, no others; it is an http.ResponseWriter so
// that the same handler serves CONNECT in both lanes.
type laneWriter struct {
	lane    *lane
	closing bool // the connection ends behind the answer

	answered bool
	err      error
	taken    bool // by a tunnel
}

// page sends an answer.
func (w *laneWriter) page(p *page, by asker) {
	l := w.lane
	w.answered = true
	w.closing = w.closing || p.closing || by.connect || l.retired()
	out := appendStatus(l.reply[:0], p.status)
	out = append(out, p.fields...)
	out = appendDate(out)
	if w.closing {
		out = append(out, "Connection: close\r\n"...)
	}
	out = append(out, "\r\n"...)
	if !by.head {
		out = append(out, p.body...)
	}
	l.reply = out
	w.err = l.send(out)
}

// Header, WriteHeader and Write implement http.ResponseWriter for answers that are no pages. There are none.
func (*laneWriter) Header() http.Header { return make(http.Header) }

func (*laneWriter) WriteHeader(int) { panic("an answer that is no page in the fast lane") }

func (*laneWriter) Write([]byte) (int, error) { panic("an answer that is no page in the fast lane") }

// goesOn tells whether the connection can carry another request.
func (w *laneWriter) goesOn() bool { return w.err == nil && !w.closing }

// detach takes the connection out of the lane, with every byte that was read and not used.
func (w *laneWriter) detach(f *flow) (*net.TCPConn, []byte, error) {
	l := w.lane
	if w.answered {
		return nil, nil, errors.New("the request was answered already")
	}
	w.taken, l.left = true, true
	f.release, f.seat = l.release, l.seat
	early := append([]byte(nil), l.buf[l.r:l.w]...)
	return l.tcp, early, l.tcp.SetDeadline(time.Time{})
}

// connect takes a CONNECT: the connection becomes a tunnel, or ends with the refusal.
func (l *lane) connect() (goesOn bool) {
	r := l.readConnect()
	w := &laneWriter{lane: l, closing: true}
	if !l.seat.request(time.Now()) {
		l.limited(w, askerOf(r))
		l.close()
		return false
	}
	l.server.connect(w, r, l.client)
	if !w.taken {
		l.close()
	}
	return false
}

// readConnect takes the held head of a CONNECT, as far as its handler looks at it.
func (l *lane) readConnect() *http.Request {
	head := l.buf[l.r : l.r+l.head.lines.start]
	l.r += len(head)
	line, rest := cutLine(head)
	_, line, _ = bytes.Cut(line, []byte(" "))
	target, _, _ := bytes.Cut(line, []byte(" "))
	r := &http.Request{Method: http.MethodConnect, RequestURI: string(target), Header: make(http.Header), RemoteAddr: l.client.String()}
	for len(rest) > 0 {
		if line, rest = cutLine(rest); isField(line, "Accept") {
			r.Header.Add("Accept", string(line[len("Accept:"):]))
		}
	}
	return r
}
