package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/gracegate/gracegate/audit"
)

// Reader reads a database, also while another process writes it.
type Reader struct {
	path    string
	reading *sql.DB
}

// OpenReader opens a database that exists for reading. SQLite needs two files beside it for that, and so a directory in which
// it may make them. Errors are an [*Error], as of [Open].
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	if _, err := os.Stat(path); err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "gracegate serve makes it"
		}
		return nil, &Error{path, hint, err}
	}
	db, err := connect(path, "ro")
	if err != nil {
		return nil, err
	}
	v, err := versionOf(ctx, path, db)
	if err == nil && v < version {
		err = &Error{path, "start the gracegate that writes it once: it brings the schema up to date", fmt.Errorf(
			"%w: its schema has version %d, and this gracegate reads version %d", ErrVersion, v, version)}
	}
	if err != nil {
		_ = db.Close() // nothing was read
		return nil, err
	}
	return &Reader{path, db}, nil
}

// Close closes the reader. Nothing may be under way.
func (r *Reader) Close() error { return r.reading.Close() }

// Next returns the number of the first record that is not yet in the database. If the journal ends before it, the journal is
// not the one that the database was made from, or has lost its end: then the database is to be made again.
func (r *Reader) Next(ctx context.Context) (uint64, error) {
	n, err := next(ctx, r.reading)
	return n, explained(r.path, err)
}

func next(ctx context.Context, from interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
},
) (n uint64, err error) {
	err = from.QueryRowContext(ctx, `SELECT next FROM cursor`).Scan(&n)
	return n, err
}

// Hours returns the first and the last hour that the database has a sum of; ok is false where it has none.
func (r *Reader) Hours(ctx context.Context) (first, last time.Time, ok bool, err error) {
	var from, to sql.NullInt64
	// Each is one look at the index; both in one SELECT would go through all sums.
	err = r.reading.QueryRowContext(ctx, `SELECT (SELECT min(hour) FROM seen), (SELECT max(hour) FROM seen)`).Scan(&from, &to)
	return time.Unix(from.Int64, 0).UTC(), time.Unix(to.Int64, 0).UTC(), from.Valid && to.Valid, explained(r.path, err)
}

// DefaultSite stands for the clients that no site names: no site can be called so.
const DefaultSite = "(default)"

const querySeen = `SELECT hour, client, request, outcome, first, last, flows, cuts, bytes_in, bytes_out FROM seen
	WHERE hour >= ?1 AND hour < ?2
	AND (?3 = '' OR outcome IN (SELECT id FROM outcome WHERE vendor = ?3))
	AND (?4 = '' OR client IN (SELECT id FROM client WHERE site = iif(?4 = '` + DefaultSite + `', '', ?4)))
	ORDER BY hour`

// Seen returns what was seen in the hours of policy time that lie, at least in part, within [since, until), as it was when the
// iteration began, in the order of the keys. A zero until is no end. Vendor and site leave out all others, unless they are empty;
// the clients of no site are those of [DefaultSite]. The sequence ends with the first error.
//
// It holds in memory one hour of sums, and what these refer to: some 300 bytes for each different request.
func (r *Reader) Seen(ctx context.Context, since, until time.Time, vendor, site string) iter.Seq2[audit.Seen, error] {
	return func(yield func(audit.Seen, error) bool) {
		if err := r.seen(ctx, since, until, vendor, site, func(s audit.Seen) bool { return yield(s, nil) }); err != nil {
			yield(audit.Seen{}, explained(r.path, err))
		}
	}
}

func (r *Reader) seen(ctx context.Context, since, until time.Time, vendor, site string, yield func(audit.Seen) bool) error {
	tx, err := r.reading.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	first, end := since.UTC().Truncate(time.Hour).Unix(), int64(1<<62)
	if !until.IsZero() {
		end = until.Add(time.Hour - 1).UTC().Truncate(time.Hour).Unix()
	}
	var h hourOf
	if err := h.loadNames(ctx, tx, first); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, querySeen, first, end, vendor, site)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what went wrong
	for rows.Next() {
		next, of, err := h.read(rows)
		if err != nil {
			return err
		}
		if next != h.hour && !h.flush(yield) {
			return nil
		}
		h.hour = next
		h.sums = append(h.sums, of)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	h.flush(yield)
	return nil
}

// hourOf is an hour of sums that are not in order yet.
type hourOf struct {
	clients  names[*client]
	requests names[*request]
	outcomes names[*outcome]

	columns [10]any
	into    [10]any // pointers to these, which database/sql fills fastest
	hour    int64
	sums    []sum
}

// sum is a row. What it refers to is told by the place in the order of all such.
type sum struct {
	client, request, outcome                    int
	first, last, flows, cuts, bytesIn, bytesOut int64
}

