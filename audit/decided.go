package audit

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gracegate/gracegate/policy"
)

// keptDecisions is how many decisions are kept as they stand in a line. A site has few at a time: an endpoint, a phase, a verdict.
const keptDecisions = 256

// decided keeps what lines tell of decisions, which is half of each and the same in most. Nil keeps nothing.
type decided struct {
	cache *lru.Cache[decision, string]
}

// decision is all of a record that its line tells of what was decided, and why. Lists are told apart by where they are: whoever hands a
// record over changes them no more, and a key keeps them alive.
type decision struct {
	verdict, would policy.Verdict
	state          policy.State
	need           policy.Need
	guard, vendor  string
	channels       *policy.Channel
	channelCount   int
	cause          policy.Cause
	reasons        *string
	reasonCount    int
	nextChange     time.Time
	nextBlock      time.Time
	revision       string
}

func newDecided() *decided {
	cache, err := lru.New[decision, string](keptDecisions)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &decided{cache}
}

// of returns the members that tell of a record's decision, each behind its comma.
func (d *decided) of(r *Record) string {
	if d == nil {
		return string(appendDecision(nil, r))
	}
	key := decision{
		r.Verdict, r.Would, r.State, r.Need, r.Guard, r.Vendor, first(r.Channels), len(r.Channels), r.Cause,
		first(r.Reasons), len(r.Reasons), r.NextChange, r.NextBlock, r.Revision,
	}
	if members, ok := d.cache.Get(key); ok {
		return members
	}
	members := string(appendDecision(nil, r))
	d.cache.Add(key, members)
	return members
}

// first is where a list is.
func first[T any](list []T) *T {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

func appendDecision(l line, r *Record) line {
	verdict, state, category, id := r.outcome()
	l.text("gracegate.verdict", verdict.String())
	l.text("gracegate.state", state.String())
	l.text("gracegate.need", r.Need.String())
	l.text("gracegate.would", r.Would.String())
	l.text("gracegate.guard", r.Guard)
	l.text("gracegate.vendor", r.Vendor)
	if len(r.Channels) > 0 {
		l.list("gracegate.channels", len(r.Channels), func(i int) string { return r.Channels[i].String() })
	}
	l.text("rule.category", category)
	l.text("rule.id", id)
	if r.Guard == "" {
		l.text("rule.name", r.Cause.Title)
		l.text("rule.reference", r.Cause.URL)
		l.flag("gracegate.floor", r.Cause.Floor)
	}
	if len(r.Reasons) > 0 {
		l.list("gracegate.reasons", len(r.Reasons), func(i int) string { return r.Reasons[i] })
	}
	if category == "restriction" {
		l.text("gracegate.mode", r.Cause.Mode.String())
	}
	l.instant("gracegate.next_change", r.NextChange)
	l.instant("gracegate.next_block", r.NextBlock)
	l.text("gracegate.revision", r.Revision)
	return l
}
