package audit

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// SeenKey is what flows have in common that count as alike: who asked for what, in which hour, what came of it and why. It
// holds what a decision rests on, so that the same flow can be decided again at another instant. It is comparable.
type SeenKey struct {
	Hour time.Time // the start of the hour of policy time, in UTC

	Client   netip.Addr // unmapped
	User     string
	MAC      string
	Hostname string // of the device
	Site     string // empty: the default site

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

// KeyOf tells what flow a record is about, for counting. Its texts are as a reader of the record's line gets them, so that
// the record and what [Parse] makes of its line count as alike. What cannot be a MAC address is left out.
func KeyOf(r *Record) SeenKey {
	verdict, state, category, id := r.outcome()
	return SeenKey{
		Hour:   r.PolicyTime.UTC().Truncate(time.Hour),
		Client: host.ClientAddr(r.Client.Addr()), User: asRead(r.User), MAC: canonicalMAC(r.MAC), Hostname: asRead(r.Hostname), Site: asRead(r.Site),
		Kind: asRead(r.Kind), Method: asRead(r.Method), Scheme: asRead(r.Scheme), Host: r.Host, Port: r.Port, Path: asRead(r.Path),
		SNI: r.SNI, Hello: r.Hello, ECH: r.ECH,
		Vendor: asRead(r.Vendor), Channels: policy.Channels(r.Channels...),
		Verdict: verdict, State: state, Category: asRead(category), ID: asRead(id),
	}
}

// canonicalMAC returns a MAC address in lower case with colons, and nothing for what cannot be one.
func canonicalMAC(mac string) string {
	mac = strings.ToLower(strings.ReplaceAll(mac, "-", ":"))
	if len(mac) > maxMAC || strings.Trim(mac, "0123456789abcdef:") != "" {
		return ""
	}
	return mac
}

// maxMAC is the length of the longest MAC address that Go reads, an IPoIB one of 20 bytes.
const maxMAC = 20*3 - 1

// Compare orders keys by their members, one after the other.
func (k *SeenKey) Compare(other *SeenKey) int {
	if c := cmp.Or(
		k.Hour.Compare(other.Hour),
		k.Client.Compare(other.Client), cmp.Compare(k.User, other.User), cmp.Compare(k.MAC, other.MAC),
		cmp.Compare(k.Hostname, other.Hostname), cmp.Compare(k.Site, other.Site),
	); c != 0 {
		return c
	}
	if c := cmp.Or(
		cmp.Compare(k.Kind, other.Kind), cmp.Compare(k.Method, other.Method), cmp.Compare(k.Scheme, other.Scheme),
		cmp.Compare(k.Host.String(), other.Host.String()), cmp.Compare(k.Port, other.Port), cmp.Compare(k.Path, other.Path),
		cmp.Compare(k.SNI.String(), other.SNI.String()), cmp.Compare(k.Hello, other.Hello), cmp.Compare(strconv.FormatBool(k.ECH), strconv.FormatBool(other.ECH)),
	); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(k.Vendor, other.Vendor), cmp.Compare(k.Channels, other.Channels), cmp.Compare(k.Verdict, other.Verdict),
		cmp.Compare(k.State, other.State), cmp.Compare(k.Category, other.Category), cmp.Compare(k.ID, other.ID),
	)
}

// outcome is what came of the flow and what decided it: a guard comes before the policy, whatever that would have said.
func (r *Record) outcome() (verdict policy.Verdict, state policy.State, category, id string) {
	if r.Guard != "" {
		return policy.Block, policy.Guarded, "guard", r.Guard
	}
	return r.Verdict, r.State, r.Cause.Kind, r.Cause.ID
}
