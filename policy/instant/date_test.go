package instant

import (
	"errors"
	"testing"
)

func TestDay(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Date{
		"2026-11-23": {2026, 11, 23},
		"2024-02-29": {2024, 2, 29},
		"1678-01-01": {1678, 1, 1},
		"2262-01-01": {2262, 1, 1},
	} {
		got, err := Day(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("Day(%q) = %v, %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"":                     "not a plain date; write year, month and day, such as 2024-09-29",
		"2026-11-23T00:00:00Z": "not a plain date; write year, month and day, such as 2024-09-29",
		"2026-11-23 ":          "not a plain date; write year, month and day, such as 2024-09-29",
		"2026-1-23":            "not a plain date; write year, month and day, such as 2024-09-29",
		"23.11.2026":           "not a plain date; write year, month and day, such as 2024-09-29",
		"2023-02-29":           "the date does not exist; the last day of that month is 2023-02-28",
		"2023-13-01":           "month 13 does not exist; months go from 01 to 12",
		"1677-12-31":           "out of range; dates go from 1678-01-01 to 2262-01-01",
		"2262-01-02":           "out of range; dates go from 1678-01-01 to 2262-01-01",
	} {
		got, err := Day(in)
		var e *Error
		if !errors.As(err, &e) || e.Kind != "date" || e.Input != in || e.Reason+"; "+e.Hint != want || got != (Date{}) {
			t.Errorf("Day(%q) = %v, %v; want %s", in, got, err, want)
		}
	}
}
