package proxy

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// newRedirectedFlow is the flow of a plain request on a connection that a packet filter took from dest on its way there. Named is the
// host that the request is for; zero if it tells none.
func (s *Server) newRedirectedFlow(client netip.AddrPort, dest hostPort, method string, named host.Name, path, again, url string) *flow {
	f := &flow{kind: "plain", started: time.Now(), client: client, url: url, facts: policy.Facts{
		Client: client.Addr(), Stage: policy.StageRequest, Method: method, Scheme: "http", Transparent: true,
		Authority: dest.name, Port: dest.port, Inner: named, Path: path, PathAgain: again,
	}}
	s.aim(f, named)
	return f
}

// forwardTransparent takes a plain request of a client that knows of no proxy. The guard on ports does not concern it: which
// ports are sent here, the packet filter says.
func (s *Server) forwardTransparent(w http.ResponseWriter, r *http.Request, client netip.AddrPort, dest hostPort) {
	named, port, fault := redirectedHost(r)
	if fault != nil {
		s.fault(w, r, fault)
		return
	}
	target := r.URL.EscapedPath()
	if target == "*" { // OPTIONS of the server as a whole
		target = "/"
	}
	path, again, ok := policy.ReadPath(target)
	if !ok {
		s.fault(w, r, errPath)
		return
	}
	// The host goes on as it was told, with its port, whatever the port that was dialled.
	r.Host = ""
	r.URL.Scheme, r.URL.User, r.URL.Host = "http", nil, hostField(dest.name, dest.port)
	if !named.IsZero() {
		r.Host = host.Join(named, port)
		r.URL.Host = hostField(named, dest.port)
	}
	f := s.newRedirectedFlow(client, dest, r.Method, named, path, again, r.URL.String())
	if s.looped(w, r, f) {
		return
	}
	s.judge(f)
	if f.ruling.Verdict == policy.Block {
		s.refuse(w, askerOf(r), f)
		return
	}
	if s.enter(w, askerOf(r), f) {
		s.exchange(w, r, f)
	}
}

// redirectedHost is the host that a request is for, with its port if it tells one. Where the target has a host, the front has
// made sure that it is that of the Host field. HTTP/1.0 may tell none.
func redirectedHost(r *http.Request) (named host.Name, port uint16, fault *Fault) {
	switch {
	case r.Method == http.MethodConnect:
		return named, 0, badRequest("transparent-connect", "a CONNECT on a connection that was not made to a proxy")
	case r.URL.IsAbs() && r.URL.Scheme != "http":
		return named, 0, badRequest("bad-target", "a request without TLS for something else than http")
	case r.Host == "":
		return named, 0, nil
	}
	named, port, err := host.ParseAuthority(r.Host)
	if err == nil && r.URL.User != nil {
		err = errors.New("the target holds a user")
	}
	if err != nil {
		return named, 0, badRequest("host", err.Error())
	}
	return named, port, nil
}
