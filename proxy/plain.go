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
	f := &flow{kind: "plain", started: time.Now(), client: client, url: r.URL.String(), facts: policy.Facts{
		Client: client.Addr(), Stage: policy.StageRequest, Method: r.Method, Scheme: "http", Authority: name, Port: port, Inner: name,
	}}
	f.facts.Path, _ = policy.CleanPath(r.URL.EscapedPath())
	s.judge(f)
	if !s.portAllowed(f) {
		s.wrongPort(w, r, f)
		return
	}
	if f.ruling.Verdict == policy.Block {
		s.refuse(w, r, f)
		return
	}
	s.count(f)
	// The target wins over Host: one value for the policy, the dial and the origin.
	r.URL.Host = host.Join(name, port)
	if port == 80 {
		r.URL.Host = strings.TrimSuffix(r.URL.Host, ":80")
	}
	r.Host = r.URL.Host
	r.URL.User = nil
	s.exchange(w, r, f)
}

// exchange sends an allowed request on and the response back.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request, f *flow) {
	ctx, cut := context.WithCancel(context.WithValue(r.Context(), flowKey{}, f))
	defer cut()
	if isWebSocket(r.Header) {
		f.kind = "websocket"
	}
	s.flows.add(f, cut)
	s.cfg.Observer.FlowOpened(f.kind)
	defer func() {
		f.end("complete")
		s.flows.remove(f)
		s.cfg.Observer.FlowClosed(f.kind, f.endedBy())
		s.record(f, f.last())
	}()
	r = r.WithContext(ctx)
	if r.Body != http.NoBody { // the transport must see that there is none: it sends and repeats such a request differently
		r.Body = &countedBody{ReadCloser: r.Body, flow: f}
	}
	if f.kind == "websocket" {
		s.webSocket(w, r, f)
		return
	}
	out := &streamWriter{ResponseWriter: w, flow: f, idle: s.cfg.Idle}
	s.plain.ServeHTTP(out, r)
	if out.broken {
		// The response broke off. Without this, net/http would end a chunked one as if it were whole.
		panic(http.ErrAbortHandler)
	}
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

// countedBody counts what the client uploads.
type countedBody struct {
	io.ReadCloser
	flow *flow
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.flow.in.Add(int64(n))
	return n, err
}

// hopByHop are the fields that go no further than the next hop, beside those that Connection names.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
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
}
