package audit

import (
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy"
)

// ecsVersion is the version of the Elastic Common Schema that the names are from.
const ecsVersion = "8.11.0"

// line returns what is written of a record. What is absent is left out; instants are RFC 3339 in UTC.
func line(r *Record) []zap.Field {
	f := make(fields, 0, 64)
	f.add(zap.String("ecs.version", ecsVersion))
	f.event(r)
	f.client(r)
	f.destination(r)
	f.request(r)
	f.tls(r)
	f.decision(r)
	f.transfer(r)
	return f
}

// denied reports whether the flow was refused, or cut when it was blocked later.
func denied(r *Record) bool {
	return r.Event == Refused || r.Guard != "" || r.Verdict == policy.Block
}

// message is the line for people: what happened to whom.
func message(r *Record) string {
	whom := r.Host.String()
	switch {
	case whom != "":
	case !r.SNI.IsZero():
		whom = r.SNI.String()
	case r.Upstream.IsValid():
		whom = r.Upstream.String()
	default:
		whom = "a flow without a destination"
	}
	switch {
	case r.Guard != "":
		return "refused " + whom
	case r.Event == Refused:
		return "blocked " + whom
	case denied(r):
		return "cut " + whom
	case r.Event == Start:
		return "opened " + whom
	}
	return "passed " + whom
}

func (f *fields) event(r *Record) {
	category := []string{"network"}
	if r.Kind != "tunnel" {
		category = append(category, "web")
	}
	kinds := []string{"connection"}
	switch r.Event {
	case Start:
		kinds = append(kinds, "start")
	case End:
		kinds = append(kinds, "end")
	case Refused:
	}
	// The outcome is the gate's: whether the flow was let through, not how well it then went.
	outcome := "success"
	if denied(r) {
		kinds, outcome = append(kinds, "denied"), "failure"
	} else {
		kinds = append(kinds, "allowed")
	}
	f.add(zap.String("event.dataset", "gracegate.flow"))
	f.add(zap.String("event.kind", "event"))
	f.add(zap.Strings("event.category", category))
	f.add(zap.Strings("event.type", kinds))
	f.add(zap.String("event.action", r.Event.String()))
	f.add(zap.String("event.outcome", outcome))
	f.number("event.duration", r.Duration.Nanoseconds())
	f.text("gracegate.kind", r.Kind)
	f.text("gracegate.ended", r.Ended)
}

func (f *fields) client(r *Record) {
	if r.Client.IsValid() {
		ip := r.Client.Addr().String()
		f.text("source.ip", ip)
		f.number("source.port", int64(r.Client.Port()))
		f.text("client.ip", ip)
	}
	f.text("source.mac", strings.ToUpper(strings.ReplaceAll(r.MAC, ":", "-"))) // as ECS has it: RFC 7042
	f.text("user.name", r.User)
	f.text("gracegate.site", r.Site)
	f.list("gracegate.persons", r.Persons)
}

func (f *fields) destination(r *Record) {
	f.text("destination.address", r.Host.String())
	if !r.Host.IsAddr() {
		f.text("destination.domain", r.Host.String())
	}
	f.number("destination.port", int64(r.Port))
	if r.Upstream.IsValid() {
		f.text("destination.ip", r.Upstream.Addr().String())
		if r.Upstream.Port() != r.Port { // the operator maps the name to another port
			f.number("gracegate.upstream_port", int64(r.Upstream.Port()))
		}
	}
}

func (f *fields) request(r *Record) {
	f.text("http.request.method", r.Method)
	url, hadQuery := withoutSecrets(r.URL)
	f.text("url.full", url)
	f.flag("gracegate.query_dropped", hadQuery)
	f.text("url.scheme", r.Scheme)
	if r.URL != "" {
		f.text("url.domain", r.Host.String())
	}
	f.text("url.path", r.Path)
	f.number("http.response.status_code", int64(r.Status))
}

func (f *fields) tls(r *Record) {
	f.text("tls.client.server_name", r.SNI.String())
	f.text("gracegate.hello", r.Hello.String())
	f.flag("gracegate.ech", r.ECH)
	f.text("gracegate.alpn", r.ALPN)
}

func (f *fields) decision(r *Record) {
	verdict, state, category, id := r.Verdict, r.State, r.Cause.Kind, r.Cause.ID
	if r.Guard != "" { // a guard comes before the policy, whatever that would have said
		verdict, state, category, id = policy.Block, policy.Guarded, "guard", r.Guard
	}
	f.instant("gracegate.policy_time", r.PolicyTime)
	f.text("gracegate.verdict", verdict.String())
	f.text("gracegate.state", state.String())
	f.text("gracegate.need", r.Need.String())
	f.text("gracegate.would", r.Would.String())
	f.text("gracegate.guard", r.Guard)
	f.text("gracegate.vendor", r.Vendor)
	channels := make([]string, len(r.Channels))
	for i, c := range r.Channels {
		channels[i] = c.String()
	}
	f.list("gracegate.channels", channels)
	f.text("rule.category", category)
	f.text("rule.id", id)
	if r.Guard == "" {
		f.text("rule.name", r.Cause.Title)
		f.text("rule.reference", r.Cause.URL)
		f.flag("gracegate.floor", r.Cause.Floor)
	}
	if category == "restriction" {
		f.text("gracegate.mode", r.Cause.Mode.String())
	}
	f.instant("gracegate.next_change", r.NextChange)
	f.instant("gracegate.next_block", r.NextBlock)
	f.text("gracegate.revision", r.Revision)
}

func (f *fields) transfer(r *Record) {
	if r.Event != End && r.BytesIn == 0 && r.BytesOut == 0 {
		return // not counted, where a zero at the end is a count
	}
	f.add(zap.Int64("source.bytes", r.BytesIn))
	f.add(zap.Int64("destination.bytes", r.BytesOut))
	f.add(zap.Int64("network.bytes", r.BytesIn+r.BytesOut))
}

func (f *fields) instant(key string, t time.Time) {
	if !t.IsZero() {
		f.add(zap.String(key, t.UTC().Format(time.RFC3339Nano)))
	}
}
