package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	stormPeriod = time.Minute // of what a client repeats: an updater asks all its mirrors in turn after a refusal
	limitPeriod = time.Second // of what the gateway itself is short of
)

var (
	aboutRefused     = &topic{zapcore.InfoLevel, "refused", "id"}
	aboutDestination = &topic{zapcore.WarnLevel, "destination refused", "guard"}
	aboutLoop        = &topic{zapcore.WarnLevel, "loop refused", ""}
	aboutClient      = &topic{zapcore.WarnLevel, "client refused", ""}
	aboutLogin       = &topic{zapcore.WarnLevel, "log-in failed", "user"}
	aboutNoLogin     = &topic{zapcore.DebugLevel, "asked to log in", ""}
	aboutBalancer    = &topic{zapcore.WarnLevel, "connection of a load balancer refused", ""}
	aboutParent      = &topic{zapcore.WarnLevel, "the parent proxy failed", "problem"}
	aboutHandshake   = &topic{zapcore.WarnLevel, "client did not accept our certificate", ""}
	aboutFault       = &topic{zapcore.InfoLevel, "request not understood", "code"}
	aboutLimit       = &topic{zapcore.WarnLevel, "limit met", "limit"}
	aboutAccept      = &topic{zapcore.ErrorLevel, "cannot take connections", "error"}
)

// quiet writes to the log what is refused, and folds what repeats itself; see folder. Records are none of its business: they
// tell of every refusal.
type quiet struct{ storms, limits *folder }

func newQuiet(log *zap.Logger) *quiet {
	return &quiet{storms: newFolder(log, stormPeriod), limits: newFolder(log, limitPeriod)}
}

// refused tells of a flow that the policy blocks, once its status is known. Those of one client for one restriction, rule or
// setting are alike, whatever host they are for.
func (q *quiet) refused(f *flow) {
	cause := f.ruling.Cause()
	id := cmp.Or(cause.ID, cause.Kind)
	q.storms.say(foldKey{aboutRefused, f.client.Addr(), id}, f.occasion(), func() []zap.Field {
		vendor, _ := f.ruling.Endpoint()
		return []zap.Field{
			zap.String("kind", cause.Kind), zap.String("vendor", vendor), zap.String("state", f.ruling.State.String()),
			zap.String("method", f.facts.Method), zap.Int("status", f.httpStatus()),
		}
	})
}

// destination tells that a guard refused a destination. The detail is for the operator: it may hold addresses, and tells
// what would open the way.
func (q *quiet) destination(f *flow, guard, detail string) {
	q.storms.say(foldKey{aboutDestination, f.client.Addr(), guard}, f.occasion(), func() []zap.Field {
		return []zap.Field{zap.String("detail", detail)}
	})
}

// wrongLogin tells of a wrong password, or of one for a user that nobody is, whose name then is empty.
func (q *quiet) wrongLogin(f *flow, user string) {
	q.storms.say(foldKey{aboutLogin, f.client.Addr(), user}, f.occasion(), func() []zap.Field { return nil })
}

// askedToLogIn tells of a request without a log-in, which most clients send first.
func (q *quiet) askedToLogIn(f *flow) {
	q.storms.say(foldKey{aboutNoLogin, f.client.Addr(), ""}, f.occasion(), func() []zap.Field { return nil })
}

// parent tells what is wrong with the parent proxy. Those who met it are not told apart.
func (q *quiet) parent(f *flow, problem *parentError) {
	q.storms.say(foldKey{topic: aboutParent, id: problem.what}, f.occasion(), func() []zap.Field {
		var fields []zap.Field
		if problem.err != nil {
			fields = append(fields, zap.String("detail", fmt.Sprintf("%.200s", problem.err)))
		}
		switch problem.status {
		case http.StatusProxyAuthRequired:
			fields = append(fields, zap.String("hint", "upstream.parent-auth names the place of user and password"))
		case http.StatusForbidden:
			fields = append(fields, zap.String("hint", "the parent must let this gateway CONNECT to that host and port"))
		}
		return fields
	})
}

// loop tells of a connection that would lead back to this gateway.
func (q *quiet) loop(client netip.Addr, detail string) {
	q.storms.say(foldKey{aboutLoop, client, ""}, occasion{client: client}, func() []zap.Field {
		return []zap.Field{zap.String("detail", detail)}
	})
}

// handshake tells of a client that would not be intercepted: most do not trust the CA.
func (q *quiet) handshake(f *flow, err error) {
	if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "remote error" {
		return // it left, took too long, or offered nothing that we speak: the record tells that it ended so
	}
	q.storms.say(foldKey{aboutHandshake, f.client.Addr(), ""}, f.occasion(), func() []zap.Field {
		return []zap.Field{
			zap.String("detail", fmt.Sprintf("%.200s", err)),
			zap.String("hint", "have the client trust the root (gracegate ca export), or mark the endpoint as pinned"),
		}
	})
}

// stranger tells of a client that is not among those who may use the proxy, and what would admit it.
func (q *quiet) stranger(client netip.Addr, clients *Clients) {
	q.storms.say(foldKey{aboutClient, client, ""}, occasion{client: client}, func() []zap.Field {
		return []zap.Field{zap.String("hint", "to admit it: "+clients.Admit(client))}
	})
}

// balancer tells of a load balancer that does not say, or not so that it can be understood, who its client is.
func (q *quiet) balancer(from netip.Addr, err error) {
	q.storms.say(foldKey{aboutBalancer, from, ""}, occasion{client: from}, func() []zap.Field {
		return []zap.Field{
			zap.String("detail", strings.TrimPrefix(err.Error(), "proxyproto: ")),
			zap.String("hint", "have it send the PROXY protocol (send-proxy-v2, proxy_protocol on), or take it out of listen.proxy-protocol"),
		}
	})
}

// fault tells of a request that is not understood, or could be understood in two ways.
func (q *quiet) fault(client netip.Addr, fault *Fault) {
	q.storms.say(foldKey{aboutFault, client, fault.Code}, occasion{client: client}, func() []zap.Field {
		detail := zap.String("detail", fault.Detail)
		if fault.Status == 0 {
			return []zap.Field{detail}
		}
		return []zap.Field{zap.Int("status", fault.Status), detail}
	})
}

// limited tells that somebody met a limit. Those who meet it are not told apart.
func (q *quiet) limited(l limitName, o occasion) {
	q.limits.say(foldKey{topic: aboutLimit, id: string(l)}, o, func() []zap.Field {
		fields := []zap.Field{zap.String("detail", limited[l].detail)}
		if l == limitDescriptors {
			fields = append(fields, zap.String("hint", "let this process open more (LimitNOFILE=, ulimit -n), or lower limits.connections"))
		}
		return fields
	})
}

// notTaken tells that accept failed.
func (q *quiet) notTaken(err error) {
	if descriptorsExhausted(err) {
		q.limited(limitDescriptors, occasion{})
		return
	}
	reason := "other"
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		reason = errno.Error()
	}
	q.limits.say(foldKey{topic: aboutAccept, id: reason}, occasion{}, func() []zap.Field { return nil })
}

// close writes what was folded and not written yet.
func (q *quiet) close() {
	q.storms.close()
	q.limits.close()
}

func (f *flow) occasion() occasion {
	return occasion{client: f.client.Addr(), to: hostPort{f.named(), f.facts.Port}}
}
