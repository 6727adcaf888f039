package proxy

import (
	"time"

	"github.com/gracegate/gracegate/policy"
)

// Since is the instant from which on something is refused, as a template can show it.
type Since struct {
	Time    time.Time // in the zone that the text speaks in
	Assumed string    // why the hour or zone is not the text's own; empty where the text states both
}

// sinceOf finds since when a refusal of the policy holds; nil where no date decides.
func sinceOf(r *ruling) *Since {
	at, dated := r.Since()
	if !dated {
		return nil
	}
	in, assumed := r.words(at)
	if in == nil {
		in = time.UTC
	}
	return &Since{Time: at.In(in), Assumed: assumed}
}

// words finds how the law's text puts an instant: in which zone, and whether that is its own word. Of several texts that mean
// the same instant one that states it has the say.
func (r *ruling) words(at time.Time) (zone *time.Location, assumed string) {
	c := r.Cause()
	stated := false
	look := func(in *policy.Instant) {
		if in == nil || !in.At.Equal(at) || stated {
			return
		}
		zone, assumed, stated = in.Zone, in.Assumed, in.Assumed == ""
	}
	op := r.policy.Operator()
	for i := range op.Waivers {
		look(&op.Waivers[i].Until)
	}
	for i := range op.Rules {
		for j := range op.Rules[i].Phases {
			if c.Kind == "rule" && op.Rules[i].ID == c.ID {
				look(&op.Rules[i].Phases[j].From)
			}
		}
	}
	if c.Kind == "restriction" {
		_, channels := r.Endpoint()
		instants(restriction(r.policy, c.ID), policy.Channels(channels...), look)
	}
	return zone, assumed
}

// restriction finds a restriction of the catalogue; an empty one if it has none of this name.
func restriction(p *policy.Policy, id string) *policy.Restriction {
	all := p.Catalog().Restrictions
	for i := range all {
		if all[i].ID == id {
			return &all[i]
		}
	}
	return &policy.Restriction{}
}

// citation is how lawyers cite a restriction, by its present text.
func citation(r *policy.Restriction) string {
	if len(r.Revisions) == 0 {
		return ""
	}
	return r.Revisions[len(r.Revisions)-1].Source.Citation
}

// instants tells every instant at which what a restriction says of some channels may begin or end.
func instants(r *policy.Restriction, channels policy.ChannelSet, look func(*policy.Instant)) {
	for i := range r.Revisions {
		rev := &r.Revisions[i]
		for j := range rev.Phases {
			if rev.Phases[j].Channels&channels != 0 {
				look(&rev.Phases[j].From)
			}
		}
		for j := range rev.Floors {
			if rev.Floors[j].Channels&channels != 0 {
				look(&rev.Floors[j].AtLeastUntil)
			}
		}
		look(&rev.Published)
	}
	for i := range r.Stays {
		look(&r.Stays[i].From) // where it lifts another
		look(r.Stays[i].Until)
	}
	for i := range r.Licences {
		look(&r.Licences[i].Until)
	}
}

const (
	sinceDay     = "2 January 2006, "
	sinceMinutes = "15:04"
	sinceExactly = "15:04:05.999999999"
)

// RFC3339 is the instant for programs, in UTC. This and the others are empty where no date decides.
func (s *Since) RFC3339() string {
	if s == nil {
		return ""
	}
	return s.Time.UTC().Format(time.RFC3339Nano)
}

// UTC is the instant for people: "29 September 2024, 04:00 UTC".
func (s *Since) UTC() string {
	if s == nil {
		return ""
	}
	return s.Time.UTC().Format(sinceDay+s.clock()) + " UTC"
}

// Local is the instant in the zone of the text, with its offset: "29 September 2024, 00:00 (UTC-04:00)". It is empty where
// that is UTC.
func (s *Since) Local() string {
	if s == nil {
		return ""
	}
	if _, offset := s.Time.Zone(); offset == 0 {
		return ""
	}
	return s.Time.Format(sinceDay + s.clock() + " (UTC-07:00)")
}

// clock is the layout that leaves out no second that counts.
func (s *Since) clock() string {
	if s.Time.Truncate(time.Minute).Equal(s.Time) {
		return sinceMinutes
	}
	return sinceExactly
}
