package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// forward takes a plain request in absolute form: head, facts, gate, then refuse it or send it on.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, client netip.AddrPort) {
	name, port, err := target(r)
	if err != nil {
		s.fault(w, r, badRequest("bad-target", err.Error()))
		return
	}
	path, again, ok := policy.ReadPath(r.URL.EscapedPath())
	if !ok {
		s.fault(w, r, errPath)
		return
	}
	f := newPlainFlow(client, r.Method, name, port, path, again, r.URL.String())
	if s.looped(w, r, f) || !s.login(r.Context(), w, askerOf(r), f, r.Header.Get("Proxy-Authorization")) {
		return
	}
	s.judge(f)
	if !s.portAllowed(f) {
		s.wrongPort(w, askerOf(r), f)
		return
	}
	if f.ruling.Verdict == policy.Block {
		s.refuse(w, askerOf(r), f)
		return
	}
	if !s.enter(w, askerOf(r), f) {
		return
	}
	// The target wins over Host: one value for the policy, the dial and the origin.
	r.URL.Host = hostField(name, port)
	r.Host = r.URL.Host
	r.URL.User = nil
	s.exchange(w, r, f)
}

// errPath is a path of which an origin may make what the policy blocks: it is not for the policy to guess.
var errPath = badRequest("bad-path", "the path cannot be read in one way only: it holds an encoded control character, or .. beside an empty segment or an encoded slash")

// newPlainFlow is the flow of a plain request, of which everything is seen.
func newPlainFlow(client netip.AddrPort, method string, name host.Name, port uint16, path, again, url string) *flow {
	return &flow{kind: "plain", started: time.Now(), client: client, url: url, to: hostPort{name, port}, facts: policy.Facts{
		Client: client.Addr(), Stage: policy.StageRequest, Method: method, Scheme: "http", Authority: name, Port: port, Inner: name, Path: path, PathAgain: again,
	}}
}

// exchange sends an allowed request on and the response back.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request, f *flow) {
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), flowKey{}, f))
	defer cancel()
	f.cancel = cancel
	r = r.WithContext(ctx) // before the flow is open: a cut looks at r
	if asksForWebSocket(r) {
		f.kind = "websocket"
	}
	s.open(f, func() {
		abandon(w, r)
		cancel()
	})
	defer func() {
		f.end("panic") // whoever came through has given another reason
		s.record(f, f.last())
		s.close(f)
	}()
	if r.ContentLength == 0 { // over HTTP/2 net/http gives even these a body, of which a busy machine would make an empty chunked one
		r.Body = http.NoBody
	}
	if r.Body != http.NoBody { // the transport must see that there is none: it sends and repeats such a request differently
		body := &upload{ReadCloser: r.Body, flow: f, front: frontOfRequest(r)}
		if r.ProtoMajor == 2 {
			body.stall = s.newStall(f)
			defer body.stall.stop()
		}
		r.Body = body
	}
	if f.kind == "websocket" {
		s.webSocket(w, r, f)
	} else {
		out := &streamWriter{ResponseWriter: w, flow: f}
		if r.ProtoMajor == 2 {
			out.stall = s.newStall(f)
			defer out.stall.stop()
		}
		s.plain.ServeHTTP(out, r)
	}
	if f.broken {
		hangUp(r)
		panic(http.ErrAbortHandler)
	}
	f.end("complete")
}

// hangUp has the client's connection end with a reset, so that nobody takes what came for the whole. Where a body ends with
// the connection, nothing else can tell.
//
// A request over HTTP/2 is one stream of many: http.ErrAbortHandler resets that alone.
func hangUp(r *http.Request) {
	if c := frontOfRequest(r); c != nil {
		_ = c.tcp.SetLinger(0)
	}
}

// abandon ends what the client gets at once, whatever is being written or read.
func abandon(w http.ResponseWriter, r *http.Request) {
	if c := frontOfRequest(r); c != nil {
		hangUp(r)
		_ = c.tcp.Close() // or a write that the client does not take would go on
		return
	}
	stream, past := http.NewResponseController(w), time.Unix(1, 0)
	_ = stream.SetReadDeadline(past)
	_ = stream.SetWriteDeadline(past)
}

// frontOfRequest is the connection that a request came on, and nil for HTTP/2, where it came on a stream of one.
func frontOfRequest(r *http.Request) *frontConn {
	c, _ := r.Context().Value(connKey{}).(*frontConn)
	return c
}

