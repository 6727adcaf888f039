package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// streamBuffer is what is copied through: one is in use for each response in progress, and for each direction of a tunnel
// while bytes pass.
type streamBuffer [32 << 10]byte

var streamBuffers = sync.Pool{New: func() any { return new(streamBuffer) }}

func borrow() *streamBuffer { return streamBuffers.Get().(*streamBuffer) }

// giveBack may be called for none.
func (b *streamBuffer) giveBack() {
	if b != nil {
		streamBuffers.Put(b)
	}
}

// streamWriter passes a response on as it comes: every part is flushed at once, so that a stream is not held back, and the
// flow learns whether the client took the whole of it. goproxy copies through ReadFrom, except for event streams.
type streamWriter struct {
	http.ResponseWriter
	flow  *flow
	stall *stall
}

// Unwrap lets http.ResponseController find the connection.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the head, and does not wait for the body if that may be long in coming.
func (w *streamWriter) WriteHeader(status int) {
	if w.flow.broken {
		return
	}
	h := w.Header()
	if _, told := h["Content-Type"]; !told {
		h["Content-Type"] = nil // net/http would guess one
	}
	w.ResponseWriter.WriteHeader(status)
	if h.Get("Content-Length") == "" {
		w.Flush()
	}
}

// Flush sends what is held.
func (w *streamWriter) Flush() {
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
		w.flow.breakOff("client")
	}
}

func (w *streamWriter) Write(p []byte) (int, error) {
	if w.flow.broken {
		return 0, http.ErrAbortHandler
	}
	w.stall.begin()
	n, err := w.ResponseWriter.Write(p)
	w.stall.stop()
	w.flow.out.Add(int64(n))
	if err != nil {
		w.flow.breakOff("client")
	}
	return n, err
}

// ReadFrom copies the body of a response.
func (w *streamWriter) ReadFrom(body io.Reader) (int64, error) {
	buf := borrow()
	defer buf.giveBack()
	var total int64
	for {
		n, readErr := body.Read(buf[:])
		if n > 0 {
			written, err := w.Write(buf[:n])
			total += int64(written)
			if err != nil {
				return total, err
			}
		}
		if errors.Is(readErr, io.EOF) {
			return total, nil
		}
		if readErr != nil {
			return total, readErr
		}
		if n > 0 {
			w.Flush()
		}
	}
}
