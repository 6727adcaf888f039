package proxy

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"time"
)

// laneWriter is the http.ResponseWriter of the gateway's own answers in the fast lane, which come whole and with their
// length: refusals.
type laneWriter struct {
	lane    *lane
	head    bool // the request is a HEAD: no body
	closing bool // the connection ends behind the answer

	header   http.Header
	status   int
	answered bool
	err      error
	taken    bool // by a tunnel
}

// Header implements http.ResponseWriter.
func (w *laneWriter) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter. The answer goes out with its body.
func (w *laneWriter) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter. It is called once, with the whole body, or not at all.
func (w *laneWriter) Write(body []byte) (int, error) {
	w.finish(body)
	return len(body), w.err
}

// finish sends the answer, if that was not done yet.
func (w *laneWriter) finish(body []byte) {
	if w.answered || w.status == 0 {
		return
	}
	w.answered = true
	w.closing = w.closing || w.header.Get("Connection") == "close" || w.lane.state.Load() == laneRetired
	w.header.Del("Connection")
	out := appendStatus(w.lane.reply[:0], w.status)
	for name, values := range w.header {
		for _, v := range values {
			out = append(append(append(append(out, name...), ": "...), v...), "\r\n"...)
		}
	}
	out = appendDate(out)
	if w.closing {
		out = append(out, "Connection: close\r\n"...)
	}
	out = append(out, "\r\n"...)
	if !w.head {
		out = append(out, body...)
	}
	w.lane.reply = out
	w.err = w.lane.send(out)
}

// goesOn completes the answer, and tells whether the connection can carry another.
func (w *laneWriter) goesOn() bool {
	w.finish(nil)
	return w.err == nil && !w.closing
}

// detach takes the connection out of the lane, with every byte that was read and not used.
func (w *laneWriter) detach() (*net.TCPConn, []byte, error) {
	l := w.lane
	if w.answered {
		return nil, nil, errors.New("the request was answered already")
	}
	w.taken = true
	early := append([]byte(nil), l.buf[l.r:l.w]...)
	return l.tcp, early, l.tcp.SetDeadline(time.Time{})
}

// connect takes a CONNECT: the connection becomes a tunnel, or ends with the refusal.
func (l *lane) connect() (goesOn bool) {
	r := l.readConnect()
	w := &laneWriter{lane: l, closing: true}
	l.server.connect(w, r, l.client)
	if !w.taken {
		w.finish(nil)
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
