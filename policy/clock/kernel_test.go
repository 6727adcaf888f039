package clock

import (
	"runtime"
	"testing"
	"time"
)

// The machine that the tests run on: its clocks go on together, and reading them changes nothing.
func TestMachine(t *testing.T) {
	t.Parallel()
	k := Machine()
	first := k.Read()
	if d := time.Since(first.Wall); d < -time.Minute || d > time.Minute || first.Wall.Location() != time.UTC {
		t.Errorf("the wall clock shows %s, %s from now", first.Wall, d)
	}
	if monotonic(first.Wall) {
		t.Error("it has a monotonic reading")
	}
	start, second := time.Now(), first
	for time.Since(start) < 20*time.Millisecond {
		second = k.Read()
	}
	if passed, took := second.Elapsed-first.Elapsed, time.Since(start); (passed - took).Abs() > time.Second {
		t.Errorf("%s elapsed in %s", passed, took)
	}
	if drift := second.Wall.Sub(first.Wall) - (second.Elapsed - first.Elapsed); drift.Abs() > noise && k.Sync() == Synchronised {
		t.Errorf("the clocks drifted by %s", drift)
	}
	sync, boot := k.Sync(), k.Boot()
	t.Logf("sync: %s, boot: %s, elapsed: %s", sync, boot, second.Elapsed)
	if runtime.GOOS == "linux" && (boot == "" || boot != k.Boot()) {
		t.Errorf("Boot() = %q", boot)
	}
}

func BenchmarkNow(b *testing.B) {
	g, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			g.Now()
		}
	})
}
