package main

import (
	"io"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
	"github.com/gracegate/gracegate/policy/timeline"
)

// The JSON of a timeline. Instants are in UTC, with the zone that their text speaks in; what is absent is null.
type timelineJSON struct {
	At          string             `json:"at"`
	KnownAt     *string            `json:"known_at"`
	From        *string            `json:"from"`
	To          *string            `json:"to"`
	Revision    string             `json:"revision"`
	Restriction *string            `json:"restriction"` // whose alone it is; null: the policy's
	Sites       []timelineSiteJSON `json:"sites"`
}

type timelineSiteJSON struct {
	Sites         []*string           `json:"sites"` // null: the default site
	Jurisdictions []string            `json:"jurisdictions"`
	Groups        []timelineGroupJSON `json:"groups"`
}

type timelineGroupJSON struct {
	Vendor       *string                   `json:"vendor"`
	Name         *string                   `json:"name"`
	InForce      bool                      `json:"in_force"` // false: what the restriction would do by itself
	Restrictions []timelineRestrictionJSON `json:"restrictions"`
	Rows         []timelineRowJSON         `json:"rows"`
	Marks        []timelineMarkJSON        `json:"marks"`
}

type timelineRestrictionJSON struct {
	ID       string             `json:"id"`
	Title    string             `json:"title"`
	Strength string             `json:"strength"`
	Verified bool               `json:"verified"`
	Mode     string             `json:"mode"`
	Enforced bool               `json:"enforced"`
	Note     *string            `json:"note"`
	Texts    []timelineTextJSON `json:"texts"`
}

type timelineTextJSON struct {
	Published *timelineInstantJSON `json:"published"`
	Source    *sourceJSON          `json:"source"`
}

type timelineRowJSON struct {
	Channels     []string           `json:"channels"`
	Only         *string            `json:"only"`
	Known        bool               `json:"endpoint_known"`
	Separable    bool               `json:"separable"`
	Destinations []destinationJSON  `json:"destinations"`
	Now          *timelineSpanJSON  `json:"now"`
	DaysLeft     *int               `json:"days_left"`
	Then         *timelineSpanJSON  `json:"then"`
	Spans        []timelineSpanJSON `json:"spans"`
}

type timelineSpanJSON struct {
	From    *timelineInstantJSON `json:"from"`
	Until   *timelineInstantJSON `json:"until"`
	Verdict string               `json:"verdict"`
	State   string               `json:"state"`
	Need    *string              `json:"need"`
	Kind    *string              `json:"kind"`
	ID      *string              `json:"id"`
	Reasons []reasonJSON         `json:"reasons,omitempty"`
}

type timelineInstantJSON struct {
	At      string  `json:"at"`
	Zone    *string `json:"zone"`
	Assumed *string `json:"assumed"`
}

type timelineMarkJSON struct {
	Kind        string               `json:"kind"`
	ID          *string              `json:"id"`
	Restriction string               `json:"restriction"`
	Channels    []string             `json:"channels"`
	Published   *timelineInstantJSON `json:"published"`
	From        *timelineInstantJSON `json:"from"`
	Until       *timelineInstantJSON `json:"until"`
	Condition   *string              `json:"condition"`
	Source      *sourceJSON          `json:"source"`
}

func writeTimelineJSON(w io.Writer, t *timeline.Timeline) error {
	j := timelineJSON{
		At: instant.Format(t.At), KnownAt: orNull(knownText(t.KnownAt)), From: instantOrNull(t.From), To: instantOrNull(t.To),
		Revision: t.Revision, Restriction: orNull(t.Restriction), Sites: []timelineSiteJSON{},
	}
	for i := range t.Sites {
		s := &t.Sites[i]
		site := timelineSiteJSON{Sites: []*string{}, Jurisdictions: orEmpty(s.Jurisdictions), Groups: []timelineGroupJSON{}}
		for _, name := range s.Names {
			site.Sites = append(site.Sites, orNull(name))
		}
		for k := range s.Groups {
			site.Groups = append(site.Groups, timelineGroup(t, &s.Groups[k]))
		}
		j.Sites = append(j.Sites, site)
	}
	return writeJSON(w, j)
}

func timelineGroup(t *timeline.Timeline, g *timeline.Group) timelineGroupJSON {
	j := timelineGroupJSON{
		Vendor: orNull(g.Vendor), Name: orNull(g.Name), InForce: !g.Hypothetical, Restrictions: []timelineRestrictionJSON{},
		Rows: []timelineRowJSON{}, Marks: []timelineMarkJSON{},
	}
	for i := range g.Restrictions {
		r := &g.Restrictions[i]
		restriction := timelineRestrictionJSON{
			ID: r.ID, Title: r.Title, Strength: r.Strength.String(), Verified: r.Verified, Mode: r.Mode.String(), Enforced: r.Enforced,
			Note: orNull(r.Note), Texts: []timelineTextJSON{},
		}
		for k := range r.Texts {
			restriction.Texts = append(restriction.Texts, timelineTextJSON{timelineInstant(&r.Texts[k].Published), newSourceJSON(&r.Texts[k].Source)})
		}
		j.Restrictions = append(j.Restrictions, restriction)
	}
	for i := range g.Rows {
		j.Rows = append(j.Rows, timelineRow(t, &g.Rows[i]))
	}
	for i := range g.Marks {
		m := &g.Marks[i]
		j.Marks = append(j.Marks, timelineMarkJSON{
			m.Kind, orNull(m.ID), m.Restriction, channelWords(m.Channels.List()), timelineInstant(m.Published), timelineInstant(&m.From),
			timelineInstant(m.Until), orNull(m.Condition), newSourceJSON(m.Source),
		})
	}
	return j
}

func timelineRow(t *timeline.Timeline, r *timeline.Row) timelineRowJSON {
	j := timelineRowJSON{
		Channels: channelWords(r.Channels), Only: orNull(r.Only), Known: r.Known(), Separable: !r.NotSeparable, Destinations: []destinationJSON{},
		Spans: []timelineSpanJSON{},
	}
	for i := range r.Destinations {
		j.Destinations = append(j.Destinations, newDestinationJSON(&r.Destinations[i]))
	}
	n := r.Now(t.At)
	j.Now = timelineSpan(&r.Spans[n], false)
	if n+1 < len(r.Spans) {
		days := int(r.Spans[n].Until.At.Sub(t.At) / (24 * time.Hour))
		j.DaysLeft, j.Then = &days, timelineSpan(&r.Spans[n+1], false)
	}
	for _, s := range t.Window(r) {
		j.Spans = append(j.Spans, *timelineSpan(&s, true))
	}
	return j
}

func timelineSpan(s *timeline.Span, why bool) *timelineSpanJSON {
	j := &timelineSpanJSON{
		From: timelineInstant(s.From), Until: timelineInstant(s.Until), Verdict: s.Verdict.String(), State: s.State.String(),
		Need: orNull(s.Need.String()), Kind: orNull(s.By.Kind), ID: orNull(s.By.ID),
	}
	for i := range s.Reasons {
		if why {
			j.Reasons = append(j.Reasons, newReasonJSON(&s.Reasons[i], false))
		}
	}
	return j
}

func timelineInstant(in *policy.Instant) *timelineInstantJSON {
	if in == nil {
		return nil
	}
	zone := time.UTC
	if in.Zone != nil {
		zone = in.Zone
	}
	return &timelineInstantJSON{instant.Format(in.At), orNull(zone.String()), orNull(in.Assumed)}
}
