package proxy

import (
	"time"

	"github.com/gracegate/gracegate/policy"
)

// gate is where every verdict on live traffic comes from.
type gate struct {
	policies Policies
	clock    func() Instant
	recorder Recorder
}

// ruling is a decision with the instant and the policy that it was made under.
type ruling struct {
	policy.Decision
	view
	at   time.Time
	took time.Duration
}

// view is what a decision rests on beside the facts and the instant: another policy, or a clock that was set back or has become
// or ceased to be one to believe, may lead to another decision before its time.
type view struct {
	policy *policy.Policy
	turn   uint64
}

// next is the instant, in nanoseconds since 1970, at which the decision may be another one; never if it stays.
func (r *ruling) next() int64 {
	if at, changes := r.NextChange(); changes {
		return at.UnixNano()
	}
	return never
}

// decide asks the policy in force about the facts, now.
func (g *gate) decide(f *policy.Facts) ruling {
	f.Record = policy.RecordWorks // again: it may have failed when the flow was asked about before
	if g.recorder.Failing() {
		f.Record = policy.RecordFails
	}
	now := g.clock()
	f.Clock = now.State
	r := ruling{view: view{g.policies.Current(), now.Turn}, at: now.At}
	start := time.Now()
	r.Decision = r.policy.Decide(r.at, f)
	r.took = time.Since(start)
	return r
}
