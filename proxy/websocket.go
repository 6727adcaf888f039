package proxy

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/gracegate/gracegate/audit"
)

// asksForWebSocket tells whether a request is the opening of a WebSocket (RFC 6455, section 4.1). Everything else that names
// the field Upgrade goes on without it.
func asksForWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) && r.Body == http.NoBody && isWebSocket(r.Header)
}

// isWebSocket tells whether a head, of either side, changes to WebSocket and nothing else.
func isWebSocket(h http.Header) bool {
	return len(h["Upgrade"]) == 1 && strings.EqualFold(h.Get("Upgrade"), "websocket") && httpguts.HeaderValuesContainsToken(h["Connection"], "Upgrade")
}

// setWebSocket restores what stripHopByHop takes away.
func setWebSocket(h http.Header) {
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
}

// webSocket sends an upgrade request on, and carries what follows. goproxy's own relay leaves the client's connection open
// when the origin closes.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request, f *flow) {
	stripHopByHop(r.Header)
	setWebSocket(r.Header)
	resp, err := s.road.roundTrip(r)
	if err != nil {
		return // the flow is broken, and knows it
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		out := &streamWriter{ResponseWriter: w, flow: f}
		maps.Copy(w.Header(), resp.Header)
		out.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(out, resp.Body)
		return
	}
	setWebSocket(resp.Header)
	if r.URL.Scheme == "https" {
		s.innerWebSocket(w, f, resp)
		return
	}
	down, early, err := detach(w, f)
	if err != nil {
		f.end("client")
		return
	}
	up, said := takeOver(resp, f.origin)
	l := newRelay(f, s.cfg.Idle, down, up)
	l.watch.lifetime = s.cfg.Lifetime
	defer l.close()
	f.setCut(l.cut)
	l.startWatch()
	defer l.stopWatch()
	if _, err := down.Write(headOf(resp)); err != nil {
		f.end("client")
		l.cut()
		return
	}
	s.record(f, audit.Start)
	f.in.Add(int64(len(early)))
	var origin sync.WaitGroup
	origin.Go(func() { l.downward(said) })
	l.upward(early)
	origin.Wait()
}

// takeOver takes the connection to an origin that changed protocols from the transport, which after a 101 has let go of it,
// and what the transport has read of it already.
func takeOver(resp *http.Response, origin net.Conn) (up *net.TCPConn, said []byte) {
	up = origin.(*writeLimited).Conn.(*net.TCPConn)
	// The body gives what it has in store before it asks the connection, which has nothing to give by that time.
	_ = up.SetReadDeadline(time.Unix(1, 0))
	said, _ = io.ReadAll(resp.Body)
	_ = up.SetDeadline(time.Time{})
	return up, said
}

// headOf is the head of a 101, to be written by hand: net/http has given up the connection.
func headOf(resp *http.Response) []byte {
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", resp.StatusCode, http.StatusText(resp.StatusCode))
	_ = resp.Header.Write(&head) // to memory
	head.WriteString("\r\n")
	return head.Bytes()
}
