package instant

import (
	"testing"
	"time"
)

func FuzzParse(f *testing.F) {
	for _, c := range parsed {
		f.Add(c.in)
	}
	for _, c := range unparsed {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		if err != nil {
			checkError(t, s, err)
			return
		}
		if got.Before(Earliest) || got.After(Latest) || got.Location() != time.UTC || !time.Unix(0, got.UnixNano()).Equal(got) {
			t.Errorf("Parse(%q) = %v, out of bounds", s, got)
		}
		if again, err := Parse(Format(got)); err != nil || !again.Equal(got) {
			t.Errorf("Parse(%q) = %v, and of its format %v, %v", s, got, again, err)
		}
		if std, err := time.Parse(time.RFC3339Nano, s); err != nil || !std.Equal(got) {
			t.Errorf("Parse(%q) = %v, but package time reads %v, %v", s, got, std, err)
		}
	})
}

func FuzzLegal(f *testing.F) {
	for _, c := range legal {
		f.Add(c.value, c.zone)
	}
	for _, c := range illegal {
		f.Add(c.value, c.zone)
	}
	f.Fuzz(func(t *testing.T, value, name string) {
		z, err := LoadZone(name)
		if err != nil {
			checkError(t, name, err)
			return
		}
		until, err := Legal(Until, value, z)
		if err != nil {
			checkError(t, value, err)
		} else {
			checkUntil(t, value, z, until)
		}
		through, throughErr := Legal(Through, value, z)
		if throughErr != nil {
			checkError(t, value, throughErr)
		}
		d, err := Day(value)
		if err != nil {
			return // not a date, which is all that through takes
		}
		next, nextErr := Legal(Until, d.next().String(), z)
		if throughErr == nil && (nextErr != nil || !next.Equal(through)) {
			t.Errorf("through %s in %s = %v, but until the next date is %v, %v", value, name, through, next, nextErr)
		}
		if throughErr != nil && nextErr == nil && !skipped(d, z) {
			t.Errorf("through %s in %s: %v, but until the next date is %v", value, name, throughErr, next)
		}
	})
}

// checkUntil checks the instant of "until value" in z: a clock there shows value, and for a date, it did not a
// nanosecond before.
func checkUntil(t *testing.T, value string, z *time.Location, got time.Time) {
	t.Helper()
	if by, err := Legal(By, value, z); err != nil || !by.Equal(got) {
		t.Errorf("until %s in %v = %v, but by = %v, %v", value, z, got, by, err)
	}
	shown := got.In(z).Format("2006-01-02T15:04:05.000000000")
	if len(value) == len("2006-01-02") {
		if shown != value+"T00:00:00.000000000" {
			t.Errorf("until %s in %v = %v, where the clock shows %s", value, z, got, shown)
		}
		if before := got.Add(-1).In(z).Format(time.DateOnly); before == value {
			t.Errorf("until %s in %v = %v, but a nanosecond before it was %s already", value, z, got, before)
		}
		return
	}
	if full := (value + ":00.000000000"); len(value) == len("2006-01-02T15:04") && shown != full || shown[:16] != value[:16] {
		t.Errorf("until %s in %v = %v, where the clock shows %s", value, z, got, shown)
	}
	if again, err := Parse(FormatIn(got, z)); err != nil || !again.Equal(got) {
		t.Errorf("until %s in %v = %v, and written there and read again %v, %v", value, z, got, again, err)
	}
}

func checkError(t *testing.T, s string, err error) {
	t.Helper()
	for _, c := range []byte(err.Error()) {
		if c < ' ' || c > '~' {
			t.Errorf("%q: the error %q has byte %#x", s, err, c)
		}
	}
}
