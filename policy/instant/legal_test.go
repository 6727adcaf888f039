package instant

import (
	"math/rand/v2"
	"testing"
	"time"
)

var legal = []struct {
	word               Word
	value, zone, wants string
}{
	// The model case.
	{OnOrAfter, "2024-09-29", "America/New_York", "2024-09-29T04:00:00Z"},
	{Until, "2024-09-29", "America/New_York", "2024-09-29T04:00:00Z"},
	{By, "2024-09-29", "America/New_York", "2024-09-29T04:00:00Z"},
	{Through, "2024-09-28", "America/New_York", "2024-09-29T04:00:00Z"},
	{Through, "2024-09-29", "America/New_York", "2024-09-30T04:00:00Z"},
	{Until, "2024-09-29", "UTC", "2024-09-29T00:00:00Z"},
	{Until, "2024-09-29", "Europe/Berlin", "2024-09-28T22:00:00Z"},
	{Until, "2024-09-29", "Pacific/Kiritimati", "2024-09-28T10:00:00Z"},

	// Across a change of clocks, a month, a year, a leap day.
	{Until, "2024-03-10", "America/New_York", "2024-03-10T05:00:00Z"},
	{Through, "2024-03-10", "America/New_York", "2024-03-11T04:00:00Z"},
	{Through, "2024-11-03", "America/New_York", "2024-11-04T05:00:00Z"},
	{Through, "2024-12-31", "America/New_York", "2025-01-01T05:00:00Z"},
	{Until, "2024-12-31", "America/New_York", "2024-12-31T05:00:00Z"}, // where time.Time.ZoneBounds errs
	{Through, "2024-02-28", "UTC", "2024-02-29T00:00:00Z"},
	{Through, "2023-02-28", "UTC", "2023-03-01T00:00:00Z"},

	// Local times.
	{Until, "2024-09-29T00:00", "America/New_York", "2024-09-29T04:00:00Z"},
	{By, "2024-09-29T17:00:00", "America/New_York", "2024-09-29T21:00:00Z"},
	{OnOrAfter, "2024-09-29T23:59:59.999999999", "America/New_York", "2024-09-30T03:59:59.999999999Z"},
	{Until, "2024-03-10T01:59:59.999999999", "America/New_York", "2024-03-10T06:59:59.999999999Z"},
	{Until, "2024-03-10T03:00", "America/New_York", "2024-03-10T07:00:00Z"},
	{Until, "2024-11-03T00:59:59.999999999", "America/New_York", "2024-11-03T04:59:59.999999999Z"},
	{Until, "2024-11-03T02:00", "America/New_York", "2024-11-03T07:00:00Z"},

	// A midnight that comes twice: the first.
	{Until, "2024-11-03", "America/Havana", "2024-11-03T04:00:00Z"},
	{Through, "2024-11-02", "America/Havana", "2024-11-03T04:00:00Z"},
	{Until, "2010-11-07", "America/Goose_Bay", "2010-11-07T03:00:00Z"}, // back from 00:01 to 23:01 of the day before
	// Clocks set back from midnight to 23:00: midnight comes once, an hour late.
	{Until, "2018-02-18", "America/Sao_Paulo", "2018-02-18T03:00:00Z"},
	// The day whose midnight is missing has an end like others.
	{Through, "2018-11-04", "America/Sao_Paulo", "2018-11-05T02:00:00Z"},
	{Until, "2018-11-04T01:00", "America/Sao_Paulo", "2018-11-04T03:00:00Z"},
	// The days beside one that was skipped, and one that came twice.
	{Until, "2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00Z"},
	{Until, "2011-12-29", "Pacific/Apia", "2011-12-29T10:00:00Z"},
	{Until, "1969-09-30", "Pacific/Kwajalein", "1969-09-29T13:00:00Z"},
	{Through, "1969-09-30", "Pacific/Kwajalein", "1969-10-01T12:00:00Z"},

	// Far in the future the rule of the zone goes on; long ago there was local mean time.
	{Until, "2200-07-01", "America/New_York", "2200-07-01T04:00:00Z"},
	{Until, "1800-07-01", "America/New_York", "1800-07-01T04:56:02Z"},
	{Until, "2262-01-01", "Asia/Tokyo", "2261-12-31T15:00:00Z"},
}

