package instant

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Offsets in seconds: those in use since local mean times ended.
const (
	minOffset = -12 * 3600
	maxOffset = +14 * 3600
)

// text is an instant as it is written, each part checked by itself.
type text struct {
	input    string
	date     Date
	hasClock bool
	clock    time.Duration // since midnight by the wall clock
	seconds  bool          // the seconds were written
	offset   string        // "Z", "+hh:mm", "-hh:mm" or ""
}

var shape = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$`)

// split reads the parts of s, with or without time and offset.
func split(s string) (text, error) {
	m := shape.FindStringSubmatch(s)
	if m == nil {
		return text{}, misshapen(s)
	}
	date, err := readDate("instant", s, m[1])
	if err != nil {
		return text{}, err
	}
	t := text{input: s, date: date, hasClock: m[2] != "", seconds: m[4] != "", offset: m[6]}
	hour, minute, second := number(m[2]), number(m[3]), number(m[4])
	switch {
	case hour == 24 && minute == 0 && second == 0:
		return text{}, fail(s, "hour 24 is not read", "write "+date.next().String()+"T00:00:00"+t.offset)
	case hour > 23:
		return text{}, fail(s, fmt.Sprintf("hour %d does not exist", hour), "hours go from 00 to 23")
	case minute > 59:
		return text{}, fail(s, fmt.Sprintf("minute %d does not exist", minute), "minutes go from 00 to 59")
	case second == 60:
		return text{}, fail(s, "second 60: leap seconds are not kept", "write the first second of the next minute")
	case second > 60:
		return text{}, fail(s, fmt.Sprintf("second %d does not exist", second), "seconds go from 00 to 59")
	case len(m[5]) > 9:
		return text{}, fail(s, "finer than a nanosecond", "write at most nine decimals")
	}
	nanos := number((m[5] + "000000000")[:9])
	t.clock = time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second + time.Duration(nanos)
	return t, nil
}

// withOffset returns the instant of a text that must have its time and offset.
func (t text) withOffset() (time.Time, error) {
	if t.offset == "" {
		return time.Time{}, fail(t.input, "no offset", "add the offset, such as -04:00, or Z for UTC, or use a legal word with an IANA zone")
	}
	if !t.seconds {
		return time.Time{}, fail(t.input, "no seconds", "write "+strings.TrimSuffix(t.input, t.offset)+":00"+t.offset)
	}
	offset, ok := readOffset(t.offset)
	if !ok {
		return time.Time{}, fail(t.input, "an offset that no clock has", "offsets go from -12:00 to +14:00")
	}
	return bounded(t.input, t.date.utc().Add(t.clock).Add(-offset))
}

func readOffset(s string) (offset time.Duration, ok bool) {
	if s == "Z" {
		return 0, true
	}
	hours, minutes := number(s[1:3]), number(s[4:6])
	seconds := hours*3600 + minutes*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return time.Duration(seconds) * time.Second, minutes <= 59 && minOffset <= seconds && seconds <= maxOffset
}

// bounded refuses an instant that cannot be kept.
func bounded(input string, t time.Time) (time.Time, error) {
	if t.Before(Earliest) || t.After(Latest) {
		return time.Time{}, fail(input, "out of range", "instants go from "+Format(Earliest)+" to "+Format(Latest))
	}
	return t.UTC(), nil
}

// number reads at most nine plain digits, as a pattern has matched them; none are 0.
func number(digits string) int {
	n := 0
	for _, digit := range []byte(digits) {
		n = n*10 + int(digit-'0')
	}
	return n
}
