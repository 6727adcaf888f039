package policy

import (
	"cmp"
	"slices"
	"time"

	"github.com/gracegate/gracegate/policy/match"
)

// Decision is a verdict with its coordinates in the compiled policy. It is a small value; reasons are made by Explain.
type Decision struct {
	Verdict  Verdict
	State    State
	Need     Need    // the stage that must be seen, since the verdict could differ there at this instant
	Would    Verdict // were every restriction enforced
	Governed bool    // a restriction, rule or waiver has, at some time, a say about this flow

	by                    cause
	nextChange, nextBlock int64
	since                 int64 // always, where there is nothing to tell
	policy                *Policy
	scope                 uint32
	class                 match.ClassID // of the name that decided
}

// NextChange is the first instant at which verdict, state or need differ; false if they never will.
func (d *Decision) NextChange() (time.Time, bool) { return instantOf(d.nextChange) }

// NextBlock is the first instant at which the verdict becomes a block, having been none just before; false if it never will.
func (d *Decision) NextBlock() (time.Time, bool) { return instantOf(d.nextBlock) }

// Since is the instant since which what decides about the name that decided holds: its verdict, state, need and cause, as
// they would be were it alone. It is false if that was always so, and where the decision rests on something else than the
// dated law of a name: a setting (of unseen, or the default), the clock, or the record.
func (d *Decision) Since() (time.Time, bool) {
	if d.since == always {
		return time.Time{}, false
	}
	return instantOf(d.since)
}

// Place is where a policy has what it says about a flow: for whom, and about which endpoint. It is comparable.
type Place struct {
	scope uint32
	class match.ClassID
	by    cause
}

// Place tells where in its policy the decision is found. Within one policy, flows for the same names and port whose decisions have
// the same place have the same reasons within an era.
func (d *Decision) Place() Place { return Place{d.scope, d.class, d.by} }

// Jurisdictions are those that bind the client.
func (d *Decision) Jurisdictions() []string { return d.policy.scopes.list[d.scope].jurisdictions }

// Revision is the digest of the policy that decided.
func (d *Decision) Revision() string { return d.policy.opts.Revision }

func instantOf(n int64) (time.Time, bool) {
	if n == never {
		return time.Time{}, false
	}
	return time.Unix(0, n).UTC(), true
}

// Cause is what a decision rests on. Kind is restriction, rule, waiver, default, unseen, clock or record, or empty where
// nothing in particular decided. For unseen, ID is the setting's name.
type Cause struct {
	Kind  string
	ID    string
	Title string // of the restriction, or the rule's or waiver's reason
	URL   string // of the restriction's text
	Mode  Mode   // of the restriction
	Floor bool   // a restriction's floor decided, no phase
}

// Cause tells what the decision rests on.
func (d *Decision) Cause() Cause {
	p := d.policy
	c := Cause{Kind: d.by.kind.String()}
	switch d.by.kind {
	case causeRestriction:
		r := &p.catalog.Restrictions[d.by.index]
		c.ID, c.Title, c.Floor = r.ID, r.Title, d.State == AfterFloor
		c.URL, c.Mode = r.Revisions[len(r.Revisions)-1].Source.URL, p.modes[d.by.index]
	case causeRule:
		c.ID, c.Title = p.op.Rules[d.by.index].ID, p.op.Rules[d.by.index].Reason
	case causeWaiver:
		c.ID, c.Title = p.op.Waivers[d.by.index].ID, p.op.Waivers[d.by.index].Reason
	case causeUnseen:
		c.ID = unseenWords[d.by.index]
	case causeNone, causeDefault, causeClock, causeRecord:
	}
	return c
}

// Endpoint tells the vendor and the channels of the endpoint that decided, all that it could lead to if its path was not
// seen. They are empty if no endpoint matched. All decisions share the channels: they must not be changed.
func (d *Decision) Endpoint() (vendor string, channels []Channel) {
	c := &d.policy.classes[d.class]
	return c.vendor, c.channels
}

// describe finds what Endpoint tells of a class.
func (p *Policy) describe(c *class) {
	var channels []Channel
	for _, u := range p.unitsOf(c) {
		c.vendor = cmp.Or(c.vendor, p.vendors[u.vendor].id)
		channels = append(channels, u.channel)
	}
	slices.Sort(channels)
	c.channels = slices.Clip(slices.Compact(channels))
}

var causeWords = []string{"", "restriction", "rule", "waiver", "default", "unseen", "clock", "record"}

func (k causeKind) String() string { return word(causeWords, k) }
