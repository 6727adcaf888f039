package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// connect takes a CONNECT: gate on the authority, dial, 200, and on to the tunnel, which asks the gate again once the client
// has said hello. Everything up to the 200 is answered as HTTP.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, client netip.AddrPort) {
	name, port, err := host.ParseAuthority(r.RequestURI)
	if err == nil && port == 0 {
		err = errors.New("a CONNECT target needs a port, as in " + name.String() + ":443")
	}
	if err != nil {
		s.fault(w, r, badRequest("bad-target", err.Error()))
		return
	}
	f := newTunnelFlow(client, "https", name, port)
	if s.looped(w, r, f) {
		return
	}
	if s.login(r.Context(), w, askerOf(r), f, r.Header.Get("Proxy-Authorization")) {
		s.tunnelTo(r.Context(), w, askerOf(r), f)
	}
}

// newTunnelFlow is the flow of a client that asks for a tunnel, by CONNECT or by SOCKS.
func newTunnelFlow(client netip.AddrPort, scheme string, name host.Name, port uint16) *flow {
	return &flow{kind: "tunnel", started: time.Now(), client: client, url: scheme + "://" + host.Join(name, port), to: hostPort{name, port}, facts: policy.Facts{
		Client: client.Addr(), Stage: policy.StageAuthority, Method: http.MethodConnect, Scheme: scheme, Authority: name, Port: port,
	}}
}

// tunnelTo takes a client to where its tunnel is to lead, or tells it why not.
func (s *Server) tunnelTo(ctx context.Context, w http.ResponseWriter, by asker, f *flow) {
	s.judge(f)
	if !s.portAllowed(f) {
		s.wrongPort(w, by, f)
		return
	}
	intercept := s.mustIntercept(f, &f.ruling)
	if f.ruling.Verdict == policy.Block && !intercept {
		s.refuse(w, by, f)
		return
	}
	if !s.enter(w, by, f) {
		return
	}
	if intercept {
		s.intercept(w, f)
		return
	}
	s.dialled(ctx, w, by, f)
}

// dialled makes a tunnel of what may go on.
func (s *Server) dialled(ctx context.Context, w http.ResponseWriter, by asker, f *flow) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if lw, ok := w.(*laneWriter); ok {
		defer lw.lane.whileClientStays(cancel)()
	}
	s.open(f, cancel)
	begun := false
	defer func() {
		if !begun {
			f.end("panic") // whoever came through has given another reason
			s.close(f)
		}
	}()
	up, err := s.dial(ctx, f.to.name, f.to.port)
	if err != nil {
		if f.endedBy() == "cut" {
			s.refuse(w, by, f)
		} else {
			s.unreachable(w, by, f, err)
		}
		return
	}
	f.reached(remoteOf(up))
	down, early, err := detach(w, f)
	if err != nil {
		_ = up.Close()
		f.end("client")
		s.record(f, audit.End)
		s.cfg.Log.Debug("connection lost before its tunnel began", zap.Error(err))
		return
	}
	t := s.newTunnel(f, down, up)
	t.early = early
	begun = true
	go t.run()
}

// enter counts a flow in at its destination, or answers that this has as many as it may have.
func (s *Server) enter(w http.ResponseWriter, by asker, f *flow) bool {
	if s.takePlace(f) {
		return true
	}
	f.status = limited[limitDestination].status
	a := s.about(f, limitDestination.refusal())
	s.record(f, f.last())
	s.refusals.until(limitDestination).write(w, by, a)
	return false
}

// takePlace counts a flow in at its destination. If this has as many as it may have, that is noted, and the flow ends.
func (s *Server) takePlace(f *flow) bool {
	if f.entered = s.admission.open(f.to); f.entered {
		return true
	}
	s.meets(limitDestination, f.occasion())
	f.guard = "limit"
	f.end("guarded")
	return false
}

// refuse records and then answers a flow that the policy blocks.
func (s *Server) refuse(w http.ResponseWriter, by asker, f *flow) {
	f.status = s.refusals.status(&f.ruling)
	s.refer(f)
	s.refused(f)
	s.refusals.policy(w, by, f)
}

