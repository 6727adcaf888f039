package catalog

import (
	"slices"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// event is what happens under a restriction at an instant.
type event struct {
	at        policy.Instant
	what      string
	channels  policy.ChannelSet
	published string // when it became known, and when another text took its place
	source    *policy.Source
}

// timelineOf lists the publications of a restriction's texts, and all that begins or ends under them, in order.
func timelineOf(r *policy.Restriction) []event {
	var all []event
	for i := range r.Revisions {
		rev := &r.Revisions[i]
		all = append(all, event{at: rev.Published, what: "text published", published: day(rev.Published), source: &rev.Source})
	}
	return inOrder(append(all, effectsOf(r)...))
}

// effectsOf is timelineOf without the publications.
func effectsOf(r *policy.Restriction) []event {
	return inOrder(slices.Concat(textsOf(r), staysOf(r), licencesOf(r)))
}

func inOrder(events []event) []event {
	slices.SortStableFunc(events, func(a, b event) int { return a.at.At.Compare(b.at.At) })
	return events
}

// textsOf lists the phases and floors of all texts. What a later text repeats stands once.
func textsOf(r *policy.Restriction) []event {
	type part struct {
		at       time.Time
		what     string
		channels policy.ChannelSet
	}
	var all []event
	current := map[part]int{} // those of the text before, into all
	for i := range r.Revisions {
		rev := &r.Revisions[i]
		next := map[part]int{}
		add := func(at policy.Instant, what string, channels policy.ChannelSet, source *policy.Source) {
			key := part{at.At, what, channels}
			if n, repeated := current[key]; repeated {
				next[key] = n
				return
			}
			if source == nil {
				source = &rev.Source
			}
			next[key] = len(all)
			all = append(all, event{at, what, channels, day(rev.Published), source})
		}
		for j := range rev.Phases {
			p := &rev.Phases[j]
			add(p.From, p.Effect.String(), p.Channels, p.Source)
		}
		for j := range rev.Floors {
			f := &rev.Floors[j]
			add(f.AtLeastUntil, "floor: permitted at least until here", f.Channels, f.Source)
		}
		for key, n := range current {
			if _, repeated := next[key]; !repeated {
				all[n].published += " to " + day(rev.Published)
			}
		}
		current = next
	}
	return all
}

func staysOf(r *policy.Restriction) (all []event) {
	channels := map[string]policy.ChannelSet{}
	for i := range r.Stays {
		s := &r.Stays[i]
		add := func(at policy.Instant, id, what string) {
			all = append(all, event{at, "stay " + code(id) + " " + what, channels[id], day(s.Published), &s.Source})
		}
		if s.Lifts != "" {
			add(s.From, s.Lifts, "is lifted")
			continue
		}
		channels[s.ID] = s.Channels
		add(s.From, s.ID, "begins")
		if s.Until != nil {
			add(*s.Until, s.ID, "ends")
		}
	}
	return all
}

func licencesOf(r *policy.Restriction) (all []event) {
	for i := range r.Licences {
		l := &r.Licences[i]
		all = append(all,
			event{l.From, "licence " + code(l.ID) + " begins", l.Channels, day(l.Published), &l.Source},
			event{l.Until, "licence " + code(l.ID) + " ends", l.Channels, day(l.Published), &l.Source})
	}
	return all
}
