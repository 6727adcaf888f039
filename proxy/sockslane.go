package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/proxy/socks"
)

// schemeSOCKS is the scheme of a tunnel that was asked for by SOCKS.
const schemeSOCKS = "socks5"

// ServeSOCKS accepts clients of SOCKS5 on l, which must be a TCP listener, until Shutdown. It may be called for several listeners.
func (s *Server) ServeSOCKS(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return errNotTCP
	}
	return s.accept(tcp, s.front.takeSOCKS, resetConn)
}

// takeSOCKS begins to serve a connection that was accepted by a listener for SOCKS.
func (f *front) takeSOCKS(c *net.TCPConn) {
	f.begin(c, entrance{socks: true, turnAway: func(c *net.TCPConn, _ limitName) { resetConn(c) }})
}

// serveSOCKS serves a client of SOCKS5: it shakes hands, and then what it asks for is decided, dialled and relayed like a CONNECT. The
// whole handshake has the time that a request head has.
func (l *lane) serveSOCKS() {
	if l.r == l.w && l.receive() != nil {
		l.close()
		return
	}
	_ = l.tcp.SetReadDeadline(after(l.front.limits.HeadTimeout))
	w := &laneWriter{lane: l, closing: true}
	if f := l.shakeHands(w); f != nil {
		w.words = socksReply
		l.server.tunnelTo(context.Background(), w, asker{connect: true}, f)
	}
	if !w.taken {
		l.close()
	}
}

// shakeHands finds out who the client is and what it wants. It returns nil if the client was answered instead, or has left.
func (l *lane) shakeHands(w *laneWriter) *flow {
	s := l.server
	user, ok := l.greet(w)
	if !ok {
		return nil
	}
	q, err := socks.ReadRequest(heldFirst{l})
	if err != nil {
		l.notUnderstood(err)
		return nil
	}
	switch {
	case !l.client.IsValid():
		s.quiet.stranger(l.from(), s.cfg.Clients)
		s.cfg.Observer.Guarded("client")
		l.say(socks.NotAllowed.Bytes())
		return nil
	case q.Command != socks.Connect:
		s.quiet.fault(l.client.Addr(), socksFault("socks-command", "a command other than CONNECT"))
		l.say(socks.CommandUnknown.Bytes())
		return nil
	case !l.seat.request(time.Now()):
		s.meets(limitRate, occasion{client: l.client.Addr()})
		l.say(socks.Failed.Bytes())
		return nil
	}
	name, err := host.Parse(q.Host)
	if err == nil && q.Port == 0 {
		err = errors.New("a request for port 0")
	}
	if err != nil {
		s.quiet.fault(l.client.Addr(), socksFault("bad-target", err.Error()))
		l.say(socks.Failed.Bytes())
		return nil
	}
	f := newTunnelFlow(l.client, schemeSOCKS, name, q.Port)
	f.facts.User = user
	return f
}

// greet has the client log in, if users are known. It is false if the client was answered instead, or has left.
func (l *lane) greet(w *laneWriter) (user string, ok bool) {
	s := l.server
	offered, err := socks.ReadGreeting(heldFirst{l})
	if err != nil {
		l.notUnderstood(err)
		return "", false
	}
	method := socks.NoLogin
	if s.cfg.Auth != nil && l.client.IsValid() { // who may not come in need not say who it is
		method = socks.Password
	}
	if !slices.Contains(offered, method) {
		if method == socks.Password {
			s.cfg.Observer.Guarded(guardAuth)
			s.quiet.askedToLogIn(newTunnelFlow(l.client, schemeSOCKS, host.Name{}, 0))
		} else {
			s.quiet.fault(l.from(), socksFault("socks-method", "the client offers only ways to log in that are not asked for"))
		}
		l.say(socks.NoneTaken.Bytes())
		return "", false
	}
	if !l.say(method.Bytes()) || method == socks.NoLogin {
		return "", method == socks.NoLogin
	}
	return l.logIn(w)
}

// logIn reads and checks name and password (RFC 1929), which stand before the request: a wrong one is recorded without a destination.
func (l *lane) logIn(w *laneWriter) (user string, ok bool) {
	user, password, err := socks.ReadLogin(heldFirst{l})
	if err != nil {
		l.notUnderstood(err)
		return "", false
	}
	if !readable(user) || !readable(password) {
		user = "" // as where they come by HTTP
	}
	f := newTunnelFlow(l.client, schemeSOCKS, host.Name{}, 0)
	f.url = ""
	w.words = func(int, failure) []byte { return socks.LoginReply(false) }
	if !l.server.checkLogin(context.Background(), w, asker{connect: true}, f, user, password) {
		return "", false
	}
	_ = l.tcp.SetReadDeadline(after(l.front.limits.HeadTimeout)) // the check may have taken its time
	return user, l.say(socks.LoginReply(true))
}

// notUnderstood ends a handshake that cannot be read, or was not complete in time.
func (l *lane) notUnderstood(err error) {
	bad, ok := errors.AsType[*socks.Error](err)
	switch {
	case ok:
		l.server.quiet.fault(l.from(), socksFault(bad.Code, bad.Detail))
		l.say(bad.Answer)
	case errors.Is(err, os.ErrDeadlineExceeded):
		l.server.quiet.fault(l.from(), socksFault("socks-timeout", "the handshake was not complete in time"))
	}
}

// say sends a message of the handshake.
func (l *lane) say(b []byte) bool {
	return len(b) > 0 && l.send(b) == nil
}

// from is the client's address, also of one that may not come in.
func (l *lane) from() netip.Addr {
	if l.remote.IsValid() {
		return l.remote.Addr()
	}
	client, _ := addresses(l.tcp)
	return client.Addr()
}

// socksFault is a fault without a status, which is none of HTTP.
func socksFault(code, detail string) *Fault { return &Fault{Code: code, Detail: detail} }

// socksReply is what a client of SOCKS is told for an answer of this status, and where a dial failed, for that.
func socksReply(status int, why failure) []byte {
	switch {
	case why.reason == "dns", why.reason == "timeout":
		return socks.HostUnreachable.Bytes()
	case why.reason == "unreachable":
		return socks.NetworkUnreachable.Bytes()
	case why.reason == "refused", why.reason == "reset":
		return socks.Refused.Bytes()
	case status == http.StatusForbidden, status == http.StatusUnavailableForLegalReasons:
		return socks.NotAllowed.Bytes()
	}
	return socks.Failed.Bytes()
}
