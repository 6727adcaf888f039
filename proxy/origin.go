package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// maxResponseHead bounds the head of a response, and of the interim responses before it.
const maxResponseHead = 256 << 10

// newTransport goes to origins by dial and in no other way. Idle bounds the wait for a response head, and for an
// origin to take each part of a request.
func newTransport(dial dialFunc, idle time.Duration) *http.Transport {
	return &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			name, port, err := host.ParseAuthority(addr)
			if err != nil {
				return nil, err
			}
			c, err := dial(ctx, name, port)
			if err != nil {
				return nil, err
			}
			return &writeLimited{Conn: c, limit: idle}, nil
		},
		DisableCompression:     true, // what the origin encoded stays as it is
		ForceAttemptHTTP2:      false,
		MaxIdleConns:           maxIdleOrigins,
		MaxIdleConnsPerHost:    maxIdlePerOrigin,
		IdleConnTimeout:        originIdleTimeout,
		ResponseHeaderTimeout:  idle,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHead,
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
}

// writeLimited fails a write that is not taken within the limit; 0 is no limit. Reads are bounded by who reads. It has no
// ReadFrom, through which a copy would get around the limit.
type writeLimited struct {
	net.Conn
	limit time.Duration
}

func (c *writeLimited) Write(p []byte) (int, error) {
	if c.limit > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(c.limit))
	}
	return c.Conn.Write(p)
}

// CloseWrite ends what is written.
func (c *writeLimited) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// originTripper sends one request to its origin: only what concerns the origin goes out, only what concerns the client comes
// back, and a failure becomes an answer that the client can read.
type originTripper struct {
	*transports
	straight *straightTransports
	idle     time.Duration
	name     string // of this gateway, in the Via of requests

	// failed is told of every request to which the origin gave no answer. It answers in its place, or fails if nobody would
	// read that.
	failed func(*http.Request, *flow, error) (*http.Response, error)
}

func newOriginTripper(s *Server) *originTripper {
	build := func(dial dialFunc) *transports {
		plain := newTransport(dial, s.cfg.Idle)
		return &transports{
			plain: plain, socket: plain,
			secure:    newSecureTransport(dial, s.cfg.Idle, s.cfg.Hello, s.cfg.Roots, true),
			secureOne: newSecureTransport(dial, s.cfg.Idle, s.cfg.Hello, s.cfg.Roots, false),
		}
	}
	t := &originTripper{
		transports: build(s.dial), straight: newStraightTransports(s.dial, build),
		idle: s.cfg.Idle, name: s.cfg.Dialer.pseudonym, failed: s.noAnswer,
	}
	if s.cfg.Dialer.parent != nil {
		t.plain = s.newParentTransport()
	}
	return t
}

// over is the transport for a request.
func (t *originTripper) over(r *http.Request, f *flow) *http.Transport {
	to := t.transports
	if f.straight {
		to = t.straight.to(f.to)
	}
	switch {
	case r.URL.Scheme != "https" && f.kind == "websocket":
		return to.socket
	case r.URL.Scheme != "https":
		return to.plain
	case f.kind == "websocket":
		return to.secureOne
	}
	return to.secure
}

// closeIdle closes the connections that wait for another request.
func (t *originTripper) closeIdle() {
	t.transports.closeIdle()
	t.straight.closeIdle()
}

