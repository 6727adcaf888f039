package audit

import (
	"bytes"
	"encoding/json"
	"testing"
)

// A turn of the clock is read back as one, whatever it says, and counts for nothing; Squid has no line for it.
func TestTurn(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		r := &Record{Time: realTime, PolicyTime: beforeEnd, Event: ClockTurn, User: text, Turn: &Turn{What: "accepted", Why: text, Before: graceEnds}}
		line := write(t, r)
		var members map[string]any
		if err := json.Unmarshal([]byte(line), &members); err != nil || len(line) > MaxLine {
			t.Fatalf("%v: %s", err, line)
		}
		for name, want := range map[string]any{
			"event.action": "accepted", "gracegate.clock_reason": orNil(asRead(text)), "user.name": orNil(asRead(text)),
			"gracegate.policy_time_before": "2024-09-29T04:00:00Z", "gracegate.clock_state": "trusted", "gracegate.verdict": nil,
		} {
			if members[name] != want {
				t.Errorf("%s is %v, want %v", name, members[name], want)
			}
		}
		got, _, err := Parse([]byte(line))
		if err != nil || got.Event != ClockTurn || !got.Time.Equal(realTime) || !got.PolicyTime.Equal(beforeEnd) {
			t.Errorf("%+v, %v", got, err)
		}
		tally := NewTally(1)
		if tally.Add(&got); len(tally.Take()) > 0 {
			t.Error("it was counted")
		}
		var out bytes.Buffer
		if n, err := NewSquidSink(&out).Write([]*Record{r}); n != 1 || err != nil || out.Len() > 0 {
			t.Errorf("squid: %d, %v, %q", n, err, out.String())
		}
	}
}

// orNil is what a member is that is left out where it is empty.
func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}
