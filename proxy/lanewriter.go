package proxy

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// laneWriter takes the gateway's own answers in the fast lane. They are pages, no others; it is an http.ResponseWriter so
// that the same handler serves CONNECT in both lanes.
type laneWriter struct {
	lane    *lane
	closing bool // the connection ends behind the answer

	words func(status int, why failure) []byte // an answer in the protocol of a client that does not speak HTTP; nil: it does
	why   failure                              // of the dial

	answered bool
	err      error
	taken    bool // by a tunnel
}

// page sends an answer.
func (w *laneWriter) page(p *page, by asker, t told) {
	l := w.lane
	w.answered = true
	if w.words != nil {
		w.err = l.send(w.words(p.status, w.why))
		return
	}
	w.closing = w.closing || p.closing || by.connect || l.retired()
	out := appendStatus(l.reply[:0], p.status)
	out = append(out, p.fields...)
	out = appendDate(out)
	if w.closing {
		out = append(out, "Connection: close\r\n"...)
	}
	out = p.appendBody(out, t, !by.head)
	l.reply = out
	w.err = l.send(out)
}

// appendBody appends the last field, which is the length of the body, and the body if it is sent.
func (p *page) appendBody(out []byte, t told, sent bool) []byte {
	out = append(out, "Content-Length: "...)
	if p.template != nil {
		body := p.executed(t)
		out = append(strconv.AppendInt(out, int64(len(body)), 10), "\r\n\r\n"...)
		if sent {
			out = append(out, body...)
		}
		return out
	}
	with := t.escaped(p.html)
	out = append(strconv.AppendInt(out, int64(filled(p.segments, with)), 10), "\r\n\r\n"...)
	if sent {
		out = fill(out, p.segments, with)
	}
	return out
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
		line, rest = cutLine(rest)
		switch {
		case isField(line, "Accept"):
			r.Header.Add("Accept", string(line[len("Accept:"):]))
		case isField(line, "Via"):
			r.Header.Add("Via", string(line[len("Via:"):]))
		case isField(line, "Proxy-Authorization"):
			r.Header.Set("Proxy-Authorization", string(bytes.Trim(line[len("Proxy-Authorization:"):], " \t")))
		}
	}
	return r
}
