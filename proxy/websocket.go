package proxy

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/gracegate/gracegate/audit"
)

// webSocket sends an upgrade request on. goproxy's own relay leaves the client's connection open when the origin closes.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request, f *flow) {
	r.Body = http.NoBody
	resp, err := s.road.roundTrip(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = resp.Body.Close() }()
	origin, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		s.copyResponse(w, resp, f)
		return
	}
	down, early, err := detach(w)
	if err != nil {
		f.end("client")
		return
	}
	stop := func() { // net/http no longer watches the client: whichever side ends, ends the other
		_ = down.Close()
		_ = origin.Close()
	}
	defer stop()
	s.flows.setCut(f, func() {
		_ = down.SetLinger(0)
		stop()
	})
	if err := writeHead(down, resp); err != nil {
		f.end("client")
		return
	}
	s.record(f, audit.Start)
	var both sync.WaitGroup
	both.Go(func() {
		defer stop()
		out := &countedWriter{w: origin, n: &f.in}
		if _, err := out.Write(early); err == nil {
			_, _ = io.Copy(out, down)
		}
		f.end("client")
	})
	both.Go(func() {
		defer stop()
		_, _ = io.Copy(&countedWriter{w: down, n: &f.out}, origin)
		f.end("upstream")
	})
	both.Wait()
}

// copyResponse passes on the response of an origin that did not change protocols.
func (s *Server) copyResponse(w http.ResponseWriter, resp *http.Response, f *flow) {
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	out := &streamWriter{ResponseWriter: w, flow: f, idle: s.cfg.Idle}
	if _, err := out.ReadFrom(resp.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// writeHead writes a 101 as the origin gave it.
func writeHead(w io.Writer, resp *http.Response) error {
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", resp.StatusCode, http.StatusText(resp.StatusCode))
	if err := resp.Header.Write(&head); err != nil {
		return err
	}
	head.WriteString("\r\n")
	_, err := w.Write(head.Bytes())
	return err
}

// countedWriter counts what passes.
type countedWriter struct {
	w io.Writer
	n *atomic.Int64
}

func (c *countedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	return n, err
}