var illegal = []struct {
	word              Word
	value, zone, want string
}{
	// Times that a change of clocks skips or repeats.
	{Until, "2024-03-10T02:30", "America/New_York", "clocks in America/New_York skip this time; the next instant there is 2024-03-10T03:00:00-04:00"},
	{Until, "2024-03-10T02:00", "America/New_York", "clocks in America/New_York skip this time; the next instant there is 2024-03-10T03:00:00-04:00"},
	{By, "2024-03-10T02:59:59.999999999", "America/New_York", "clocks in America/New_York skip this time; the next instant there is 2024-03-10T03:00:00-04:00"},
	{OnOrAfter, "2024-11-03T01:00", "America/New_York", "this time comes twice in America/New_York; write 2024-11-03T01:00:00-04:00 or 2024-11-03T01:00:00-05:00 without the word"},
	{Until, "2024-11-03T01:30:00.5", "America/New_York", "this time comes twice in America/New_York; write 2024-11-03T01:30:00.5-04:00 or 2024-11-03T01:30:00.5-05:00 without the word"},
	{Until, "2024-11-03T01:59:59.999999999", "America/New_York", "this time comes twice in America/New_York; write 2024-11-03T01:59:59.999999999-04:00 or 2024-11-03T01:59:59.999999999-05:00 without the word"},
	{Until, "2024-11-03T00:00", "America/Havana", "this time comes twice in America/Havana; write 2024-11-03T00:00:00-04:00 or 2024-11-03T00:00:00-05:00 without the word"},
	{Until, "2024-04-07T01:45", "Australia/Lord_Howe", "this time comes twice in Australia/Lord_Howe; write 2024-04-07T01:45:00+11:00 or 2024-04-07T01:45:00+10:30 without the word"},
	{Until, "2018-11-04T00:00", "America/Sao_Paulo", "clocks in America/Sao_Paulo skip this time; the next instant there is 2018-11-04T01:00:00-02:00"},

	// Midnights and dates that are not.
	{Until, "2018-11-04", "America/Sao_Paulo", "midnight of 2018-11-04 does not exist in America/Sao_Paulo; that date begins at 2018-11-04T01:00:00-02:00"},
	{Through, "2018-11-03", "America/Sao_Paulo", "midnight of 2018-11-04 does not exist in America/Sao_Paulo; that date begins at 2018-11-04T01:00:00-02:00"},
	{OnOrAfter, "2024-04-26", "Africa/Cairo", "midnight of 2024-04-26 does not exist in Africa/Cairo; that date begins at 2024-04-26T01:00:00+03:00"},
	{Until, "2011-12-30", "Pacific/Apia", "2011-12-30 does not exist in Pacific/Apia; the next instant there is 2011-12-31T00:00:00+14:00"},
	{Through, "2011-12-30", "Pacific/Apia", "2011-12-30 does not exist in Pacific/Apia; the next instant there is 2011-12-31T00:00:00+14:00"},
	{Through, "2011-12-29", "Pacific/Apia", "2011-12-30 does not exist in Pacific/Apia; the next instant there is 2011-12-31T00:00:00+14:00"},
	{Until, "2011-12-30T12:00", "Pacific/Apia", "clocks in Pacific/Apia skip this time; the next instant there is 2011-12-31T00:00:00+14:00"},
	{Until, "1993-08-21", "Pacific/Kwajalein", "1993-08-21 does not exist in Pacific/Kwajalein; the next instant there is 1993-08-22T00:00:00+12:00"},

	// What does not go with a word.
	{Through, "2024-09-28T12:00", "UTC", "through takes a date, not a time; write 2024-09-28, or until with the time"},
	{Until, "2024-09-29T00:00:00-04:00", "America/New_York", "an offset beside a legal word; leave out the offset, or the word and its zone"},
	{Through, "2024-09-29T00:00:00Z", "America/New_York", "an offset beside a legal word; leave out the offset, or the word and its zone"},
	{Until, "2024-09-29T24:00", "America/New_York", "hour 24 is not read; write 2024-09-30T00:00:00"},
	{Until, "2023-02-29", "UTC", "the date does not exist; the last day of that month is 2023-02-28"},
	{Until, "29 September 2024", "UTC", shapeless},
	{Until, "2024-09-29 00:00 EDT", "America/New_York", "EDT is an abbreviation, not an offset; " + orWord},

	// Range.
	{Until, "2262-01-01", "America/New_York", outOfRange},
	{Through, "2262-01-01", "UTC", outOfRange},
	{Through, "9999-12-31", "UTC", outOfRange},
	{Until, "1678-01-01", "Asia/Tokyo", outOfRange},
	{Until, "0001-01-01", "UTC", outOfRange},
}

