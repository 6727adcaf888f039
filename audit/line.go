package audit

import (
	"strings"

	"github.com/gracegate/gracegate/policy"
)

// ecsVersion is the version of the Elastic Common Schema that the names are from.
const ecsVersion = "8.11.0"

// The datasets tell the lines of records from others, and those of flows from those of the clock.
const (
	dataset      = "gracegate.flow"
	clockDataset = "gracegate.clock"
)

// appendFlow appends the line of a flow, with its line feed. What is absent is left out; instants are RFC 3339 in UTC. What is
// always in a line stands behind the message, as it does in the log.
func (e Encoder) appendFlow(to line, r *Record) line {
	l := append(to, `{"log.level":"info"`...)
	l.instant("@timestamp", r.Time)
	l.text("message", message(r))
	l = append(l, e.always...)
	l = append(l, `,"ecs.version":"`+ecsVersion+`","event.dataset":"`+dataset+`","event.kind":"event"`...)
	l.event(r)
	l.client(r)
	l.destination(r)
	l.request(r)
	l.tls(r)
	l.instant("gracegate.policy_time", r.PolicyTime)
	l.text("gracegate.clock_state", r.Clock.String())
	l = append(l, e.decided.of(r)...)
	l.transfer(r)
	return append(l, '}', '\n')
}

// denied reports whether the flow was refused, or cut: when it was blocked later, or was to be seen further than it was.
func denied(r *Record) bool {
	return r.Event == Refused || r.Guard != "" || r.Verdict == policy.Block || r.Ended == "cut"
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

func (l *line) event(r *Record) {
	category := `,"event.category":["network","web"]`
	if r.Kind == "tunnel" {
		category = `,"event.category":["network"]`
	}
	kind := ""
	switch r.Event {
	case Start:
		kind = `"start",`
	case End:
		kind = `"end",`
	case Refused, ClockTurn:
	}
	// The outcome is the gate's: whether the flow was let through, not how well it then went.
	allowed, outcome := `"allowed"]`, "success"
	if denied(r) {
		allowed, outcome = `"denied"]`, "failure"
	}
	if r.Numbered {
		l.count("event.sequence", int64(r.Sequence)) //nolint:gosec // nobody has written 2^63 records
	}
	l.text("event.id", r.Reference)
	*l = append(*l, category...)
	*l = append(*l, `,"event.type":["connection",`...)
	*l = append(*l, kind...)
	*l = append(*l, allowed...)
	l.text("event.action", r.Event.String())
	l.text("event.outcome", outcome)
	l.number("event.duration", r.Duration.Nanoseconds())
	l.text("gracegate.kind", r.Kind)
	l.text("gracegate.ended", r.Ended)
	l.number("gracegate.lost_before", int64(r.Lost)) //nolint:gosec // a count
}

func (l *line) client(r *Record) {
	if r.Client.IsValid() {
		l.addr("source.ip", r.Client.Addr())
		l.number("source.port", int64(r.Client.Port()))
		l.addr("client.ip", r.Client.Addr())
	}
	if r.MAC != "" {
		l.text("source.mac", strings.ToUpper(strings.ReplaceAll(r.MAC, ":", "-"))) // as ECS has it: RFC 7042
	}
	l.text("source.domain", r.Hostname)
	l.text("user.name", r.User)
	l.text("gracegate.site", r.Site)
	if len(r.Persons) > 0 {
		l.list("gracegate.persons", len(r.Persons), func(i int) string { return r.Persons[i] })
	}
}

func (l *line) destination(r *Record) {
	l.text("destination.address", r.Host.String())
	if !r.Host.IsAddr() {
		l.text("destination.domain", r.Host.String())
	}
	l.number("destination.port", int64(r.Port))
	if r.Original.IsValid() {
		l.addr("gracegate.original_ip", r.Original)
	}
	if r.Upstream.IsValid() {
		l.addr("destination.ip", r.Upstream.Addr())
		if r.Upstream.Port() != r.Port { // the operator maps the name to another port
			l.number("gracegate.upstream_port", int64(r.Upstream.Port()))
		}
	}
}

func (l *line) request(r *Record) {
	l.text("http.request.method", r.Method)
	url, hadQuery := withoutSecrets(r.URL)
	l.text("url.full", url)
	l.flag("gracegate.query_dropped", hadQuery)
	l.text("url.scheme", r.Scheme)
	if r.URL != "" {
		l.text("url.domain", r.Host.String())
	}
	l.text("url.path", r.Path)
	l.number("http.response.status_code", int64(r.Status))
}

func (l *line) tls(r *Record) {
	l.text("tls.client.server_name", r.SNI.String())
	l.text("gracegate.hello", r.Hello.String())
	l.flag("gracegate.ech", r.ECH)
	l.text("gracegate.alpn", r.ALPN)
}

func (l *line) transfer(r *Record) {
	if r.Event != End && r.BytesIn == 0 && r.BytesOut == 0 {
		return // not counted, where a zero at the end is a count
	}
	l.count("source.bytes", r.BytesIn)
	l.count("destination.bytes", r.BytesOut)
	l.count("network.bytes", r.BytesIn+r.BytesOut)
}
