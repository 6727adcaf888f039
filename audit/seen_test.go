package audit

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// A key is a map key: flows that are alike meet in one entry, whatever zone their instants were read in.
func TestKeyOf(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 9, 29, 3, 59, 59, 1, time.UTC)
	record := func(at time.Time) *Record {
		return &Record{
			Event: Refused, Kind: "plain", PolicyTime: at, Client: netip.MustParseAddrPort("10.1.2.3:999"), Channels: []policy.Channel{policy.Signatures},
			Verdict: policy.Block, State: policy.Blocked, Cause: policy.Cause{Kind: "restriction", ID: "us"},
		}
	}
	seen := map[SeenKey]int{}
	seen[KeyOf(record(at))]++
	seen[KeyOf(record(at.In(time.FixedZone("", -4*3600)).Add(-time.Minute)))]++
	seen[KeyOf(record(at.Add(time.Second)))]++ // the next hour
	guarded := record(at)
	guarded.Guard = "port"
	key := KeyOf(guarded)
	seen[key]++
	if len(seen) != 3 || key.State != policy.Guarded || key.Category != "guard" || key.ID != "port" {
		t.Errorf("%v", seen)
	}
	for event, counts := range map[Event]bool{Refused: true, Start: false, End: true} {
		if Counts(&Record{Event: event}) != counts {
			t.Errorf("%v", event)
		}
	}
}
