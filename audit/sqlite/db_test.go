package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

func TestSeenAgainstDull(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	d, dull, from := newDB(t), dullDB{}, uint64(0)
	for range 6 {
		n := rnd.IntN(300)
		all := sums(rnd, n, 5)
		add(t, d, from, from+uint64(n), all)
		dull.add(all)
		from += uint64(n)
	}
	if nextOf(t, d.Reader) != from || flowsOf(dull) != from {
		t.Errorf("the next record is %d, of %d flows, want %d", nextOf(t, d.Reader), flowsOf(dull), from)
	}
	instants := []time.Time{{}, graceEnds, graceEnds.Add(time.Hour), graceEnds.Add(2*time.Hour - 1), graceEnds.Add(3*time.Hour + 1), graceEnds.Add(9 * time.Hour)}
	for _, since := range instants {
		for _, until := range instants {
			for _, vendor := range []string{"", "kaspersky", "nobody"} {
				for _, site := range []string{"", DefaultSite, "boston", "nowhere"} {
					got, want := seenOf(t, d.Reader, since, until, vendor, site), dull.seen(since, until, vendor, site)
					if !slices.Equal(got, want) {
						t.Fatalf("from %s until %s, vendor %q, site %q: %d sums\n%+v\nwant %d\n%+v", since, until, vendor, site, len(got), got, len(want), want)
					}
				}
			}
		}
	}
}

func TestHours(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	if _, _, ok, err := d.Hours(t.Context()); ok || err != nil {
		t.Errorf("an empty one: %t, %v", ok, err)
	}
	add(t, d, 0, 1, distinct(3, graceEnds.Add(5*time.Hour)))
	add(t, d, 1, 2, distinct(3, graceEnds))
	if first, last, ok, err := d.Hours(t.Context()); !first.Equal(graceEnds) || !last.Equal(graceEnds.Add(5*time.Hour)) || !ok || err != nil {
		t.Errorf("%s to %s, %t, %v", first, last, ok, err)
	}
}

// Every word of every type is kept, and absent values too.
func TestSeenKeepsEveryValue(t *testing.T) {
	t.Parallel()
	var all []audit.Seen
	keep := func(k audit.SeenKey) {
		all = append(all, audit.Seen{SeenKey: k, First: k.Hour, Last: k.Hour.Add(time.Hour - 1), Flows: 1, Cuts: 1, BytesIn: math.MaxInt64})
	}
	keep(audit.SeenKey{}) // also the time before all times
	for s := policy.Unmatched; s <= policy.RecordFault; s++ {
		keep(audit.SeenKey{Hour: graceEnds, State: s, Channels: policy.Channels(policy.Channel(s % 14)), Hello: policy.Hello(s % 5)})
	}
	slices.SortFunc(all, func(a, b audit.Seen) int { return a.Compare(&b.SeenKey) })
	d := newDB(t)
	add(t, d, 0, 1, all)
	if got := allOf(t, d.Reader); !slices.Equal(got, all) {
		t.Errorf("%+v\nwant %+v", got, all)
	}
	add(t, d, 1, 2, all)
	if got := allOf(t, d.Reader); len(got) != len(all) || got[0].BytesIn != math.MaxInt64 || got[0].Flows != 2 {
		t.Errorf("bytes beyond all bounds: %+v", got)
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seen.db")
	d, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	all := distinct(3, graceEnds)
	add(t, d, 0, 3, all)
	add(t, d, 3, 7, nil) // records that do not count
	for _, tt := range []struct {
		from, to uint64
		sums     []audit.Seen
		wrong    string
	}{
		{0, 3, all, "its next record is 7, not 0"},
		{8, 9, all, "its next record is 7, not 8"},
		{7, 6, nil, "no such range"},
		{7, 7, all, "no such range"},
		{7, 1 << 63, all, "no such range"},
	} {
		if err := d.Add(t.Context(), tt.from, tt.to, tt.sums); err == nil || !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("from %d to %d: %v, want %s", tt.from, tt.to, err, tt.wrong)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Add(canceled, 7, 8, all); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, path)
	if n := nextOf(t, d.Reader); n != 7 || !slices.Equal(allOf(t, d.Reader), all) {
		t.Errorf("next record %d, %+v", n, allOf(t, d.Reader))
	}
	add(t, d, 7, math.MaxInt64, nil)
}

// A transaction that fails half-way leaves nothing behind, on the disk or in what is remembered of it.
func TestAddFailsHalfWay(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	all := distinct(20, graceEnds)
	if _, err := d.db.ExecContext(t.Context(), `CREATE TRIGGER broken BEFORE INSERT ON request WHEN NEW.path = '/10' BEGIN SELECT raise(ABORT, 'broken'); END`); err != nil {
		t.Fatal(err)
	}
	if err := d.Add(t.Context(), 0, 20, all); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Fatalf("%v", err)
	}
	if n := nextOf(t, d.Reader); n != 0 || len(allOf(t, d.Reader)) != 0 {
		t.Errorf("next record %d, %v", n, allOf(t, d.Reader))
	}
	if _, err := d.db.ExecContext(t.Context(), `DROP TRIGGER broken`); err != nil {
		t.Fatal(err)
	}
	add(t, d, 0, 20, all)
	if got := allOf(t, d.Reader); !slices.Equal(got, all) {
		t.Errorf("%+v", got)
	}
}

