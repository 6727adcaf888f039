package journal

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gracegate/gracegate/audit"
)

// What is old is told by a clock that can be believed, and of records by policy time, which goes on while the machine's clock is wrong.
func TestPruneByABelievedClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	tests := []struct {
		name         string
		real, policy time.Time // of the records
		simulated    bool
		clock        time.Time
		believed     bool
		removed      bool
	}{
		{"old", now.Add(-2 * year), now.Add(-2 * year), false, now, true, true},
		{"old, and nobody knows how late it is", now.Add(-2 * year), now.Add(-2 * year), false, now, false, false},
		{"of today, and the clock ran two years ahead", now, now, false, now.Add(2 * year), false, false},
		{"written with the clock set back", time.Unix(0, 0), now.Add(-time.Hour), false, now, true, false},
		{"written with the clock set forward", now.Add(20 * year), now.Add(-2 * year), false, now, true, true},
		{"of long ago by a simulated clock", now.Add(-time.Hour), now.Add(-5 * year), true, now, true, false},
		{"old, of the future by a simulated clock", now.Add(-2 * year), now.Add(5 * year), true, now, true, true},
		{"old, without policy time", now.Add(-2 * year), time.Time{}, false, now, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var always []zap.Field
			if tt.simulated {
				always = []zap.Field{zap.Bool("gracegate.simulated_clock", true)}
			}
			j := open(t, tempDir(t), Options{
				Encoder: audit.NewEncoder(always...), SegmentSize: 1, Retain: year,
				Real: func() (time.Time, bool) { return tt.clock, tt.believed },
			})
			for range 2 { // each in a file of its own; the last one stays in any case
				if _, err := j.Write([]*audit.Record{{Event: audit.End, Time: tt.real, PolicyTime: tt.policy}}); err != nil {
					t.Fatal(err)
				}
			}
			j.pruneOld()
			if removed := j.kept > 0; removed != tt.removed {
				t.Errorf("removed: %v", removed)
			}
			closed(t, j)
		})
	}
}
