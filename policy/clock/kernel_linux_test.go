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

// The time that elapses is never that of the wall clock, however far ahead that is set: time.Time has no monotonic reading from 2157 on.
func TestFarAhead(t *testing.T) {
	t.Parallel()
	far := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ began, now time.Time }{
		"set ahead":            {time.Now(), far},
		"started far ahead":    {far, far.Add(time.Second)},
		"set right after that": {far, time.Now()},
	} {
		m := Machine().(*machine)
		m.base = c.began
		r := m.at(c.now)
		if off := sinceBoot() - r.Elapsed; off.Abs() > time.Minute || !r.Wall.Equal(c.now) || monotonic(r.Wall) {
			t.Errorf("%s: the wall clock shows %v, and what elapsed is off by %s", name, r.Wall, off)
		}
	}
}