func TestPruneAgainstDull(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 8))
	d, dull := newDB(t), dullDB{}
	old := distinct(2*pruneRows+5, graceEnds.Add(-time.Hour))
	add(t, d, 0, 1, old)
	all := sums(rnd, 2000, 6)
	add(t, d, 1, 2001, all)
	dull.add(all)
	for _, before := range []time.Time{graceEnds.Add(-time.Hour), graceEnds.Add(time.Hour - 1), graceEnds.Add(3 * time.Hour), graceEnds.Add(99 * time.Hour)} {
		if err := d.Prune(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		got, want := allOf(t, d.Reader), dull.seen(before.Truncate(time.Hour), time.Time{}, "", "")
		if !before.Equal(before.Truncate(time.Hour)) || before.After(graceEnds) {
			if !slices.Equal(got, want) {
				t.Errorf("before %s: %d sums, want %d", before, len(got), len(want))
			}
		} else if len(got) != len(old)+len(want) {
			t.Errorf("before %s: %d sums, want all", before, len(got))
		}
		checkNames(t, d, got)
	}
	// What is gone can come again.
	add(t, d, 2001, 4001, all)
	if !slices.Equal(allOf(t, d.Reader), dull) {
		t.Error("after all was pruned, others are seen than were added")
	}
}

