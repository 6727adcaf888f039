package instant

import (
	"fmt"
	"regexp"
	"time"
)

// Date is a plain date of the Gregorian calendar, no instant.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// Day reads a plain date such as 2024-09-29, which must exist and lie between [Earliest] and [Latest]. It is for dates
// on which nothing hinges, such as when a source was checked. The error is an [*Error].
func Day(s string) (Date, error) {
	if !plainDate.MatchString(s) {
		return Date{}, &Error{Kind: "date", Input: s, Reason: "not a plain date", Hint: "write year, month and day, such as 2024-09-29"}
	}
	d, err := readDate("date", s, s)
	if err == nil && (d.utc().Before(Earliest) || d.utc().After(Latest)) {
		hint := "dates go from " + dateOf(Earliest).String() + " to " + dateOf(Latest).String()
		return Date{}, &Error{Kind: "date", Input: s, Reason: "out of range", Hint: hint}
	}
	return d, err
}

// String returns the date as [Day] reads it.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

var plainDate = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

// readDate reads the date in s, of the form dddd-dd-dd, in any year; kind and input are for the error.
func readDate(kind, input, s string) (Date, error) {
	d := Date{number(s[:4]), time.Month(number(s[5:7])), number(s[8:10])}
	refuse := func(reason, hint string) (Date, error) {
		return Date{}, &Error{Kind: kind, Input: input, Reason: reason, Hint: hint}
	}
	switch {
	case d.Month < 1 || d.Month > 12:
		return refuse(fmt.Sprintf("month %d does not exist", d.Month), "months go from 01 to 12")
	case dateOf(d.utc()) != d:
		last := Date{d.Year, d.Month + 1, 0}
		return refuse("the date does not exist", "the last day of that month is "+dateOf(last.utc()).String())
	}
	return d, nil
}

// utc returns midnight of d in UTC: the wall clock's reading, as an instant to reckon with.
func (d Date) utc() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

func (d Date) next() Date { return dateOf(d.utc().AddDate(0, 0, 1)) }

func dateOf(t time.Time) Date {
	year, month, day := t.Date()
	return Date{year, month, day}
}
