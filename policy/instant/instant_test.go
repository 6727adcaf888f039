package instant

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var parsed = []struct{ in, want string }{
	{"2024-09-29T00:00:00-04:00", "2024-09-29T04:00:00Z"},
	{"2024-09-29T04:00:00Z", "2024-09-29T04:00:00Z"},
	{"2024-09-29T13:00:00+09:00", "2024-09-29T04:00:00Z"},
	{"2024-09-29T09:45:00+05:45", "2024-09-29T04:00:00Z"},
	{"2024-09-29T03:59:59.999999999Z", "2024-09-29T03:59:59.999999999Z"},
	{"2024-09-29T03:59:59.5Z", "2024-09-29T03:59:59.5Z"},
	{"2024-09-29T03:59:59.500000000Z", "2024-09-29T03:59:59.5Z"},
	{"2024-09-29T00:00:00-00:00", "2024-09-29T00:00:00Z"},
	{"2024-09-29T00:00:00+00:00", "2024-09-29T00:00:00Z"},
	{"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
	{"2000-02-29T23:59:59Z", "2000-02-29T23:59:59Z"},
	{"2025-01-01T13:59:59+14:00", "2024-12-31T23:59:59Z"},
	{"2024-12-31T12:00:00-12:00", "2025-01-01T00:00:00Z"},
	{"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
	{"1678-01-01T00:00:00Z", "1678-01-01T00:00:00Z"},
	{"1677-12-31T20:00:00-04:00", "1678-01-01T00:00:00Z"},
	{"2262-01-01T00:00:00Z", "2262-01-01T00:00:00Z"},
}

const (
	anyOffset  = "add the offset, such as -04:00, or Z for UTC, or use a legal word with an IANA zone"
	orWord     = example + ", or a legal word with an IANA zone"
	outOfRange = "out of range; instants go from 1678-01-01T00:00:00Z to 2262-01-01T00:00:00Z"
	noOffset   = "an offset that no clock has; offsets go from -12:00 to +14:00"
	shapeless  = "neither a date nor an instant; " + example
	spelling   = `"T" between date and time, and "Z", are written so; write `
)

// unparsed has for each input the reason and the hint.
var unparsed = []struct{ in, want string }{
	{"", "empty; " + example},
	{"2024-09-29", "a date without a time and an offset; write 2024-09-29T00:00:00 and the offset, such as -04:00, or name an IANA zone"},
	{"2024-09-29T00:00:00", "no offset; " + anyOffset},
	{"2024-09-29T00:00", "no offset; " + anyOffset},
	{"2024-09-29T00:00Z", "no seconds; write 2024-09-29T00:00:00Z"},
	{"2024-09-29T00:00-04:00", "no seconds; write 2024-09-29T00:00:00-04:00"},

	// Abbreviations.
	{"2024-09-29 00:00 EDT", "EDT is an abbreviation, not an offset; " + orWord},
	{"12:00AM EDT", "EDT is an abbreviation, not an offset; " + orWord},
	{"2024-09-29T00:00:00EST", "EST is an abbreviation, not an offset; " + orWord},
	{"2024-09-29T00:00:00 CEST", "CEST is an abbreviation, not an offset; " + orWord},
	{"EST", "EST is an abbreviation, not an offset; " + orWord},
	{"2024-09-29T00:00:00 UTC", "UTC in letters; write Z, as in 2024-09-29T00:00:00Z"},
	{"2024-09-29 00:00:00 GMT", "GMT in letters; write Z, as in 2024-09-29T00:00:00Z"},
	{"2024-09-29 12:00 AM", "a 12-hour clock; " + example},
	{"2024-09-29T12:00am", "a 12-hour clock; " + example},
	{"2024-09-29 11:59 p.m.", "a 12-hour clock; " + example},

	// Clock readings that do not exist.
	{"2024-09-28T24:00:00-04:00", "hour 24 is not read; write 2024-09-29T00:00:00-04:00"},
	{"2024-12-31T24:00:00Z", "hour 24 is not read; write 2025-01-01T00:00:00Z"},
	{"2024-09-28T24:00:01Z", "hour 24 does not exist; hours go from 00 to 23"},
	{"2024-09-28T25:00:00Z", "hour 25 does not exist; hours go from 00 to 23"},
	{"2024-09-28T23:60:00Z", "minute 60 does not exist; minutes go from 00 to 59"},
	{"2016-12-31T23:59:60Z", "second 60: leap seconds are not kept; write the first second of the next minute"},
	{"2024-09-28T23:59:61Z", "second 61 does not exist; seconds go from 00 to 59"},
	{"2024-09-28T23:59:59.9999999999Z", "finer than a nanosecond; write at most nine decimals"},

	// Dates that do not exist.
	{"2023-02-29", "the date does not exist; the last day of that month is 2023-02-28"},
	{"2023-02-29T00:00:00Z", "the date does not exist; the last day of that month is 2023-02-28"},
	{"1900-02-29T00:00:00Z", "the date does not exist; the last day of that month is 1900-02-28"},
	{"2024-04-31T00:00:00Z", "the date does not exist; the last day of that month is 2024-04-30"},
	{"2024-12-32T00:00:00Z", "the date does not exist; the last day of that month is 2024-12-31"},
	{"2024-09-00T00:00:00Z", "the date does not exist; the last day of that month is 2024-09-30"},
	{"2024-13-01T00:00:00Z", "month 13 does not exist; months go from 01 to 12"},
	{"2024-00-01T00:00:00Z", "month 0 does not exist; months go from 01 to 12"},

	// Range.
	{"1677-12-31T23:59:59.999999999Z", outOfRange},
	{"2262-01-01T00:00:00.000000001Z", outOfRange},
	{"0000-01-01T00:00:00Z", outOfRange},
	{"0001-01-01T00:00:00Z", outOfRange},
	{"9999-12-31T23:59:59Z", outOfRange},
	{"12024-09-29T00:00:00Z", shapeless},
	{"-2024-09-29T00:00:00Z", shapeless},

	// Offsets.
	{"2024-09-29T00:00:00+24:00", noOffset},
	{"2024-09-29T00:00:00-24:00", noOffset},
	{"2024-09-29T00:00:00+14:01", noOffset},
	{"2024-09-29T00:00:00-12:01", noOffset},
	{"2024-09-29T00:00:00+99:99", noOffset},
	{"2024-09-29T00:00:00+05:60", noOffset},
	{"2024-09-29T00:00:00-0400", "an offset without colon and minutes; " + example},
	{"2024-09-29T00:00:00-04", "an offset without colon and minutes; " + example},
	{"2024-09-29T00:00:00-4:00", shapeless},
	{"2024-09-29T00:00:00\u221204:00", shapeless},

	// Spelling.
	{"2024-09-29 00:00:00Z", spelling + "2024-09-29T00:00:00Z"},
	{"2024-09-29t00:00:00z", spelling + "2024-09-29T00:00:00Z"},
	{"2024-09-29T00:00:00z", spelling + "2024-09-29T00:00:00Z"},
	{"2024-09-29 00:00:00-04:00", spelling + "2024-09-29T00:00:00-04:00"},
	{"2024-09-29T00:00:00,5Z", "a decimal comma; write a decimal point"},
	{"2024-09-29T00:00:00.Z", shapeless},
	{"2024-09-29T0:00:00Z", shapeless},
	{"2024-9-29", shapeless},
	{"09/29/2024", shapeless},
	{"29 September 2024", shapeless},
	{"20240929T000000Z", shapeless},
	{"2024-W39-7T00:00:00Z", shapeless},
	{"1727582400", shapeless},
	{"now", shapeless},
	{"٢٠٢٤-09-29T00:00:00Z", shapeless},
	{" 2024-09-29T00:00:00Z", "a blank at its start or end; leave out the blank"},
	{"2024-09-29T00:00:00Z\n", "a blank at its start or end; leave out the blank"},
	{"2024-09-29T00:00:00Z\x00", shapeless},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range parsed {
		got, err := Parse(c.in)
		if err != nil || Format(got) != c.want || got.Location() != time.UTC {
			t.Errorf("Parse(%q) = %v, %v; want %s", c.in, got, err, c.want)
		}
	}
	for _, c := range unparsed {
		got, err := Parse(c.in)
		refusedAs(t, "Parse("+c.in+")", got, err, c.in, c.want)
	}
}

// refusedAs checks for an error of this package about input, with "reason; hint" as wanted.
func refusedAs(t *testing.T, what string, got time.Time, err error, input, want string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("%s = %v, %v; want the error %q", what, got, err, want)
		return
	}
	if e.Kind != "instant" || e.Input != input || e.Reason+"; "+e.Hint != want {
		t.Errorf("%s: %s %q: %s; %s\nwant %s", what, e.Kind, e.Input, e.Reason, e.Hint, want)
	}
	if !got.IsZero() {
		t.Errorf("%s = %v beside its error", what, got)
	}
}

func TestParseIn(t *testing.T) {
	t.Parallel()
	newYork := zone(t, "America/New_York")
	for in, want := range map[string]string{
		"2024-09-29":                "2024-09-29T04:00:00Z",
		"2024-12-29":                "2024-12-29T05:00:00Z",
		"2024-09-29T00:00:00+09:00": "2024-09-28T15:00:00Z", // the offset counts, not the zone
		"2024-09-29T00:00:00Z":      "2024-09-29T00:00:00Z",
	} {
		if got, err := ParseIn(in, newYork); err != nil || Format(got) != want || got.Location() != time.UTC {
			t.Errorf("ParseIn(%q) = %v, %v; want %s", in, got, err, want)
		}
	}
	for _, c := range unparsed {
		if c.in == "2024-09-29" {
			continue
		}
		got, err := ParseIn(c.in, newYork)
		refusedAs(t, "ParseIn("+c.in+")", got, err, c.in, c.want)
	}
	got, err := ParseIn("2024-09-29", nil)
	refusedAs(t, "ParseIn without a zone", got, err, "2024-09-29", unparsed[1].want)
	got, err = ParseIn("2018-11-04", zone(t, "America/Sao_Paulo"))
	refusedAs(t, "ParseIn", got, err, "2018-11-04", "midnight of 2018-11-04 does not exist in America/Sao_Paulo; that date begins at 2018-11-04T01:00:00-02:00")
}

func TestFormat(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 9, 29, 4, 0, 0, 500, time.UTC)
	cest := time.FixedZone("", 2*3600)
	if got := Format(at.In(cest)); got != "2024-09-29T04:00:00.0000005Z" {
		t.Errorf("Format = %s", got)
	}
	for _, c := range []struct {
		zone *time.Location
		at   time.Time
		want string
	}{
		{nil, at.In(cest), "2024-09-29T04:00:00.0000005Z"},
		{time.UTC, at, "2024-09-29T04:00:00.0000005Z"},
		{zone(t, "America/New_York"), at, "2024-09-29T00:00:00.0000005-04:00"},
		{zone(t, "Asia/Kathmandu"), at, "2024-09-29T09:45:00.0000005+05:45"},
		{zone(t, "America/New_York"), Earliest, "1678-01-01T00:00:00Z"}, // its offset was -4:56:02
		{zone(t, "Asia/Manila"), Earliest, "1678-01-01T00:00:00Z"},      // its offset was -15:56
		{time.FixedZone("", -4*3600), Earliest, "1677-12-31T20:00:00-04:00"},
		{time.FixedZone("", 14*3600+60), at, "2024-09-29T04:00:00.0000005Z"},
	} {
		got := FormatIn(c.at, c.zone)
		if got != c.want {
			t.Errorf("FormatIn(%v, %v) = %s, want %s", c.at, c.zone, got, c.want)
		}
		if again, err := Parse(got); err != nil || !again.Equal(c.at) {
			t.Errorf("Parse(%s) = %v, %v; want %v", got, again, err, c.at)
		}
	}
}

func TestBoundsFitInt64(t *testing.T) {
	t.Parallel()
	for _, bound := range []time.Time{Earliest, Latest} {
		if again := time.Unix(0, bound.UnixNano()); !again.Equal(bound) {
			t.Errorf("%v is %v after its nanoseconds", bound, again)
		}
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2024-09-28T24:00:00Z":   `instant "2024-09-28T24:00:00Z": hour 24 is not read; write 2024-09-29T00:00:00Z`,
		"\x1b[31mü\n!":           `instant "\x1b[31m\u00fc\n!": ` + shapeless,
		strings.Repeat("x", 300): `instant "` + strings.Repeat("x", 100) + `": ` + shapeless,
	} {
		if _, err := Parse(in); err == nil || err.Error() != want {
			t.Errorf("Parse(%q): %v\nwant %s", in, err, want)
		}
	}
}

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	z, err := LoadZone(name)
	if err != nil {
		tb.Fatal(err)
	}
	return z
}
