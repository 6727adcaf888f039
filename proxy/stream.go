package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// streamBuffers holds what responses are copied through, one in use for each response in progress.
var streamBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// streamWriter passes a response on as it comes: every part is flushed at once, so that a stream is not held back, and it
// knows whether the whole of it went through. goproxy copies through ReadFrom.
type streamWriter struct {
	http.ResponseWriter
	flow   *flow
	idle   time.Duration // longest wait for the client to take a part; 0: no limit
	broken bool          // the response did not go through whole
}

// Unwrap lets http.ResponseController find the connection.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what is held.
func (w *streamWriter) Flush() {
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
		w.fail("client")
	}
}

func (w *streamWriter) fail(side string) {
	w.broken = true
	w.flow.end(side)
}

func (w *streamWriter) Write(p []byte) (int, error) {
	w.armDeadline()
	n, err := w.ResponseWriter.Write(p)
	w.flow.out.Add(int64(n))
	if err != nil {
		w.fail("client")
	}
	return n, err
}

// ReadFrom copies the body of a response.
func (w *streamWriter) ReadFrom(body io.Reader) (int64, error) {
	buf := streamBuffers.Get().(*[32 << 10]byte)
	defer streamBuffers.Put(buf)
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
			reason := "upstream"
			if errors.Is(readErr, os.ErrDeadlineExceeded) {
				reason = "idle"
			}
			w.fail(reason)
			return total, readErr
		}
		if n > 0 {
			w.Flush()
		}
	}
}

func (w *streamWriter) armDeadline() {
	if w.idle > 0 {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.idle))
	}
}
