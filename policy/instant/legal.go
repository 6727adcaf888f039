package instant

import (
	"slices"
	"sort"
	"time"
)

// Word is how a legal text relates to a date.
type Word string

// The legal words. The first three all mean the first instant of the date: what is permitted "until" or "by" a date is
// over when the date begins, and what is prohibited "on or after" it begins then.
const (
	OnOrAfter Word = "on-or-after"
	Until     Word = "until"
	By        Word = "by"
	Through   Word = "through" // the first instant of the next date
)

// Legal returns the instant that a legal word and a date mean in a zone, in UTC. The value is a date; except with
// [Through] it may also be a local date and time without offset, "2024-09-29T12:00", seconds and decimals optional.
//
// The first instant of a date is its midnight. Where clocks are set back over midnight it comes twice, and the first of
// the two is meant. A date whose midnight a change of clocks skips is refused, since a law cannot have meant a moment
// that was not; so are a date skipped altogether, and a local time that is skipped or comes twice. The hint has the
// instants that exist. The error is an [*Error].
func Legal(w Word, value string, zone *time.Location) (time.Time, error) {
	switch w {
	case OnOrAfter, Until, By, Through:
	default:
		return time.Time{}, &Error{Kind: "word", Input: string(w), Reason: "not a legal word", Hint: "use on-or-after, until, by or through"}
	}
	if zone == nil {
		return time.Time{}, fail(value, "a legal word without a zone", "add an IANA zone such as America/New_York")
	}
	t, err := split(value)
	switch {
	case err != nil:
		return time.Time{}, err
	case t.offset != "":
		return time.Time{}, fail(value, "an offset beside a legal word", "leave out the offset, or the word and its zone")
	case w == Through && t.hasClock:
		return time.Time{}, fail(value, "through takes a date, not a time", "write "+t.date.String()+", or until with the time")
	case t.hasClock:
		return onlyOf(value, t.date.utc().Add(t.clock), zone)
	case w == Through:
		if skipped(t.date, zone) {
			return firstOf(value, t.date, zone)
		}
		return firstOf(value, t.date.next(), zone)
	}
	return firstOf(value, t.date, zone)
}

// firstOf returns the first instant of a date in a zone.
func firstOf(input string, d Date, zone *time.Location) (time.Time, error) {
	found, after := find(d.utc(), zone)
	if len(found) > 0 {
		return bounded(input, found[0])
	}
	if skipped(d, zone) {
		return time.Time{}, fail(input, d.String()+" does not exist in "+zone.String(), "the next instant there is "+FormatIn(after, zone))
	}
	return time.Time{}, fail(input, "midnight of "+d.String()+" does not exist in "+zone.String(), "that date begins at "+FormatIn(after, zone))
}

// onlyOf returns the one instant at which clocks in a zone show wall.
func onlyOf(input string, wall time.Time, zone *time.Location) (time.Time, error) {
	found, after := find(wall, zone)
	switch len(found) {
	case 0:
		return time.Time{}, fail(input, "clocks in "+zone.String()+" skip this time", "the next instant there is "+FormatIn(after, zone))
	case 1:
		return bounded(input, found[0])
	}
	return time.Time{}, fail(input, "this time comes twice in "+zone.String(), "write "+FormatIn(found[0], zone)+" or "+FormatIn(found[1], zone)+" without the word")
}

// skipped reports whether no clock in zone ever showed the date.
func skipped(d Date, zone *time.Location) bool {
	found, after := find(d.utc(), zone)
	return len(found) == 0 && dateOf(after.In(zone)) != d
}

// find returns the instants, in order, at which clocks in zone show wall, whose fields are read as UTC. If there are
// none, after is the first instant at which they show something later: the change of clocks that skips wall.
//
// It asks for offsets alone: in leap years time.Time.ZoneBounds ends the year, and so a period, a day early.
func find(wall time.Time, zone *time.Location) (found []time.Time, after time.Time) {
	const widest = 24 * time.Hour // beyond any offset
	var tried []time.Duration
	for at := wall.Add(-widest); !at.After(wall.Add(widest)); at = at.Add(12 * time.Hour) { // offsets hold for days
		offset := offsetOf(at, zone)
		if slices.Contains(tried, offset) {
			continue
		}
		tried = append(tried, offset)
		if candidate := wall.Add(-offset); offsetOf(candidate, zone) == offset {
			found = append(found, candidate)
		}
	}
	if len(found) > 0 {
		slices.SortFunc(found, time.Time.Compare)
		return found, time.Time{}
	}
	first := wall.Truncate(time.Second).Add(-widest) // clocks change on whole seconds
	seconds := sort.Search(int(2*widest/time.Second), func(n int) bool {
		at := first.Add(time.Duration(n) * time.Second)
		return at.Add(offsetOf(at, zone)).After(wall)
	})
	return nil, first.Add(time.Duration(seconds) * time.Second)
}

// offsetOf returns how far ahead of UTC clocks in zone are at an instant.
func offsetOf(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}
