package clock

import (
	"testing"
	"time"
)

// A machine that slept shows: the time asleep is read again once the wall clock has run away from the monotonic one, and every second.
func TestTimeAsleep(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]slept{
		"the wall clock ran away": {time: -time.Hour, wall: -time.Hour},
		"a second is over":        {time: -time.Hour, at: -2 * time.Second},
	} {
		m := Machine().(*machine)
		old.time += m.slept.Load().time
		m.slept.Store(&old)
		if off := sinceBoot() - m.Read().Elapsed; off.Abs() > time.Minute {
			t.Errorf("%s: off by %s", name, off)
		}
	}
}
