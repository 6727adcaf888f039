package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gracegate/gracegate/policy/host"
)

var aboutTests = &topic{zapcore.InfoLevel, "heard", "what"}

// listened is a folder and the log that it writes.
type listened struct {
	*folder
	logs *observer.ObservedLogs
}

func newListened(period time.Duration) listened {
	core, logs := observer.New(zapcore.InfoLevel)
	return listened{newFolder(zap.New(core), period), logs}
}

func (l listened) hear(client netip.Addr, what, of string) {
	name, err := host.Parse(of)
	if err != nil {
		panic(err)
	}
	l.say(foldKey{aboutTests, client, what}, occasion{client, hostPort{name, 443}}, func() []zap.Field {
		return []zap.Field{zap.Bool("first", true)}
	})
}

// state is how many keys are kept, and whether the timer runs.
func (l listened) state() (kept int, timed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.Len(), l.timer != nil
}

// lines are what was logged, each as its values in the order of their names.
func (l listened) lines() []string {
	var lines []string
	for _, e := range l.logs.TakeAll() {
		fields := e.ContextMap()
		names := make([]string, 0, len(fields))
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names)
		line := e.Message
		for _, name := range names {
			line += fmt.Sprintf(" %s=%v", name, fields[name])
		}
		lines = append(lines, line)
	}
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// heardIn is how many occasions the lines stand for.
func heardIn(logs *observer.ObservedLogs) (n int64) {
	for _, e := range logs.All() {
		folded, ok := e.ContextMap()["folded"].(int64)
		if !ok {
			folded = 1
		}
		n += folded
	}
	return n
}

func TestFoldsWhatRepeatsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListened(time.Minute)
		one, other := numbered(1), numbered(2)
		l.hear(one, "order", "mirror0.example")
		wantLines(t, l.lines(), "heard client=10.0.0.1 first=true host=mirror0.example:443 what=order")
		for i := range 40 {
			time.Sleep(time.Second)
			l.hear(one, "order", fmt.Sprintf("mirror%d.example", 1+i))
		}
		wantLines(t, l.lines())
		l.hear(other, "order", "mirror0.example")
		l.hear(one, "rule", "games.example")
		wantLines(t, l.lines(),
			"heard client=10.0.0.2 first=true host=mirror0.example:443 what=order",
			"heard client=10.0.0.1 first=true host=games.example:443 what=rule")

		time.Sleep(20*time.Second - time.Nanosecond)
		synctest.Wait()
		wantLines(t, l.lines())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantLines(t, l.lines(), "heard client=10.0.0.1 folded=40 host=mirror40.example:443 what=order")

		l.hear(one, "order", "mirror41.example") // one that stays alone in its minute
		time.Sleep(time.Minute)
		synctest.Wait()
		wantLines(t, l.lines(), "heard client=10.0.0.1 folded=1 host=mirror41.example:443 what=order")

		time.Sleep(time.Minute)
		synctest.Wait()
		wantLines(t, l.lines())
		if kept, timed := l.state(); kept != 0 || timed {
			t.Errorf("after a minute without any: %d kept, timed: %v", kept, timed)
		}
		l.hear(one, "order", "mirror42.example")
		wantLines(t, l.lines(), "heard client=10.0.0.1 first=true host=mirror42.example:443 what=order")
		l.close()
	})
}

func TestWhatIsFoldedIsWrittenAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListened(time.Second)
		for range 3 {
			l.hear(numbered(1), "order", "a.example")
			l.hear(numbered(2), "order", "b.example")
		}
		l.hear(numbered(3), "order", "c.example")
		l.lines()
		l.close()
		l.close()
		wantLines(t, l.lines(), "heard client=10.0.0.1 folded=2 host=a.example:443 what=order", "heard client=10.0.0.2 folded=2 host=b.example:443 what=order")
		l.hear(numbered(1), "order", "a.example")
		l.hear(numbered(1), "order", "a.example")
		if got := l.lines(); len(got) != 2 {
			t.Errorf("afterwards: %q", got)
		}
	}) // a timer that goes on would fail the bubble
}

// Whoever comes with another address each time fills neither the memory nor the log.
func TestFoldsInBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newListened(time.Minute)
		const heard = 3 * foldedKeys
		for i := range heard {
			l.hear(numbered(i), "order", "a.example")
		}
		if kept, _ := l.state(); kept != foldedKeys+1 || l.logs.Len() != foldedKeys+1 {
			t.Errorf("%d lines, %d kept", l.logs.Len(), kept)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		kept, _ := l.state()
		if n := heardIn(l.logs); n != heard || l.logs.Len() != foldedKeys+2 || kept != 1 {
			t.Errorf("%d occasions in %d lines, %d kept; want %d", n, l.logs.Len(), kept, heard)
		}
		lines := l.lines()
		want := fmt.Sprintf("heard client=%s folded=%d host=a.example:443", numbered(heard-1), heard-foldedKeys-1)
		if last := lines[len(lines)-1]; last != want {
			t.Errorf("the last is %q, want %q", last, want)
		}
		l.close()
	})
}

func TestCountsEachOccasionOnce(t *testing.T) {
	t.Parallel()
	const talkers, each = 8, 20000
	l := newListened(200 * time.Microsecond) // many periods end while they talk
	var all sync.WaitGroup
	for i := range talkers {
		all.Go(func() {
			for n := range each {
				l.say(foldKey{aboutTests, numbered((i + n) % 11), ""}, occasion{}, func() []zap.Field { return nil })
			}
		})
	}
	all.Wait()
	l.close()
	if n := heardIn(l.logs); n != talkers*each || l.logs.Len() == talkers*each {
		t.Errorf("%d occasions in %d lines, want %d", n, l.logs.Len(), talkers*each)
	}
}

func TestKeepsNothingOfWhatIsNotLogged(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.WarnLevel)
	f := newFolder(zap.New(core), time.Minute)
	f.say(foldKey{topic: aboutTests}, occasion{}, func() []zap.Field {
		t.Error("the fields of a line that is not written")
		return nil
	})
	if logs.Len() != 0 || f.kept.Len() != 0 || f.timer != nil {
		t.Errorf("%d lines, %d kept, timer %v", logs.Len(), f.kept.Len(), f.timer)
	}
}

func BenchmarkFolded(b *testing.B) {
	f := newFolder(zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(nopSync{}), zapcore.InfoLevel)), time.Minute)
	defer f.close()
	for i := range foldedKeys - 1 {
		f.say(foldKey{aboutTests, numbered(i), "us-icts-2021-002"}, occasion{}, func() []zap.Field { return nil })
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			client := numbered(i % 1024)
			f.say(foldKey{aboutTests, client, "us-icts-2021-002"}, occasion{client: client}, func() []zap.Field {
				return []zap.Field{zap.String("client", client.String())}
			})
		}
	})
}

type nopSync struct{}

func (nopSync) Write(b []byte) (int, error) { return len(b), nil }
func (nopSync) Sync() error                 { return nil }