func (t *originTripper) roundTrip(r *http.Request) (*http.Response, error) {
	f, _ := r.Context().Value(flowKey{}).(*flow)
	if f == nil {
		return nil, errors.New("a request reached the origin without having passed the gate")
	}
	r.Header.Add("Via", via(r.Proto, t.name))
	if _, told := r.Header["User-Agent"]; !told {
		r.Header["User-Agent"] = nil // the transport would add one
	}
	byParent := t.byParent(r, f)
	if byParent {
		r.Host = r.URL.Host // by which the parent goes
	}
	r.Close = false // that the client wants its connection closed says nothing about ours
	resp, err := t.over(r, f).RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			f.origin = info.Conn
			if _, told := r.Header["Te"]; told && !overHTTP2(info.Conn) {
				r.Header.Set("Connection", "TE") // which HTTP/2 does without, and refuses
			}
			f.reached(remoteOf(info.Conn))
		},
	})))
	if err == nil && (resp.StatusCode < 100 || resp.StatusCode > 599) {
		_ = resp.Body.Close()
		err = fmt.Errorf("the origin answered with the status %d, which is none", resp.StatusCode)
	}
	if err == nil && resp.StatusCode == http.StatusProxyAuthRequired && byParent {
		_ = resp.Body.Close()
		err = dialError(r.Context(), "", parentRefused(resp.StatusCode)) // it is not the client who must log in there
	}
	if err == nil {
		err = checkUpgrade(resp, f.kind == "websocket")
	}
	if err != nil {
		return t.failed(r, f, err)
	}
	f.status = resp.StatusCode
	stripResponse(resp)
	resp.Header.Add("Via", via(resp.Proto, ownName))
	if sunset := f.sunset(); sunset != "" {
		resp.Header.Set("Sunset", sunset)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols && resp.Body != http.NoBody {
		resp.Body = &originBody{ReadCloser: resp.Body, resp: resp, flow: f, idle: t.idle}
	}
	return resp, nil
}

func overHTTP2(c net.Conn) bool {
	secure, ok := c.(*tls.Conn)
	return ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// via is our entry of the field that tells the way of a message, with the version that we received it in.
func via(proto, name string) string { return strings.TrimPrefix(proto, "HTTP/") + " " + name }

// byParent tells whether a request went to the parent, which may have answered it by itself.
func (t *originTripper) byParent(r *http.Request, f *flow) bool {
	if over := t.over(r, f); over.Proxy != nil {
		way, err := over.Proxy(r)
		return way != nil && err == nil
	}
	return false
}

// checkUpgrade refuses a change of protocol that was not asked for: nobody could tell what the bytes after it mean.
func checkUpgrade(resp *http.Response, asked bool) error {
	if resp.StatusCode != http.StatusSwitchingProtocols || asked && isWebSocket(resp.Header) {
		return nil
	}
	_ = resp.Body.Close()
	return errors.New("the origin changed protocols unasked")
}

// stripResponse removes what concerns only the hop to the origin, and what would lead the client around the proxy.
func stripResponse(resp *http.Response) {
	stripHopByHop(resp.Header)
	resp.Header.Del("Alt-Svc")
	// Other proxies may speak in this field (RFC 9209), but not in our name.
	resp.Header["Proxy-Status"] = slices.DeleteFunc(resp.Header["Proxy-Status"], func(v string) bool { return strings.Contains(v, "gracegate") })
	if len(resp.Header["Proxy-Status"]) == 0 {
		delete(resp.Header, "Proxy-Status")
	}
	stripTrailers(resp)
}

// stripTrailers removes those that must not come after a body. They are announced with the head, or come unannounced with
// the end of the body.
func stripTrailers(resp *http.Response) {
	for name := range resp.Trailer {
		if !trailerAllowed([]byte(name)) {
			delete(resp.Trailer, name)
		}
	}
}

// originBody is the body of a response on its way. Whoever copies it, the flow learns whether the whole of it came.
type originBody struct {
	io.ReadCloser
	resp  *http.Response
	flow  *flow
	idle  time.Duration // longest wait for the next part; 0: no limit
	timer *time.Timer
}

func (b *originBody) Read(p []byte) (int, error) {
	b.arm()
	n, err := b.ReadCloser.Read(p)
	b.disarm()
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		stripTrailers(b.resp)
	default:
		b.flow.breakOff(sideOf(err))
	}
	return n, err
}

func (b *originBody) arm() {
	switch {
	case b.idle <= 0:
	case b.timer == nil:
		b.timer = time.AfterFunc(b.idle, func() {
			b.flow.end("idle")
			b.flow.cancel()
		})
	default:
		b.timer.Reset(b.idle)
	}
}

func (b *originBody) disarm() {
	if b.timer != nil {
		b.timer.Stop()
	}
}

// sideOf tells which side an exchange broke off at.
func sideOf(err error) string {
	var upload *uploadError
	if errors.Is(err, context.Canceled) || errors.As(err, &upload) {
		return "client"
	}
	return "upstream"
}
