package policy

import (
	"math"
	"slices"
	"time"
)

// Instants inside a compiled policy are nanoseconds since 1970 in UTC. The ends of the range stand for "always" and "never".
const (
	always = math.MinInt64
	never  = math.MaxInt64
)

// nanos converts an instant. What lies outside the range of int64 nanoseconds (years 1678 to 2262) is clamped to its ends.
func nanos(t time.Time) int64 {
	const lo, hi = math.MinInt64 / int64(time.Second), math.MaxInt64 / int64(time.Second)
	switch s := t.Unix(); {
	case s <= lo:
		return always
	case s >= hi:
		return never
	default:
		return t.UnixNano()
	}
}

// Horizon is "as known at": what was published after it is not seen. The zero Horizon sees all that is loaded.
type Horizon struct {
	Clock bool      // at every instant, what had been published by then
	At    time.Time // otherwise, what had been published by At; zero: everything
}

// Sees tells whether what was published at an instant is seen; under Clock, whether it ever is.
func (h Horizon) Sees(published time.Time) bool {
	return h.Clock || h.At.IsZero() || !published.After(h.At)
}

// instrument is a restriction as one policy sees it: not off, with the mode that it has there.
type instrument struct {
	*Restriction
	index    int
	mode     Mode
	enforced bool
	state    State   // what a block is called where it is not enforced: Monitored or Advice
	views    []view  // by since; the last one that began holds
	bounds   []int64 // every instant at which it can say something else, in order
}

// view is what is known of a restriction from one publication to the next.
type view struct {
	since    int64
	revision *Revision // nil: nothing is published yet
	stays    []stay
	licences []*Licence
}

// stay is a Stay with its end as lifts have moved it.
type stay struct {
	*Stay
	until  int64
	lifted *Stay // what ended it, if anything
}

// newInstrument sees r as of h. warn is how long before a block its grace turns to a warning.
func newInstrument(r *Restriction, index int, mode Mode, listed bool, h Horizon, warn time.Duration) instrument {
	in := instrument{Restriction: r, index: index, mode: mode, state: Monitored}
	in.enforced = mode == Enforce && (listed || r.Verified && r.Strength != AdviceOnly)
	if r.Strength == AdviceOnly {
		in.state = Advice
	}
	if !h.Clock {
		horizon := int64(never)
		if !h.At.IsZero() {
			horizon = nanos(h.At)
		}
		in.views = []view{r.knownAt(always, horizon)}
	} else {
		in.views = []view{{since: always}}
		for _, at := range r.publications() {
			in.views = append(in.views, r.knownAt(at, at))
		}
	}
	in.bounds = in.boundaries(warn)
	return in
}

