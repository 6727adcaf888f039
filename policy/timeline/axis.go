package timeline

import "time"

// axis puts instants in their place across.
type axis struct {
	from, to    time.Time
	left, right float64
}

// x is where an instant is, at the edge if it is beyond.
func (a *axis) x(at time.Time) float64 {
	share := float64(at.Unix()-a.from.Unix()) / float64(a.to.Unix()-a.from.Unix())
	return a.left + min(max(share, 0), 1)*(a.right-a.left)
}

func (a *axis) holds(at time.Time) bool { return !at.Before(a.from) && !at.After(a.to) }

// step is a distance of ticks on the calendar.
type step struct {
	days, months, years int
	layout              string
}

var steps = []step{
	{days: 1, layout: "2 Jan"},
	{days: 7, layout: "2 Jan"},
	{months: 1, layout: "Jan 2006"},
	{months: 3, layout: "Jan 2006"},
	{months: 6, layout: "Jan 2006"},
	{years: 1, layout: "2006"},
	{years: 2, layout: "2006"},
	{years: 5, layout: "2006"},
	{years: 20, layout: "2006"},
	{years: 100, layout: "2006"},
}

// minTick is the least distance of ticks, so that their names have room.
const minTick = 62

type tick struct {
	x    float64
	name string
}

// ticks are the beginnings of days, months or years, in UTC, as many as have room.
func (a *axis) ticks() (list []tick) {
	const day = 24 * time.Hour
	s := steps[len(steps)-1]
	perDay := (a.right - a.left) / max(float64(a.to.Sub(a.from))/float64(day), 1)
	for _, candidate := range steps {
		length := float64(candidate.days) + 30.4*float64(candidate.months) + 365*float64(candidate.years)
		if length*perDay >= minTick {
			s = candidate
			break
		}
	}
	for at := s.first(a.from); !at.After(a.to); at = at.AddDate(s.years, s.months, s.days) {
		if !at.Before(a.from) {
			list = append(list, tick{a.x(at), at.Format(s.layout)})
		}
	}
	return list
}

// first is a tick at or before an instant.
func (s *step) first(at time.Time) time.Time {
	at = at.UTC()
	switch {
	case s.years > 0:
		return time.Date(at.Year()-at.Year()%s.years, 1, 1, 0, 0, 0, 0, time.UTC)
	case s.months > 0:
		month := int(at.Month()) - 1
		return time.Date(at.Year(), time.Month(month-month%s.months+1), 1, 0, 0, 0, 0, time.UTC)
	case s.days > 1: // weeks begin on Monday
		return time.Date(at.Year(), at.Month(), at.Day()-(int(at.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
}

// span finds what the axis has to hold: the window, or all that begins or ends, with room around it.
func (t *Timeline) span() (from, to time.Time) {
	from, to = t.At, t.At
	note := func(at time.Time) {
		if (t.From.IsZero() || !at.Before(t.From)) && (t.To.IsZero() || !at.After(t.To)) {
			if from.IsZero() || at.Before(from) {
				from = at
			}
			if at.After(to) {
				to = at
			}
		}
	}
	for i := range t.Sites {
		for j := range t.Sites[i].Groups {
			t.Sites[i].Groups[j].instants(note)
		}
	}
	length := to.Sub(from)
	if !t.From.IsZero() {
		from = t.From
	} else {
		from = from.Add(-max(length/8, 10*24*time.Hour))
	}
	if !t.To.IsZero() {
		to = t.To
	} else {
		to = to.Add(max(length/6, 10*24*time.Hour))
	}
	if !from.Before(to) { // the window lies before or behind the present
		if t.From.IsZero() {
			from = to.Add(-365 * 24 * time.Hour)
		} else {
			to = from.Add(365 * 24 * time.Hour)
		}
	}
	return from, to
}

// instants calls note with all that begins or ends in the group.
func (g *Group) instants(note func(time.Time)) {
	for i := range g.Rows {
		for j := range g.Rows[i].Spans {
			if in := g.Rows[i].Spans[j].From; in != nil {
				note(in.At)
			}
		}
	}
	for i := range g.Marks {
		note(g.Marks[i].From.At)
		if until := g.Marks[i].Until; until != nil {
			note(until.At)
		}
	}
	for i := range g.Restrictions {
		for j := range g.Restrictions[i].Texts {
			note(g.Restrictions[i].Texts[j].Published.At)
		}
	}
}