func TestLegal(t *testing.T) {
	t.Parallel()
	for _, c := range legal {
		got, err := Legal(c.word, c.value, zone(t, c.zone))
		if err != nil || Format(got) != c.wants || got.Location() != time.UTC {
			t.Errorf("%s %s in %s = %v, %v; want %s", c.word, c.value, c.zone, got, err, c.wants)
		}
	}
	for _, c := range illegal {
		got, err := Legal(c.word, c.value, zone(t, c.zone))
		refusedAs(t, string(c.word)+" "+c.value+" in "+c.zone, got, err, c.value, c.want)
	}
}

func TestLegalNeedsWordAndZone(t *testing.T) {
	t.Parallel()
	_, err := Legal("before", "2024-09-29", time.UTC)
	if want := `word "before": not a legal word; use on-or-after, until, by or through`; err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	got, err := Legal(Until, "2024-09-29", nil)
	refusedAs(t, "without a zone", got, err, "2024-09-29", "a legal word without a zone; add an IANA zone such as America/New_York")
}

// TestFindAgainstClock compares find with a clock in each zone, watched minute by minute around its changes.
func TestFindAgainstClock(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2024, 929))
	for _, name := range zoneNames() {
		z := zone(t, name)
		for range 2 {
			// Since 1990 all offsets are whole minutes.
			day := time.Date(1990, 1, 1+random.IntN(50*365), 0, 0, 0, 0, time.UTC)
			if _, change := day.In(z).ZoneBounds(); !change.IsZero() {
				day = change.In(z)
			}
			year, month, date := day.Date()
			wall := time.Date(year, month, date, random.IntN(4), 30*random.IntN(2), 0, 0, time.UTC)
			compareWithClock(t, wall, z)
		}
	}
}

func compareWithClock(t *testing.T, wall time.Time, z *time.Location) {
	t.Helper()
	var watched []time.Time
	var after time.Time
	for at := wall.Add(-30 * time.Hour); at.Before(wall.Add(30 * time.Hour)); at = at.Add(time.Minute) {
		_, offset := at.In(z).Zone()
		shown := at.Add(time.Duration(offset) * time.Second)
		if shown.Equal(wall) {
			watched = append(watched, at)
		}
		if after.IsZero() && shown.After(wall) {
			after = at
		}
	}
	found, next := find(wall, z)
	same := len(found) == len(watched) && (len(found) > 0 || next.Equal(after))
	for i := range min(len(found), len(watched)) {
		same = same && found[i].Equal(watched[i])
	}
	if !same {
		t.Errorf("%v in %v: found %v, after %v; a clock shows it at %v, and later ones from %v", wall, z, found, next, watched, after)
	}
}
