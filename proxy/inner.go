package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// maxInnerStreams bounds the requests at a time on one HTTP/2 connection (RFC 9113, section 5.1.2).
const maxInnerStreams = 100

// innerKey is the context key of the interception that a request came through.
type innerKey struct{}

// newInner is the server for the requests inside intercepted connections that the fast lane leaves alone: HTTP/1.1 through the filter
// of the front, and HTTP/2, which net/http bounds by itself: heads, streams, resets, control frames.
//
// The loop is that of net/http, and goproxy handles each request like a plain one. goproxy's own loop takes what the server of
// net/http refuses (both framings at once, heads of any size), answers no Expect, and ends the process by a panic.
func (s *Server) newInner() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{ //nolint:gosec // the front has a deadline for heads, HTTP/2 one of its own
		Handler:                      http.HandlerFunc(s.serveInner),
		MaxHeaderBytes:               s.cfg.Head,
		DisableGeneralOptionsHandler: true,
		Protocols:                    protocols,
		IdleTimeout:                  s.cfg.Idle,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxInnerStreams,
			MaxReadFrameSize:     16 << 10, // the least that the protocol allows
			WriteByteTimeout:     s.cfg.Idle,
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			secure, ok := c.(*tls.Conn)
			if front, h1 := c.(*frontConn); h1 {
				ctx = context.WithValue(ctx, connKey{}, front)
				secure, ok = front.Conn.(*tls.Conn)
			}
			if !ok {
				return ctx
			}
			return context.WithValue(ctx, innerKey{}, secure.NetConn())
		},
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.insideOpen.Add(1)
			case http.StateClosed, http.StateHijacked:
				s.insideOpen.Done()
			case http.StateActive, http.StateIdle:
			}
		},
		ErrorLog: errorLog(s.cfg.Log.Named("inner")),
	}
}

// innerListener is where the server for the requests inside gets its connections from.
type innerListener struct{ s *Server }

func (l innerListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.s.insides:
		return c, nil
	case <-l.s.front.over:
		return nil, http.ErrServerClosed
	}
}

func (l innerListener) Close() error { return nil }

func (l innerListener) Addr() net.Addr { return &net.TCPAddr{} }

// serveInner takes one request from inside an intercepted connection.
func (s *Server) serveInner(w http.ResponseWriter, r *http.Request) {
	i := r.Context().Value(innerKey{}).(*interception)
	outer := i.flow
	if !outer.seat.request(time.Now()) {
		s.meets(limitRate, outer.occasion())
		s.refusals.limited(w, askerOf(r), limitRate)
		return
	}
	if fault := s.innerFault(r); fault != nil {
		s.quiet.fault(outer.client.Addr(), fault)
		s.refusals.fault(w, askerOf(r), fault)
		return
	}
	f, fault := i.innerFlow(r)
	if fault != nil {
		s.quiet.fault(outer.client.Addr(), fault)
		s.refusals.fault(w, askerOf(r), fault)
		return
	}
	s.judge(f)
	switch {
	case !i.agrees(f.facts.Inner, f.facts.Port) || r.URL.IsAbs() && r.URL.Scheme != "https":
		s.misdirected(w, askerOf(r), f)
	case f.ruling.Verdict == policy.Block:
		s.refuse(w, askerOf(r), f)
	default:
		r.URL.Scheme, r.URL.User = "https", nil
		r.URL.Host = secureAuthority(f.facts.Inner, f.facts.Port)
		r.Host = r.URL.Host
		defer i.note(f)()
		s.exchange(w, r, f)
	}
}

// innerFault finds what keeps a request from being understood in one way only. Over HTTP/1.1 the front has looked already.
func (s *Server) innerFault(r *http.Request) *Fault {
	if r.ProtoMajor < 2 {
		if fault, ok := FaultOf(r); ok {
			return fault
		}
	} else {
		fields := 0
		for _, values := range r.Header {
			fields += len(values)
		}
		if fields > s.cfg.Headers {
			return tooLarge("too-many-fields", "there are more header fields than this proxy takes")
		}
		if _, reserved := r.Header[faultField]; reserved {
			return badRequest("reserved-field", "a field uses a name that this proxy keeps for itself")
		}
		if said, two := r.Header["Host"]; two && (len(said) != 1 || !strings.EqualFold(said[0], r.Host)) {
			return badRequest("host", "the Host field differs from :authority") // RFC 9113, section 8.3.1
		}
	}
	if r.Method == http.MethodConnect {
		return badRequest("inner-connect", "a CONNECT inside of an intercepted connection")
	}
	return nil
}

// innerFlow is the flow of a request inside, of which everything is seen.
func (i *interception) innerFlow(r *http.Request) (*flow, *Fault) {
	name, port, err := host.ParseAuthority(r.Host)
	if err == nil && r.URL.User != nil {
		err = errors.New("the target holds a user")
	}
	if err != nil {
		return nil, badRequest("host", err.Error())
	}
	if port == 0 {
		port = i.flow.facts.Port
	}
	path, again, ok := policy.ReadPath(r.URL.EscapedPath())
	if !ok {
		return nil, errPath
	}
	u := *r.URL
	u.Scheme, u.Host, u.User = "https", secureAuthority(name, port), nil
	return i.newFlow(r.Method, name, port, path, again, u.String()), nil
}

// newFlow is the flow of a request inside: what is known of its connection, and what the request tells.
func (i *interception) newFlow(method string, name host.Name, port uint16, path, again, url string) *flow {
	outer := i.flow
	outer.mu.Lock()
	facts := outer.facts
	outer.mu.Unlock()
	facts.Stage, facts.Inner, facts.Port, facts.Method, facts.Scheme = policy.StageRequest, name, port, method, "https"
	facts.Path, facts.PathAgain = path, again
	return &flow{
		kind: "intercepted", started: time.Now(), client: outer.client, device: outer.device, url: url, to: outer.to, straight: outer.straight,
		facts: facts, seat: outer.seat, within: true,
	}
}

// agrees tells whether a request is for the very host that its connection was made to, by certificate, by CONNECT, and by port:
// a certificate is for one name, and nobody may go elsewhere under it.
func (i *interception) agrees(name host.Name, port uint16) bool {
	facts := &i.flow.facts
	return name == facts.SNI && (facts.Authority.IsAddr() || facts.Authority == facts.SNI) && port == facts.Port
}

// misdirected records and answers a request for another host than that of its connection (RFC 9110, section 15.5.20).
func (s *Server) misdirected(w http.ResponseWriter, by asker, f *flow) {
	const detail = "the request is for another host than its connection"
	s.noteGuard(f, "misdirected", detail)
	s.guarded(w, by, f, &refusal{
		Status: http.StatusMisdirectedRequest, Title: "Refused by this gateway", Detail: sentence(detail), Error: "http_request_denied", ID: "misdirected", Kind: "gateway",
	})
}

// secureAuthority writes a host and port as they stand in an https URL.
func secureAuthority(name host.Name, port uint16) string {
	if port == 443 {
		port = 0
	}
	return host.Join(name, port)
}
