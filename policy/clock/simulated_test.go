package clock_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracegate/gracegate/policy/clock"
)

// In a synctest bubble real time starts here and moves only when everybody waits.
var bubble = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestAt(t *testing.T) {
	const first, last = "1677-09-21T00:12:43.145224192Z", "2262-04-11T23:47:16.854775807Z"
	tests := []struct {
		name   string
		start  string
		rate   float64
		passed time.Duration
		want   string
	}{
		{"starts there", "2024-09-28T23:59:50-04:00", 1, 0, "2024-09-29T03:59:50Z"},
		{"a nanosecond before the deadline", "2024-09-28T23:59:50-04:00", 1, 10*time.Second - 1, "2024-09-29T03:59:59.999999999Z"},
		{"the deadline", "2024-09-28T23:59:50-04:00", 1, 10 * time.Second, "2024-09-29T04:00:00Z"},
		{"stands still", "2024-09-28T23:59:50.000000001Z", 0, 400 * day, "2024-09-28T23:59:50.000000001Z"},
		{"half", "2024-01-01T00:00:00Z", 0.5, time.Second, "2024-01-01T00:00:00.5Z"},
		{"half a nanosecond rounds up", "2024-01-01T00:00:00Z", 0.5, 3, "2024-01-01T00:00:00.000000002Z"},
		{"less than half rounds down", "2024-01-01T00:00:00Z", 0.25, 1, "2024-01-01T00:00:00Z"},
		{"no binary fraction", "2024-01-01T00:00:00Z", 0.1, 10, "2024-01-01T00:00:00.000000001Z"},
		{"no binary fraction, below", "2024-01-01T00:00:00Z", 0.3, 10 * time.Second, "2024-01-01T00:00:03Z"},
		{"a day a second", "2024-07-01T12:00:00Z", 86400, 90 * time.Second, "2024-09-29T12:00:00Z"},
		{"a day a second, one nanosecond", "2024-07-01T12:00:00Z", 86400, 1, "2024-07-01T12:00:00.0000864Z"},
		{"exact after a year", "2024-01-01T00:00:00Z", 1, 366*day + 1, "2025-01-01T00:00:00.000000001Z"},
		{"from before 1970", "1969-12-31T23:59:59Z", 2, time.Second, "1970-01-01T00:00:01Z"},
		{"a rate above 2^53", "1970-01-01T00:00:00Z", 1 << 60, 7, "2225-09-28T23:48:52.247928832Z"}, // 7 * 2^60 ns
		{"a rate below 2^-53", "2024-01-01T00:00:00Z", math.SmallestNonzeroFloat64, 400 * day, "2024-01-01T00:00:00Z"},
		{"from the first to the last", first, 8, 1<<61 - 1, "2262-04-11T23:47:16.8547758Z"},
		{"past the last", "2024-01-01T00:00:00Z", 1e6, 400 * day, last},
		{"far past the last", "2024-01-01T00:00:00Z", math.MaxFloat64, 400 * day, last},
		{"starts at the last", last, 1, 1, last},
		{"starts too late", "9999-12-31T23:59:59Z", 0, 0, last},
		{"starts too early", "0001-01-01T00:00:00Z", 0, 0, first},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clock.At(instant(t, tt.start), tt.rate)
				time.Sleep(tt.passed)
				if got, want := c.Now(), instant(t, tt.want).UTC(); got != want {
					t.Errorf("Now() = %v, want %v", got, want)
				}
			})
		})
	}
}

// A clock that ever ran backwards would reopen what is closed.
func TestNeverBackwards(t *testing.T) {
	for _, rate := range []float64{0, 1e-9, 0.1, 1, 3, 86399.7, 1e6} {
		synctest.Test(t, func(t *testing.T) {
			c := clock.At(bubble, rate)
			before := c.Now()
			for step := time.Duration(1); step < 40*day; step = step*3 + 1 {
				time.Sleep(step)
				now := c.Now()
				if now.Before(before) {
					t.Fatalf("rate %v: %v after %v", rate, now, before)
				}
				before = now
			}
		})
	}
}

func TestString(t *testing.T) {
	c := clock.At(instant(t, "2024-09-28T23:59:50-04:00"), 3600)
	if got, want := c.String(), "simulated from 2024-09-29T03:59:50Z at rate 3600"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestRefusedRates(t *testing.T) {
	for _, rate := range []float64{-1, -math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN()} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("At(_, %v) did not panic", rate)
				}
			}()
			clock.At(bubble, rate)
		}()
	}
}