// stall ends a flow of which nothing moves for too long where no connection has deadlines for that: a stream of HTTP/2, whose client
// takes or gives nothing, and a WebSocket inside of TLS. Nil has no end.
type stall struct {
	timer *time.Timer
	limit time.Duration
}

func (s *Server) newStall(f *flow) *stall {
	if s.cfg.Idle <= 0 {
		return nil
	}
	p := &stall{limit: s.cfg.Idle, timer: time.AfterFunc(s.cfg.Idle, func() { f.cutFor("idle") })}
	p.timer.Stop()
	return p
}

func (p *stall) begin() {
	if p != nil {
		p.timer.Reset(p.limit)
	}
}

func (p *stall) stop() {
	if p != nil {
		p.timer.Stop()
	}
}

// noAnswer notes why the origin of a request gave no answer, and answers in its place. If the client went away, or broke its
// own body off, it returns the error, and the connection ends without an answer.
func (s *Server) noAnswer(r *http.Request, f *flow, err error) (*http.Response, error) {
	fault := f.fault.Load()
	switch {
	case fault != nil:
		f.status = fault.Status
		f.end("client")
		s.noteFault(r, fault)
		return s.refusals.response(r, fault.refusal()), nil
	case r.Context().Err() != nil, sideOf(err) == "client":
		f.breakOff("client")
		return nil, err
	}
	why := failureOf(err)
	f.status = why.status
	f.end(why.reason)
	s.noteFailure(f, err)
	return s.answers(why).response(r, s.about(f, why.refusal())), nil
}

// target reads the authority of an absolute-form request target, and nothing else of it, strictly.
func target(r *http.Request) (host.Name, uint16, error) {
	scheme, rest, ok := strings.Cut(r.RequestURI, "://")
	if !ok || !strings.EqualFold(scheme, "http") {
		return host.Name{}, 0, errors.New("a plain request has an http:// target; anything else goes through CONNECT")
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	name, port, err := host.ParseAuthority(rest)
	if err != nil {
		return host.Name{}, 0, err
	}
	if port == 0 {
		port = 80
	}
	return name, port, nil
}

// upload is the body of a request on its way.
type upload struct {
	io.ReadCloser
	flow  *flow
	front *frontConn // nil over HTTP/2

	stall *stall
}

func (b *upload) Read(p []byte) (int, error) {
	b.stall.begin()
	n, err := b.ReadCloser.Read(p)
	b.stall.stop()
	b.flow.in.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = &uploadError{err}
		// Not from the error: net/http makes another one of it where it reads trailers, and ends the request's context with
		// either, which the transport may notice first.
		if b.front != nil {
			if fault, ok := b.front.end.(*Fault); ok { //nolint:errorlint // the front does not wrap it
				b.flow.fault.Store(fault)
			}
		}
	}
	return n, err
}

// uploadError tells that it was the client who broke off a request.
type uploadError struct{ err error }

func (e *uploadError) Error() string { return "upload: " + e.err.Error() }
func (e *uploadError) Unwrap() error { return e.err }

// hopByHop are the fields that go no further than the next hop, beside those that Connection names.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
	"Proxy", // no field of HTTP, but origins that run CGI take it for their own proxy
}

// stripRequest is stripHopByHop for a request. That the client understands trailers goes on, since those of an answer do (RFC 9110,
// section 10.1.4), unless it speaks HTTP/1.0.
func stripRequest(r *http.Request) {
	trailers := r.ProtoAtLeast(1, 1) && httpguts.HeaderValuesContainsToken(r.Header["Te"], "trailers")
	stripHopByHop(r.Header)
	if trailers {
		r.Header["Te"] = []string{"trailers"}
	}
}

// stripHopByHop removes what concerns this hop alone. What Connection names is removed too, except the fields on which
// framing and routing rest: a client must not make the proxy forget those.
func stripHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for field := range strings.SplitSeq(line, ",") {
			switch field = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(field)); field {
			case "", "Host", "Content-Length", "Transfer-Encoding", "Cache-Control":
			default:
				h.Del(field)
			}
		}
	}
	for _, field := range hopByHop {
		delete(h, field)
	}
	for field := range h {
		if strings.HasPrefix(field, "Proxy-") && field != "Proxy-Status" {
			delete(h, field)
		}
	}
}
