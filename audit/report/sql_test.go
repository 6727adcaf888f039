package report

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/audit/sqlite"
)

// deviceSQL tells devices apart as docs/report.md says.
const deviceSQL = `CASE WHEN mac <> '' THEN mac WHEN user <> '' THEN client || ' user ' || user ELSE client END`

// A synthetic month of 200 devices: the figures of the report, made from the database, equal those of plain SQL on it.
func TestReportEqualsSQL(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	sums := sum(month(p, 200, 4))
	path := filepath.Join(t.TempDir(), "seen.sqlite")
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Add(t.Context(), 0, uint64(len(sums)), sums); err != nil {
		t.Fatal(err)
	}
	o := monthOptions()
	since, until := o.Hours()
	r, err := Build(p, o, db.Seen(t.Context(), since, until, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	plain, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	compareSummary(t, plain, r)
	compareRows(t, plain, r)
}

func compareSummary(t *testing.T, db *sql.DB, r *Report) {
	t.Helper()
	s := &r.Summary
	for what, row := range map[string]struct {
		got   int64
		query string
	}{
		"flows":           {s.Flows, `SELECT sum(flows) FROM seen_readable`},
		"devices":         {s.Devices, `SELECT count(DISTINCT ` + deviceSQL + `) FROM seen_readable`},
		"blocked":         {s.Blocked, `SELECT sum(flows) FROM seen_readable WHERE verdict = 'block' AND category IN ('restriction', 'rule')`},
		"cut":             {s.Cut, `SELECT sum(cuts) FROM seen_readable WHERE verdict = 'block' AND category IN ('restriction', 'rule')`},
		"passed in grace": {s.Grace, `SELECT sum(flows) FROM seen_readable WHERE state IN ('grace', 'warn')`},
		"waived":          {s.Waived, `SELECT sum(flows) FROM seen_readable WHERE state = 'waived'`},
		"monitored":       {s.Monitored, `SELECT sum(flows) FROM seen_readable WHERE state = 'monitored'`},
		"devices blocked": {s.DevicesBlocked, `SELECT count(DISTINCT ` + deviceSQL + `) FROM seen_readable WHERE verdict = 'block' AND category IN ('restriction', 'rule')`},
		"devices in grace": {
			s.DevicesGrace, `SELECT count(DISTINCT ` + deviceSQL + `) FROM seen_readable WHERE state IN ('grace', 'warn') OR verdict = 'block' AND cuts > 0`,
		},
		"bytes in grace": {s.BytesGrace, `SELECT sum(bytes_out) FROM seen_readable WHERE state IN ('grace', 'warn') OR verdict = 'block' AND cuts > 0`},
	} {
		var want int64
		if err := db.QueryRowContext(t.Context(), row.query).Scan(&want); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if row.got != want || want == 0 {
			t.Errorf("%s: %d, and by SQL %d", what, row.got, want)
		}
	}
}

// compareRows compares who still tries, state by state, with first and last.
func compareRows(t *testing.T, db *sql.DB, r *Report) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `
		SELECT device, vendor, channels, min(first), max(last), group_concat(state || ' ' || n, ', ') FROM (
			SELECT `+deviceSQL+` AS device, vendor, channels, state, sum(flows) AS n, min(first) AS first, max(last) AS last
			FROM seen_readable WHERE state <> 'guarded' AND (vendor <> '' OR state <> 'unmatched')
			GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4)
		GROUP BY 1, 2, 3
		HAVING sum(state NOT IN ('unmatched', 'never-block', 'out-of-scope', 'open', 'exempt', 'unseen', 'clock', 'record')) > 0`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	want, got := map[string]string{}, map[string]string{}
	for rows.Next() {
		var device, vendor, channels, first, last, list string
		if err := rows.Scan(&device, &vendor, &channels, &first, &last, &list); err != nil {
			t.Fatal(err)
		}
		want[device+"/"+vendor+"/"+channels] = first + " " + last + " " + list
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	const layout = "2006-01-02T15:04:05.000000000Z"
	for i := range r.Attempts {
		a := &r.Attempts[i]
		list := make([]string, len(a.States))
		for i, s := range a.States {
			list[i] = fmt.Sprint(s.State, " ", s.Flows)
		}
		slices.Sort(list)
		got[a.Device.Name+"/"+a.Vendor+"/"+strings.Join(a.Channels, ",")] = a.First.Format(layout) + " " + a.Last.Format(layout) + " " + strings.Join(list, ", ")
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 200 {
		t.Errorf("%d rows by SQL (-sql +report)\n%s", len(want), diff)
	}
}
