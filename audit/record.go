package audit

import (
	"net/netip"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// Event is the moment of a flow's life at which it is recorded, or something else that happened.
type Event uint8

const (
	Refused   Event = iota // written before its answer
	Start                  // a tunnel opened
	End                    // a flow that was let through is over
	ClockTurn              // no flow: something happened to the policy clock, as Turn tells
)

func (e Event) String() string {
	switch e {
	case Refused:
		return "refused"
	case Start:
		return "start"
	case End:
		return "end"
	case ClockTurn:
		return "clock"
	}
	return "unknown"
}

// Turn is what happened to the policy clock.
type Turn struct {
	What   string    // in a word, such as set-back or accepted
	Why    string    // in words; of what an operator did, the operator's reason
	Before time.Time // policy time before, where it was set; zero: it goes on
}

// Record is one governed flow, or one refusal, as it is written, or a turn of the policy clock. Absent values are zero. Who hands a Record to
// [Recorder.Record] gives it away and touches it no more.
type Record struct {
	Sequence uint64 // its number in the journal, from 0 on without a gap; the journal gives it
	Numbered bool   // it has one
	Lost     uint64 // how many records were lost just before it

	Time       time.Time // when it was decided
	PolicyTime time.Time // the instant that the policy was asked about; differs from Time on a simulated clock
	Event      Event
	Reference  string // that the answer to a refused client tells; empty for all others
	Kind       string // plain, tunnel or websocket

	Client   netip.AddrPort // unmapped
	User     string
	MAC      string
	Hostname string // of the device, as it calls itself
	Site     string
	Persons  []string

	Method string
	Scheme string
	Host   host.Name
	Port   uint16
	URL    string // userinfo, query and fragment are dropped on writing
	Path   string // as it was judged: see policy.ReadPath
	SNI    host.Name
	Hello  policy.Hello
	ECH    bool
	ALPN   string // what the client offered, comma-separated

	Vendor   string // of the endpoint, if one matched
	Channels []policy.Channel

	Clock      policy.ClockState
	Verdict    policy.Verdict
	State      policy.State
	Need       policy.Need
	Would      policy.Verdict
	Cause      policy.Cause
	Revision   string
	NextChange time.Time // zero: none
	NextBlock  time.Time // zero: none
	Reasons    []string  // all that was weighed, in the order of the law, one line each; the decisive ones first say so
	Guard      string    // which guard refused, if one did; then the verdict above does not count

	Original netip.Addr     // where a client that knows of no proxy sent its packets; invalid for all others
	Upstream netip.AddrPort // the address really dialled
	Status   int            // of the HTTP answer; 0: none was given
	BytesIn  int64          // from the client
	BytesOut int64          // to the client
	Duration time.Duration  // from the head, or the accept, to the end
	Ended    string         // how it ended: complete, client, upstream, cut, drain, ...

	Turn *Turn // of a ClockTurn; User is then the operator, and of all others Time, PolicyTime and Clock count
}

// Sink is where records end. Write takes some records, at least one, in order; it is called by one goroutine at a time. It
// must not keep the slice, and must not change the records, which other sinks read at the same time; the journal, which comes
// before these, numbers them. Written is how many of them, from the first on, are recorded. An error tells why the next one is
// not; those behind it were not tried, and are given to Write again.
type Sink interface {
	Write(records []*Record) (written int, err error)
}