// checkNames compares what the tables of names hold with what the sums refer to.
func checkNames(t *testing.T, d *DB, all []audit.Seen) {
	t.Helper()
	clients, requests, outcomes := map[client]bool{}, map[request]bool{}, map[outcome]bool{}
	for _, s := range all {
		c, r, o := partsOf(&s.SeenKey)
		clients[c], requests[r], outcomes[o] = true, true, true
	}
	var got [3]int
	if err := d.db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM client), (SELECT count(*) FROM request), (SELECT count(*) FROM outcome)`).
		Scan(&got[0], &got[1], &got[2]); err != nil {
		t.Fatal(err)
	}
	if want := [3]int{len(clients), len(requests), len(outcomes)}; got != want {
		t.Errorf("%d clients, requests and outcomes, want %d", got, want)
	}
}

// While old hours are pruned, sums are added, also of such hours.
func TestPruneWhileAdding(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	add(t, d, 0, 1, distinct(4*pruneRows, graceEnds))
	done := make(chan error)
	go func() { done <- d.Prune(t.Context(), graceEnds.Add(time.Hour)) }()
	from := uint64(1)
	for pruning := true; pruning; from++ {
		add(t, d, from, from+1, distinct(2, graceEnds.Add(time.Duration(from%2)*time.Hour)))
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			pruning = false
		default:
		}
	}
	if err := d.Prune(t.Context(), graceEnds.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	got := allOf(t, d.Reader) // fails if a name is missing
	if flowsOf(got) != from/2*2 || len(got) != 2 {
		t.Errorf("%d flows of %d, in %d sums", flowsOf(got), from/2*2, len(got))
	}
}

func TestWaiverUses(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 5))
	d := newDB(t)
	if uses, err := d.WaiverUses(t.Context()); err != nil || len(uses) != 0 {
		t.Errorf("an empty one: %v, %v", uses, err)
	}
	all := sums(rnd, 1000, 6)
	add(t, d, 0, 1000, all)
	want := map[string]Use{}
	for _, s := range all {
		if u := want[s.ID]; s.Category == "waiver" {
			want[s.ID] = Use{u.Count + s.Flows, slices.MaxFunc([]time.Time{u.Last, s.Last}, time.Time.Compare)}
		}
	}
	got, err := d.WaiverUses(t.Context())
	if err != nil || len(want) != 2 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// Those who look into the file with sqlite3 find words and instants.
func TestReadableView(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	r := record(rand.New(rand.NewPCG(1, 1)), 1)
	r.PolicyTime, r.Channels, r.Path = graceEnds.Add(time.Minute+5), []policy.Channel{policy.Signatures, policy.Codebase}, "/a"
	r.Verdict, r.State, r.Guard, r.Event = policy.Allow, policy.Grace, "", audit.End
	tally := audit.NewTally(1)
	tally.Add(r)
	add(t, d, 0, 1, tally.Take())
	var hour, first, last, channels, state, client string
	if err := d.db.QueryRowContext(t.Context(), `SELECT hour, first, last, channels, state, client FROM seen_readable`).
		Scan(&hour, &first, &last, &channels, &state, &client); err != nil {
		t.Fatal(err)
	}
	got := strings.Join([]string{hour, first, last, channels, state, client}, " ")
	want := "2024-09-29T04:00:00Z 2024-09-29T04:01:00.000000005Z 2024-09-29T04:01:00.000000005Z signatures,codebase grace " + r.Client.Addr().String()
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := "a b%41#ü.db"
	if runtime.GOOS != "windows" {
		name = "a b?c%41#ü&mode=memory.db"
	}
	d := open(t, filepath.Join(dir, name))
	add(t, d, 0, 1, distinct(1, graceEnds))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %o", e.Name(), info.Mode().Perm())
		}
	}
	if want := []string{name, name + "-shm", name + "-wal", name + ".lock"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	made := func(statements string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			t.Helper()
			d, err := Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			add(t, d, 0, 1, distinct(500, graceEnds))
			if _, err := d.db.ExecContext(t.Context(), statements); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	content := func(b string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		prepare      func(t *testing.T, path string)
		kind         error
		reason, hint string
	}{
		"newer":      {made(`PRAGMA user_version = 7`), ErrVersion, "its schema has version 7, and this gracegate knows versions up to 2", "run the gracegate that wrote it"},
		"negative":   {made(`PRAGMA user_version = -1`), ErrDamaged, "its schema has version -1", "remove PATH with its -wal and -shm"},
		"foreign":    {made(`PRAGMA application_id = 252006673`), nil, "it is another program's, of application id 0xf055111", "name another path"},
		"no SQLite":  {content(strings.Repeat("no database. ", 1000)), ErrDamaged, "file is not a database", "made anew from the journal"},
		"word":       {made(`UPDATE outcome SET state = 'ajar'`), ErrDamaged, `the word "ajar" is not known`, "remove PATH"},
		"host":       {made(`UPDATE request SET host = 'a b'`), ErrDamaged, `host "a b"`, "remove PATH"},
		"client":     {made(`UPDATE client SET address = 'x' WHERE id = 7`), ErrDamaged, `ParseAddr`, "remove PATH"},
		"lost names": {made(`DELETE FROM client`), ErrDamaged, `of which one is missing`, "remove PATH"},
		"torn":       {tear, ErrDamaged, "malformed", "remove PATH"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "seen.db")
			tt.prepare(t, path)
			for how, try := range map[string]func() error{
				"writer": func() error {
					d, err := Open(t.Context(), path)
					if err != nil {
						return err
					}
					defer d.Close()
					return firstError(t.Context(), d.Reader)
				},
				"reader": func() error {
					r, err := OpenReader(t.Context(), path)
					if err != nil {
						return err
					}
					defer r.Close()
					return firstError(t.Context(), r)
				},
			} {
				before, _ := os.ReadFile(path)
				checkRefusal(t, how, path, try(), tt.kind, tt.reason, tt.hint)
				if after, _ := os.ReadFile(path); string(after) != string(before) {
					t.Errorf("%s: the file was changed", how)
				}
			}
		})
	}
}

// tear makes a database and destroys pages in its midst.
func tear(t *testing.T, path string) {
	t.Helper()
	d, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	add(t, d, 0, 1, distinct(2000, graceEnds))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[len(b)/4:], strings.Repeat("\xa5", len(b)/2))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func firstError(ctx context.Context, r *Reader) error {
	for _, err := range r.Seen(ctx, time.Time{}, time.Time{}, "", "") {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkRefusal(t *testing.T, how, path string, err, kind error, reason, hint string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Errorf("%s: %v is no *Error", how, err)
		return
	}
	if !strings.Contains(e.Error(), reason) || !strings.Contains(e.Error(), path) || !strings.Contains(e.Hint, strings.ReplaceAll(hint, "PATH", path)) {
		t.Errorf("%s: %v\nhint: %s\nwant %s\nhint: %s", how, e, e.Hint, reason, hint)
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("%s: %v is not %v", how, err, kind)
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seen.db")
	_, err := OpenReader(t.Context(), path)
	checkRefusal(t, "absent", path, err, os.ErrNotExist, "no such file", "gracegate serve makes it")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = OpenReader(t.Context(), path)
	checkRefusal(t, "empty", path, err, ErrVersion, "version 0, and this gracegate reads version 2", "start the gracegate that writes it")

	d := open(t, path)
	_, err = Open(t.Context(), path)
	checkRefusal(t, "a second writer", path, err, ErrInUse, "in use by another process", "stop the other gracegate")
	all := distinct(10, graceEnds)
	add(t, d, 0, 10, all)
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := 0
	for s, err := range r.Seen(t.Context(), time.Time{}, time.Time{}, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if seen == 0 { // what is added from now on is for the next to ask
			add(t, d, 10, 20, all)
		}
		if seen++; s.Flows != 1 {
			t.Errorf("%+v", s)
		}
	}
	if n := nextOf(t, r); seen != 10 || n != 20 || flowsOf(allOf(t, r)) != 20 {
		t.Errorf("%d sums, next record %d, %d flows", seen, n, flowsOf(allOf(t, r)))
	}
	for _, err := range r.Seen(t.Context(), time.Time{}, time.Time{}, "", "") {
		if err != nil {
			t.Error(err)
		}
		break // leaves nothing open, as Close and goleak will tell
	}
	if _, err := r.reading.ExecContext(t.Context(), `DELETE FROM seen`); err == nil {
		t.Error("a reader wrote")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := firstError(canceled, r); !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
		t.Errorf("canceled: %v", err)
	}
}

// Whatever steps there will be: a new database has the schema of today, in as many.
func TestMigrations(t *testing.T) {
	t.Parallel()
	entries, err := migrations.ReadDir("migrations")
	if err != nil || len(entries) != version {
		t.Errorf("%d migrations, %v, want %d", len(entries), err, version)
	}
	d := newDB(t)
	for pragma, want := range map[string]int{"user_version": version, "application_id": applicationID, "synchronous": 1} {
		var got int
		if err := d.db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %d, %v, want %d", pragma, got, err, want)
		}
	}
	// A step that fails leaves the version before it.
	if err := d.inTx(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "CREATE TABLE more (a); PRAGMA user_version = 9"); err != nil {
			t.Fatal(err)
		}
		return errors.New("power failure")
	}); err == nil {
		t.Fatal("no error")
	}
	if v, err := versionOf(t.Context(), d.path, d.db); err != nil || v != version {
		t.Errorf("version %d, %v", v, err)
	}
}

// A database that was begun before devices had names.
func TestMigrationOfNames(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seen.db")
	first, err := migrations.ReadFile("migrations/1.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := touch(path); err != nil {
		t.Fatal(err)
	}
	db, err := connect(path, "rw")
	if err != nil {
		t.Fatal(err)
	}
	hour := graceEnds.Unix()
	_, err = db.ExecContext(t.Context(), string(first)+fmt.Sprintf(`
		INSERT INTO client VALUES (7, %[1]d, '10.9.0.1', 'jo', '00:16:3e:aa:bb:cc', 'boston');
		INSERT INTO request VALUES (8, %[1]d, 'plain', 'GET', 'http', 's01.upd.kaspersky.com', 80, '/a', '', '', 0);
		INSERT INTO outcome VALUES (9, %[1]d, 'kaspersky', 'signatures', 'block', 'blocked', 'restriction', 'us');
		INSERT INTO seen VALUES (%[1]d, 7, 8, 9, 0, 1, 2, 1, 3, 4);
		UPDATE cursor SET next = 2;
		PRAGMA application_id = %[2]d; PRAGMA user_version = 1`, hour, applicationID))
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = OpenReader(t.Context(), path)
	checkRefusal(t, "a reader", path, err, ErrVersion, "version 1, and this gracegate reads version 2", "start the gracegate that writes it once")

	d := open(t, path)
	old := audit.Seen{
		SeenKey: audit.SeenKey{
			Hour: graceEnds, Client: netip.MustParseAddr("10.9.0.1"), User: "jo", MAC: "00:16:3e:aa:bb:cc", Site: "boston",
			Kind: "plain", Method: "GET", Scheme: "http", Host: host.MustParse("s01.upd.kaspersky.com"), Port: 80, Path: "/a",
			Vendor: "kaspersky", Channels: policy.Channels(policy.Signatures), Verdict: policy.Block, State: policy.Blocked, Category: "restriction", ID: "us",
		},
		First: graceEnds, Last: graceEnds.Add(1), Flows: 2, Cuts: 1, BytesIn: 3, BytesOut: 4,
	}
	named := old
	named.Hostname = "laptop-7"
	add(t, d, 2, 6, []audit.Seen{old, named})
	old.Flows, old.Cuts, old.BytesIn, old.BytesOut = 4, 2, 6, 8
	if got := allOf(t, d.Reader); !slices.Equal(got, []audit.Seen{old, named}) {
		t.Errorf("got %+v", got)
	}
	var hostname string
	if err := d.db.QueryRowContext(t.Context(), `SELECT max(hostname) FROM seen_readable WHERE mac = ?`, old.MAC).Scan(&hostname); err != nil || hostname != named.Hostname {
		t.Errorf("the view has the name %q, %v", hostname, err)
	}
}