func (h *hourOf) loadNames(ctx context.Context, tx *sql.Tx, since int64) (err error) {
	for i := range h.columns {
		h.into[i] = &h.columns[i]
	}
	if h.clients, err = load(ctx, tx, since, readClient, `SELECT id, address, user, mac, hostname, site FROM client WHERE last_hour >= ?`); err != nil {
		return err
	}
	if h.requests, err = load(ctx, tx, since, readRequest,
		`SELECT id, kind, method, scheme, host, port, path, sni, hello, ech FROM request WHERE last_hour >= ?`); err != nil {
		return err
	}
	h.outcomes, err = load(ctx, tx, since, readOutcome,
		`SELECT id, vendor, channels, verdict, state, category, rule FROM outcome WHERE last_hour >= ?`)
	return err
}

// read reads a row of querySeen.
func (h *hourOf) read(rows *sql.Rows) (hour int64, s sum, err error) {
	if err := rows.Scan(h.into[:]...); err != nil {
		return 0, s, err
	}
	var n [10]int64 // the schema is strict, and no column may be NULL
	for i, c := range h.columns {
		n[i], _ = c.(int64)
	}
	var there [3]bool
	s = sum{first: n[4], last: n[5], flows: n[6], cuts: n[7], bytesIn: n[8], bytesOut: n[9]}
	s.client, there[0] = h.clients.place[n[1]]
	s.request, there[1] = h.requests.place[n[2]]
	s.outcome, there[2] = h.outcomes.place[n[3]]
	if there != [3]bool{true, true, true} {
		return 0, s, fmt.Errorf("%w: a sum refers to client %d, request %d, outcome %d, of which one is missing", ErrDamaged, n[1], n[2], n[3])
	}
	return n[0], s, nil
}

// flush yields the sums of the hour in order.
func (h *hourOf) flush(yield func(audit.Seen) bool) bool {
	slices.SortFunc(h.sums, func(a, b sum) int {
		return cmp.Or(cmp.Compare(a.client, b.client), cmp.Compare(a.request, b.request), cmp.Compare(a.outcome, b.outcome))
	})
	hour := time.Unix(h.hour, 0).UTC()
	for i := range h.sums {
		s := &h.sums[i]
		seen := audit.Seen{
			SeenKey: audit.SeenKey{Hour: hour}, First: hour.Add(time.Duration(s.first)), Last: hour.Add(time.Duration(s.last)),
			Flows: s.flows, Cuts: s.cuts, BytesIn: s.bytesIn, BytesOut: s.bytesOut,
		}
		h.clients.sorted[s.client].fill(&seen.SeenKey)
		h.requests.sorted[s.request].fill(&seen.SeenKey)
		h.outcomes.sorted[s.outcome].fill(&seen.SeenKey)
		if !yield(seen) {
			return false
		}
	}
	h.sums = h.sums[:0]
	return true
}

// names are the rows of a table, in the order of keys that differ in nothing else.
type names[P part] struct {
	sorted []P
	place  map[int64]int // by id
}

func load[P part](ctx context.Context, tx *sql.Tx, since int64, read func(*sql.Rows) (int64, P, error), query string) (n names[P], err error) {
	rows, err := tx.QueryContext(ctx, query, since)
	if err != nil {
		return n, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what went wrong
	type named struct {
		id   int64
		part P
	}
	var all []named
	for rows.Next() {
		id, p, err := read(rows)
		if err != nil {
			return n, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		all = append(all, named{id, p})
	}
	var left, right audit.SeenKey
	slices.SortFunc(all, func(a, b named) int {
		a.part.fill(&left)
		b.part.fill(&right)
		return left.Compare(&right)
	})
	n.place, n.sorted = make(map[int64]int, len(all)), make([]P, len(all))
	for i, named := range all {
		n.sorted[i], n.place[named.id] = named.part, i
	}
	return n, rows.Err()
}

// Use is how often a waiver let a flow through that counts, and when last, in policy time.
type Use struct {
	Count int64
	Last  time.Time
}

// WaiverUses returns the uses of the waivers, by their ids, as far as the database goes back. One without any is not in it.
func (r *Reader) WaiverUses(ctx context.Context) (map[string]Use, error) {
	uses, err := r.waiverUses(ctx)
	return uses, explained(r.path, err)
}

func (r *Reader) waiverUses(ctx context.Context) (map[string]Use, error) {
	// A cross join keeps the order: through the sums once, not once for each waiver.
	rows, err := r.reading.QueryContext(ctx, `SELECT outcome.rule, seen.hour, max(seen.last), sum(seen.flows)
		FROM seen CROSS JOIN outcome ON outcome.id = seen.outcome
		WHERE seen.outcome IN (SELECT id FROM outcome WHERE category = 'waiver') GROUP BY outcome.rule, seen.hour`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what went wrong
	uses := make(map[string]Use)
	for rows.Next() {
		var id string
		var hour, last, flows int64
		if err := rows.Scan(&id, &hour, &last, &flows); err != nil {
			return nil, err
		}
		use := uses[id]
		use.Count += flows
		if at := time.Unix(hour, last).UTC(); at.After(use.Last) {
			use.Last = at
		}
		uses[id] = use
	}
	return uses, rows.Err()
}
