package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/audit/journal"
	"github.com/gracegate/gracegate/audit/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rig struct {
	*testing.T
	dir     string
	journal *journal.Journal
	index   *Index
	rnd     *rand.Rand
	want    map[audit.SeenKey]int64 // flows
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, dir: t.TempDir(), rnd: rand.New(rand.NewPCG(1, 2)), want: map[audit.SeenKey]int64{}}
	r.openJournal()
	r.openIndex()
	t.Cleanup(func() {
		if err := errors.Join(r.index.Close(), r.journal.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) openJournal() {
	var err error
	if r.journal, err = journal.Open(filepath.Join(r.dir, "journal"), journal.Options{}); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) openIndex() {
	r.index = New(Config{
		Database: filepath.Join(r.dir, "seen.db"), Journal: filepath.Join(r.dir, "journal"), Next: func() uint64 { return r.journal.Next() },
	})
	if err := r.index.CatchUp(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// record writes some records to the journal, and tells what a plain count of them gives.
func (r *rig) record(n int) []*audit.Record {
	r.Helper()
	list := make([]*audit.Record, n)
	for i := range list {
		list[i] = &audit.Record{
			Event: audit.Event(r.rnd.IntN(3)), PolicyTime: time.Date(2026, 1, 1, r.rnd.IntN(5), 0, 0, 0, time.UTC), Kind: "plain",
			Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.rnd.IntN(9))}), 1), User: fmt.Sprint("user\n", r.rnd.IntN(3)),
		}
		if audit.Counts(list[i]) {
			r.want[audit.KeyOf(list[i])]++
		}
	}
	if written, err := r.journal.Write(list); written != n || err != nil {
		r.Fatal(written, err)
	}
	return list
}

func (r *rig) index1(list []*audit.Record) {
	r.Helper()
	r.index.Queue(list)
	r.index.count(r.Context())
}

// check compares the database with a plain count.
func (r *rig) check() {
	r.Helper()
	got := map[audit.SeenKey]int64{}
	for s, err := range r.index.db.Seen(r.Context(), time.Time{}, time.Time{}, "", "") {
		if err != nil {
			r.Fatal(err)
		}
		got[s.SeenKey] += s.Flows
	}
	if !maps.Equal(got, r.want) {
		r.Errorf("the database has %d sums, want %d, or they differ", len(got), len(r.want))
	}
	if next, err := r.index.db.Next(r.Context()); err != nil || next != r.journal.Next() {
		r.Errorf("the database counts up to %d, the journal has %d, %v", next, r.journal.Next(), err)
	}
}

// Whatever of the records comes here, and whatever comes only to the journal, each counts once.
func TestEveryRecordCountsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 60 {
		list := r.record(1 + r.rnd.IntN(40))
		switch r.rnd.IntN(5) {
		case 0: // lost on the way
		case 1:
			r.index1(list[len(list)/2:])
		case 2:
			r.index1(list)
			r.index.tick(t.Context())
		case 3: // the process ended without a farewell: what was not added is gone
			if err := r.index.db.Close(); err != nil {
				t.Fatal(err)
			}
			r.openIndex()
		default:
			r.index1(list)
		}
	}
	if err := r.index.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.check()
}

// While the database fails, records come and go; then it catches up from the journal.
func TestRecovers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.index1(r.record(10))
	r.index.mu.Lock()
	r.index.note(errors.New("no space left"))
	r.index.mu.Unlock()
	r.index1(r.record(10))
	r.index.tick(t.Context()) // too soon
	if r.index.Err() == nil {
		t.Error("it is tried again at once")
	}
	r.index.again = time.Now()
	r.index.tick(t.Context())
	if err := r.index.Err(); err != nil {
		t.Error(err)
	}
	r.index1(r.record(10))
	r.index.tick(t.Context())
	r.check()
}

// Whoever asks how it stands does not wait for what is being read back.
func TestErrDoesNotWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.index.mu.Lock()
	defer r.index.mu.Unlock()
	r.index.note(errors.New("no space left"))
	if err := r.index.Err(); err == nil {
		t.Error("nothing is wrong")
	}
}

// A database that counts more than there is, as after a power failure that took the last records, is made anew.
func TestDatabaseAheadOfTheJournal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.index1(r.record(30))
	if err := errors.Join(r.index.Close(), r.journal.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(r.dir, "journal")); err != nil {
		t.Fatal(err)
	}
	clear(r.want)
	r.openJournal()
	r.record(5)
	r.openIndex()
	if err := r.index.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.check()
}

// A damaged database is put aside, and made anew, whether it shows at once or when something is added.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(b []byte){
		"its head":   func(b []byte) { copy(b, "no database at all") },
		"its tables": func(b []byte) { copy(b[4096:], bytes.Repeat([]byte{0xa5}, len(b)-4096)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.index1(r.record(300))
			if err := r.index.Close(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(r.dir, "seen.db")
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			damage(b)
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			r.openIndex()
			r.index1(r.record(30))
			if err := r.index.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.check()
			if aside, err := os.ReadFile(file + damagedSuffix); err != nil || !bytes.Equal(aside, b) {
				t.Errorf("%d bytes were put aside, %v", len(aside), err)
			}
		})
	}
}

func TestRunEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.index.Close(); err != nil {
		t.Fatal(err)
	}
	r.index = New(r.index.cfg)
	r.record(20)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.index.Run(ctx)
	}()
	for caughtUp := false; !caughtUp; { // by itself
		r.index.mu.Lock()
		caughtUp = !r.index.behind
		r.index.mu.Unlock()
		runtime.Gosched()
	}
	stop()
	<-done
	r.check()
}

func TestSecondWriterIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second := New(r.index.cfg)
	if err := second.CatchUp(t.Context()); !errors.Is(err, sqlite.ErrInUse) {
		t.Error(err)
	}
	second.tick(t.Context())
	if !errors.Is(second.Err(), sqlite.ErrInUse) || second.Close() != nil {
		t.Error(second.Err())
	}
}
