// Package instant turns the dates that laws and their texts state into instants.
//
// An instant is a point in time with nanoseconds, kept in UTC. It is written as RFC 3339 with an offset, or as a legal
// word with a local date and an IANA zone. What could mean two instants, or none, is refused with a hint.
//
// The package reads no clock, reads no file of the machine (the zone database is in the binary), and decides nothing
// about what holds at an instant.
package instant

import "time"

// Earliest and Latest bound what can be expressed, both included. Between them the nanoseconds since 1970 fit an int64
// with room to spare, so that time.Time.UnixNano is exact.
var (
	Earliest = time.Date(1678, time.January, 1, 0, 0, 0, 0, time.UTC)
	Latest   = time.Date(2262, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// Parse reads an instant in RFC 3339: date, "T", time with seconds and at most nine decimals, and "Z" or an offset
// between -12:00 and +14:00. "T" and "Z" are upper case. "-00:00" is UTC, as RFC 3339, 4.3 has it. Hour 24 and second
// 60 are refused. The result is in UTC, between [Earliest] and [Latest]; the error is an [*Error].
func Parse(s string) (time.Time, error) {
	t, err := split(s)
	if err != nil {
		return time.Time{}, err
	}
	if !t.hasClock {
		return time.Time{}, fail(s, "a date without a time and an offset", "write "+t.date.String()+"T00:00:00 and the offset, such as -04:00, or name an IANA zone")
	}
	return t.withOffset()
}

// ParseIn reads what may stand in a file that names a zone: an instant as [Parse] reads it, or a bare date, which is
// the first instant of that date in zone (see [Legal]). A nil zone allows no bare date.
func ParseIn(s string, zone *time.Location) (time.Time, error) {
	t, err := split(s)
	if err != nil {
		return time.Time{}, err
	}
	if t.hasClock || zone == nil {
		return Parse(s)
	}
	return firstOf(s, t.date, zone)
}

// Format writes an instant in UTC as [Parse] reads it, with as many decimals as it has.
func Format(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// FormatIn writes an instant with the offset of a zone, as [Parse] reads it. Where that offset cannot be written, as
// with the local mean times of long ago (-4:56:02), it writes UTC: the text always names t exactly.
func FormatIn(t time.Time, zone *time.Location) string {
	if zone == nil {
		return Format(t)
	}
	local := t.In(zone)
	if _, seconds := local.Zone(); seconds%60 != 0 || seconds < minOffset || seconds > maxOffset {
		return Format(t)
	}
	return local.Format(time.RFC3339Nano)
}