// publications returns the instants at which anything of r was published, in order.
func (r *Restriction) publications() []int64 {
	var list []int64
	for i := range r.Revisions {
		list = append(list, nanos(r.Revisions[i].Published.At))
	}
	for i := range r.Stays {
		list = append(list, nanos(r.Stays[i].Published.At))
	}
	for i := range r.Licences {
		list = append(list, nanos(r.Licences[i].Published.At))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// knownAt is r as it was published by the horizon. The latest revision holds whole, for every instant asked about.
func (r *Restriction) knownAt(since, horizon int64) view {
	v := view{since: since}
	for i := range r.Revisions {
		if nanos(r.Revisions[i].Published.At) <= horizon {
			v.revision = &r.Revisions[i]
		}
	}
	for i := range r.Stays {
		s := &r.Stays[i]
		switch {
		case nanos(s.Published.At) > horizon:
		case s.Lifts == "":
			until := int64(never)
			if s.Until != nil {
				until = nanos(s.Until.At)
			}
			v.stays = append(v.stays, stay{Stay: s, until: until})
		default:
			for j := range v.stays {
				if lifted := &v.stays[j]; lifted.ID == s.Lifts && nanos(s.From.At) < lifted.until {
					lifted.until, lifted.lifted = nanos(s.From.At), s
				}
			}
		}
	}
	for i := range r.Licences {
		if nanos(r.Licences[i].Published.At) <= horizon {
			v.licences = append(v.licences, &r.Licences[i])
		}
	}
	return v
}

// at returns the view that holds at an instant.
func (in *instrument) at(at int64) *view {
	i := len(in.views) - 1
	for i > 0 && in.views[i].since > at {
		i--
	}
	return &in.views[i]
}

// concerns tells whether the restriction, as known in this view, names the vendor and binds any of the jurisdictions.
func (v *view) concerns(vendor string, jurisdictions []string) bool {
	return v.names(vendor) &&
		slices.ContainsFunc(jurisdictions, func(id string) bool { return slices.Contains(v.revision.Binds, id) })
}

// names tells whether the restriction, as known in this view, names the vendor.
func (v *view) names(vendor string) bool {
	return v.revision != nil && slices.Contains(v.revision.Vendors, vendor)
}

// boundaries returns every instant at which what the restriction says can change. There may be too many: two neighbours
// that agree are merged later.
func (in *instrument) boundaries(warn time.Duration) []int64 {
	var list []int64
	add := func(at int64) {
		list = append(list, at)
		if at > always+int64(warn) && at != never {
			list = append(list, at-int64(warn))
		}
	}
	for i := range in.views {
		v := &in.views[i]
		list = append(list, v.since)
		if v.revision == nil {
			continue
		}
		for j := range v.revision.Phases {
			add(nanos(v.revision.Phases[j].From.At))
		}
		for j := range v.revision.Floors {
			add(nanos(v.revision.Floors[j].AtLeastUntil.At))
		}
		for j := range v.stays {
			add(nanos(v.stays[j].From.At))
			add(v.stays[j].until)
		}
		for _, l := range v.licences {
			add(nanos(l.From.At))
			add(nanos(l.Until.At))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// ruling is what one restriction says of one channel of one vendor at an instant, and by which of its parts.
type ruling struct {
	state   State // Exempt, Stayed, Licensed, Blocked, AfterFloor, Grace, Notice or Open
	stay    *stay
	licence *Licence
	phase   *Phase
	floor   *Floor
}

// ruling is step one of the law: exemption, then stay, then licence, then phase.
func (v *view) ruling(vendor string, c Channel, at int64) ruling {
	if v.revision.Exempt.Has(c) {
		return ruling{state: Exempt}
	}
	if s := v.longestStay(c, at); s != nil {
		return ruling{state: Stayed, stay: s}
	}
	if l := v.longestLicence(vendor, c, at); l != nil {
		return ruling{state: Licensed, licence: l}
	}
	r := ruling{state: Open, phase: v.phase(c, at), floor: v.floor(c, at)}
	if r.phase != nil && r.floor != nil && (r.phase.Effect == EffectBlock || !r.phase.From.At.Before(r.floor.AtLeastUntil.At)) {
		r.floor = nil // what comes after the floor is known
	}
	switch {
	case r.floor != nil:
		r.state = AfterFloor
	case r.phase != nil:
		r.state = phaseStates[r.phase.Effect]
	}
	return r
}

var phaseStates = [...]State{EffectNotice: Notice, EffectGrace: Grace, EffectBlock: Blocked, EffectAllow: Open}

// longestStay returns, of the stays that hold for c, the one that ends last.
func (v *view) longestStay(c Channel, at int64) *stay {
	var longest *stay
	for i := range v.stays {
		s := &v.stays[i]
		if s.Channels.Has(c) && nanos(s.From.At) <= at && at < s.until && (longest == nil || s.until > longest.until) {
			longest = s
		}
	}
	return longest
}

// longestLicence returns, of the licences that hold for the vendor and c, the one that ends last.
func (v *view) longestLicence(vendor string, c Channel, at int64) *Licence {
	var longest *Licence
	for _, l := range v.licences {
		if l.Channels.Has(c) && (len(l.Vendors) == 0 || slices.Contains(l.Vendors, vendor)) &&
			nanos(l.From.At) <= at && at < nanos(l.Until.At) && (longest == nil || l.Until.At.After(longest.Until.At)) {
			longest = l
		}
	}
	return longest
}

// phase returns the phase that holds for c: the latest that has begun.
func (v *view) phase(c Channel, at int64) *Phase {
	var last *Phase
	for i := range v.revision.Phases {
		p := &v.revision.Phases[i]
		if p.Channels.Has(c) && nanos(p.From.At) <= at && (last == nil || p.From.At.After(last.From.At)) {
			last = p
		}
	}
	return last
}

// floor returns the latest floor of c that has passed, provided that none is still ahead.
func (v *view) floor(c Channel, at int64) *Floor {
	var last *Floor
	for i := range v.revision.Floors {
		f := &v.revision.Floors[i]
		if f.Channels.Has(c) && (last == nil || f.AtLeastUntil.At.After(last.AtLeastUntil.At)) {
			last = f
		}
	}
	if last == nil || nanos(last.AtLeastUntil.At) > at {
		return nil
	}
	return last
}
