// Package timeline tells what a policy says over all time: for each site, vendor and channel what is allowed until when. Every date
// in it comes from the one function that decides about traffic. It draws a picture of that, too. It reads no clock and no files.
package timeline

import (
	"time"

	"github.com/gracegate/gracegate/policy"
)

// Timeline is what a policy says over all time, or in a window of it.
type Timeline struct {
	At       time.Time // the present
	From, To time.Time // the window; zero: no bound
	KnownAt  policy.Horizon
	Revision string
	Sites    []Site

	Restriction string // whose alone it is, for clients whom it binds, as in Options; empty: it is that of the policy
}

// Site is one or more sites of the operator's file for which all is the same.
type Site struct {
	Names         []string // empty: the default site; none: clients whom the restriction binds
	Jurisdictions []string // that bind its clients
	Groups        []Group
}

// Group is what the policy says of a vendor. Or, if it is hypothetical, what one restriction would do by itself that the policy does
// not enforce: without rules, waivers and other restrictions.
type Group struct {
	Vendor, Name string // empty: what no endpoint matches
	Hypothetical bool
	Restrictions []Restriction // that decide in any of the rows
	Rows         []Row
	Marks        []Mark
}

// Restriction is a text that a policy is modelled on.
type Restriction struct {
	*policy.Restriction
	Mode     policy.Mode
	Enforced bool
	Texts    []policy.Revision // that the policy knows
}

// Row is a set of channels of which the same is said, by all endpoints that carry them, or by some that it names.
type Row struct {
	Channels []policy.Channel // none: what no endpoint matches
	Only     string           // names, ports and paths for which the row holds; empty: for all but those that other rows name
	// NotSeparable tells that a restriction speaks of the channels, and that no endpoint is known by which they could be blocked.
	NotSeparable bool
	// Destinations has one for each kind. If there is none, no endpoint is known, and the spans are what would be said of one.
	Destinations []policy.Destination
	Spans        []Span // without gaps
}

// Known tells whether the catalogue or the operator knows an endpoint for the row.
func (r *Row) Known() bool { return len(r.Destinations) > 0 }

// Span is a stretch of time over which the same is said: [From, Until). A nil From stands for always, a nil Until for ever.
type Span struct {
	From, Until *policy.Instant
	Verdict     policy.Verdict
	State       policy.State
	Need        policy.Need
	By          policy.Cause
	Reasons     []policy.Reason // the decisive ones
}

// Mark is a stay, the lifting of one, a licence or a floor of a restriction, as its texts have it.
type Mark struct {
	Kind, ID    string // stay, lift (of the stay with the ID), licence or floor
	Restriction string
	Channels    policy.ChannelSet
	From        policy.Instant
	Until       *policy.Instant // nil for a lift, a floor, and a stay without an end
	Published   *policy.Instant // nil for a floor
	Condition   string
	Source      *policy.Source
}

// Now returns the index of the span that holds at an instant.
func (r *Row) Now(at time.Time) int {
	now := 0
	for i := range r.Spans {
		if from := r.Spans[i].From; from == nil || !at.Before(from.At) {
			now = i
		}
	}
	return now
}

// window leaves the spans that have a part in [from, to).
func (r *Row) window(from, to time.Time) []Span {
	var list []Span
	for i := range r.Spans {
		s := &r.Spans[i]
		if (to.IsZero() || s.From == nil || s.From.At.Before(to)) && (s.Until == nil || s.Until.At.After(from)) {
			list = append(list, *s)
		}
	}
	return list
}

// Window returns the spans of a row that have a part in the window.
func (t *Timeline) Window(r *Row) []Span { return r.window(t.From, t.To) }
