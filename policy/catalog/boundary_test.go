package catalog_test

import (
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/instant"
)

// TestDeadlineInAnyZone asks for the two sides of the deadline, one nanosecond apart, as clocks in four zones show them, and
// through every offset in which an instant can be written. A local date differs between them; the deadline does not.
func TestDeadlineInAnyZone(t *testing.T) {
	t.Parallel()
	p := compile(t, load(t, "", false), builtin(t))
	name := host.MustParse("s01.upd.kaspersky.com")
	f := policy.Facts{
		Client: american, Scheme: "https", Stage: policy.StageHello, Port: 443, Authority: name, SNI: name, Hello: policy.HelloWithName,
	}
	ask := func(text string, want policy.Verdict) {
		t.Helper()
		at := parse(t, text)
		if got := p.Decide(at, &f).Verdict; got != want {
			t.Errorf("at %s: %s, want %s", text, got, want)
		}
		if got := p.Explain(at, &f).Verdict; got != want {
			t.Errorf("at %s: explained as %s, want %s", text, got, want)
		}
	}
	deadline := time.Date(2024, time.September, 29, 4, 0, 0, 0, time.UTC)
	for _, row := range []struct{ zone, last, first string }{
		{"America/New_York", "2024-09-28T23:59:59.999999999-04:00", "2024-09-29T00:00:00-04:00"},
		{"Europe/Berlin", "2024-09-29T05:59:59.999999999+02:00", "2024-09-29T06:00:00+02:00"},
		{"Asia/Kolkata", "2024-09-29T09:29:59.999999999+05:30", "2024-09-29T09:30:00+05:30"},
		{"Pacific/Pago_Pago", "2024-09-28T16:59:59.999999999-11:00", "2024-09-28T17:00:00-11:00"},
	} {
		zone, err := instant.LoadZone(row.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := instant.FormatIn(deadline, zone); got != row.first {
			t.Errorf("a clock of %s shows %s, want %s", row.zone, got, row.first)
		}
		ask(row.last, policy.Allow)
		ask(row.first, policy.Block)
	}
	for minutes := -12 * 60; minutes <= 14*60; minutes += 15 {
		zone := time.FixedZone("", minutes*60)
		ask(deadline.Add(-1).In(zone).Format(time.RFC3339Nano), policy.Allow)
		ask(deadline.In(zone).Format(time.RFC3339Nano), policy.Block)
	}
}