// refused notes, before it is told to the client, that the policy blocks a flow.
func (s *Server) refused(f *flow) {
	f.end("refused")
	s.count(f)
	s.record(f, audit.Refused)
	s.quiet.refused(f)
}

// wrongPort records and answers a flow that the port guard refuses, before any dial.
func (s *Server) wrongPort(w http.ResponseWriter, by asker, f *flow) {
	detail := fmt.Sprintf("port %d is not opened for this proxy", f.facts.Port)
	s.noteGuard(f, "port", fmt.Sprintf("%s; upstream.ports: [%d] would open it", detail, f.facts.Port))
	s.guarded(w, by, f, guardRefusal("port", detail))
}

// guarded records and answers a flow that a guard refuses, once the guard is noted.
func (s *Server) guarded(w http.ResponseWriter, by asker, f *flow, a *refusal) {
	f.status = a.Status
	f.end("guarded")
	a = s.about(f, a)
	s.record(f, f.last())
	s.refusals.write(w, by, a)
}

// unreachable records and answers a client whose target could not be dialled.
func (s *Server) unreachable(w http.ResponseWriter, by asker, f *flow, err error) {
	why := failureOf(err)
	if lw, ok := w.(*laneWriter); ok {
		lw.why = why
	}
	f.status = why.status
	f.end(why.reason)
	s.noteFailure(f, err)
	s.count(f)
	a := s.about(f, why.refusal())
	s.record(f, f.last())
	s.answers(why).write(w, by, a)
}

// answers is how a failure is answered: want of descriptors is a limit, which asks for a pause of its own.
func (s *Server) answers(why failure) *refusals {
	if why.reason == string(limitDescriptors) {
		return s.refusals.until(limitDescriptors)
	}
	return s.refusals
}

// noteFailure counts and logs why an origin could not be reached.
func (s *Server) noteFailure(f *flow, err error) {
	if guard, ok := errors.AsType[*GuardError](err); ok {
		s.noteGuard(f, guard.Guard, guard.Detail())
		return
	}
	s.cfg.Observer.DialFailed(failureOf(err).reason)
	if descriptorsExhausted(err) {
		s.meets(limitDescriptors, f.occasion())
	}
	if parent, ok := errors.AsType[*parentError](err); ok {
		s.quiet.parent(f, parent)
	}
	s.cfg.Log.Debug("origin unreachable", zap.String("host", f.facts.Authority.String()), zap.Error(err))
}

// noteGuard counts and logs that a guard refused a destination. The detail is for the operator: it may hold addresses, and
// tells what would open the way.
func (s *Server) noteGuard(f *flow, guard, detail string) {
	f.guard = guard
	s.cfg.Observer.Guarded(guard)
	s.quiet.destination(f, guard, detail)
}

// portAllowed is the port guard: 80, 443, the ports of the policy's endpoints, and those that the operator opened.
func (s *Server) portAllowed(f *flow) bool {
	return f.ruling.policy.PortAllowed(f.facts.Port) || s.cfg.Ports(f.facts.Port)
}

// detach takes the client's connection from the fast lane or from net/http, with every byte that was read and not yet used.
func detach(w http.ResponseWriter, f *flow) (*net.TCPConn, []byte, error) {
	if lw, ok := w.(*laneWriter); ok {
		return lw.detach(f)
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	front, ok := conn.(*frontConn)
	if !ok {
		_ = conn.Close()
		return nil, nil, errors.New("the connection did not come through the front")
	}
	early := buffered(rw.Reader)
	tcp, held := front.Detach()
	f.release, f.seat = front.release, front.seat
	if err := tcp.SetDeadline(time.Time{}); err != nil {
		_ = tcp.Close()
		return nil, nil, err
	}
	return tcp, append(early, held...), nil
}

func buffered(r *bufio.Reader) []byte {
	held, err := r.Peek(r.Buffered())
	if err != nil {
		return nil
	}
	return append([]byte(nil), held...)
}

func remoteOf(c net.Conn) netip.AddrPort {
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
