package proxy

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Authenticator knows the users of the proxy.
type Authenticator interface {
	// Check tells whether a user has this password. It may take its time, until ctx ends. If it is not ok and wait is above 0, that
	// was not looked at: the client may ask again after that time.
	Check(ctx context.Context, client netip.Addr, user, password string) (ok bool, wait time.Duration)

	// Knows tells whether there is such a user.
	Knows(user string) bool
}

const (
	guardAuth = "auth"

	// challenge is how a client is told to log in (RFC 7617).
	challenge = `Basic realm="gracegate", charset="UTF-8"`

	// maxCredentials bounds what is looked at of a Proxy-Authorization field.
	maxCredentials = 2 << 10
)

// login has the client log in, if there is anybody who knows users, and notes the user of the flow. It is false if the client was answered
// instead. Field is the Proxy-Authorization of the request, which is one at most and goes no further than here.
func (s *Server) login(ctx context.Context, w http.ResponseWriter, by asker, f *flow, field string) bool {
	if s.cfg.Auth == nil {
		return true
	}
	user, password, sent := basicCredentials(field)
	if !sent {
		// Nobody is refused yet: programs ask first, and log in when they are told to.
		s.cfg.Observer.Guarded(guardAuth)
		s.quiet.askedToLogIn(f)
		s.refusals.write(w, by, loginRefusal("This proxy wants to know who asks. Log in with your user name and password."))
		return false
	}
	return s.checkLogin(ctx, w, by, f, user, password)
}

// checkLogin checks a name and a password, and notes the user of the flow. It is false if the client was answered instead. An empty name
// is one that could not be read.
func (s *Server) checkLogin(ctx context.Context, w http.ResponseWriter, by asker, f *flow, user, password string) bool {
	if user != "" {
		if lw, ok := w.(*laneWriter); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			defer cancel()
			defer lw.lane.whileClientStays(cancel)()
		}
		ok, wait := s.cfg.Auth.Check(ctx, f.client.Addr(), user, password)
		switch {
		case ok:
			f.facts.User = user
			return true
		case wait > 0:
			s.meets(limitLogin, f.occasion())
			s.refusals.limited(w, by, limitLogin)
			return false
		}
	}
	s.wrongLogin(w, by, f, user)
	return false
}

// wrongLogin records and answers a request with a wrong name or password.
func (s *Server) wrongLogin(w http.ResponseWriter, by asker, f *flow, user string) {
	s.judge(f)
	f.guard = guardAuth
	s.cfg.Observer.Guarded(guardAuth)
	if !s.cfg.Auth.Knows(user) {
		user = "" // it may be a password, in the wrong place
	}
	s.quiet.wrongLogin(f, user)
	s.guarded(w, by, f, loginRefusal("The user name or the password for this proxy is wrong."))
}

func loginRefusal(detail string) *refusal {
	return &refusal{
		Status: http.StatusProxyAuthRequired, Title: "Log-in needed", Detail: detail, Error: "http_request_denied", ID: guardAuth, Kind: "guard",
	}
}

// basicCredentials reads a Proxy-Authorization field. It was not sent if it is absent or of another scheme than Basic (RFC 7617). The user
// is empty if the field cannot be read: neither name nor password may have control characters, and both are UTF-8, as the challenge says.
func basicCredentials(field string) (user, password string, sent bool) {
	scheme, encoded, _ := strings.Cut(field, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	encoded = strings.TrimLeft(encoded, " ")
	if len(encoded) > maxCredentials {
		return "", "", true
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", true
	}
	user, password, found := strings.Cut(string(text), ":")
	if !found || !readable(user) || !readable(password) {
		return "", "", true
	}
	return user, password, true
}

// readable tells whether a name or a password is one: UTF-8 without control characters.
func readable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// LogOut ends every open flow of a user who is not known any more: the tunnels and intercepted connections that stay open by themselves.
// It is to be called when users were taken away. A flow that is opened later ends by itself if its user was, after the log-in.
func (s *Server) LogOut() { s.flows.expel() }

// userStays tells whether the user of an open flow, which does not change, is still known, if it has one.
func (s *Server) userStays(f *flow) bool {
	return f.facts.User == "" || s.cfg.Auth.Knows(f.facts.User)
}
