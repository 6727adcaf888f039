package audit

import (
	"net/netip"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// SeenKey is what flows have in common that count as alike: who asked for what, in which hour, what came of it and why. It
// holds what a decision rests on, so that the same flow can be decided again at another instant. It is comparable.
type SeenKey struct {
	Hour time.Time // the start of the hour of policy time, in UTC

	Client netip.Addr // unmapped
	User   string
	MAC    string
	Site   string // empty: the default site

	Kind   string // plain, intercepted, websocket or tunnel
	Method string
	Scheme string
	Host   host.Name
	Port   uint16
	Path   string // as it was judged; empty where none was seen, or where there were too many
	SNI    host.Name
	Hello  policy.Hello
	ECH    bool

	Vendor   string // of the endpoint; empty where none matched
	Channels policy.ChannelSet

	Verdict  policy.Verdict
	State    policy.State
	Category string // what decided: restriction, rule, waiver, default, unseen, guard, clock, record, or nothing
	ID       string // of it
}

// Seen is how often flows of one key were seen.
type Seen struct {
	SeenKey
	First, Last time.Time // policy time, in UTC
	Flows       int64     // that were refused, or are over
	Cuts        int64     // of these, those that were cut at a deadline
	BytesIn     int64     // from the client
	BytesOut    int64     // to the client
}

// Counts reports whether a record adds to what was seen: each flow counts once, when it is refused or over.
func Counts(r *Record) bool { return r.Event == Refused || r.Event == End }

// KeyOf tells what flow a record is about, for counting.
func KeyOf(r *Record) SeenKey {
	verdict, state, category, id := r.outcome()
	return SeenKey{
		Hour:   r.PolicyTime.UTC().Truncate(time.Hour),
		Client: r.Client.Addr(), User: r.User, MAC: r.MAC, Site: r.Site,
		Kind: r.Kind, Method: r.Method, Scheme: r.Scheme, Host: r.Host, Port: r.Port, Path: r.Path,
		SNI: r.SNI, Hello: r.Hello, ECH: r.ECH,
		Vendor: r.Vendor, Channels: policy.Channels(r.Channels...),
		Verdict: verdict, State: state, Category: category, ID: id,
	}
}

// outcome is what came of the flow and what decided it: a guard comes before the policy, whatever that would have said.
func (r *Record) outcome() (verdict policy.Verdict, state policy.State, category, id string) {
	if r.Guard != "" {
		return policy.Block, policy.Guarded, "guard", r.Guard
	}
	return r.Verdict, r.State, r.Cause.Kind, r.Cause.ID
}
