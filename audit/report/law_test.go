package report

import (
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// An instant is told as its text has it: a zone by its name, an offset once.
func TestInstantInZone(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 1, 1, 5, 0, 0, 0, time.UTC)
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	for want, zone := range map[string]*time.Location{
		"2025-01-01 05:00 UTC": time.UTC,
		"2025-01-01 05:00 UTC (2025-01-01 00:00 UTC-05:00, America/New_York)": newYork,
		"2025-01-01 05:00 UTC (2025-01-01 00:00 UTC-05:00)":                   time.FixedZone("-05:00", -5*3600),
		"2025-01-01 05:00 UTC (2025-01-01 10:30 UTC+05:30)":                   time.FixedZone("+05:30", 5*3600+1800),
	} {
		if got := tellInstant(&policy.Instant{At: at, Zone: zone}).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
