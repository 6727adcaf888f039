package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	pruneRows = 2000 // rows of one transaction, so that it is short
	pruneSeen = `DELETE FROM seen WHERE (hour, client, request, outcome) IN
		(SELECT hour, client, request, outcome FROM seen WHERE hour < ? ORDER BY hour, client, request, outcome LIMIT ?)`
)

// Prune removes the sums of the hours that were over at an instant, and the clients, requests and outcomes that are in none of
// those that stay. It does so in many short transactions, between which others may add. The file keeps its size; its free pages
// are used again.
func (d *DB) Prune(ctx context.Context, before time.Time) error {
	hour := before.UTC().Truncate(time.Hour).Unix()
	for {
		n, err := d.pruneSeen(ctx, hour)
		if err != nil {
			return explained(d.path, err)
		}
		if n < pruneRows {
			break
		}
	}
	for _, table := range []string{"client", "request", "outcome"} {
		if err := d.pruneTable(ctx, table, hour); err != nil {
			return explained(d.path, err)
		}
	}
	return nil
}

func (d *DB) pruneSeen(ctx context.Context, hour int64) (removed int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	result, err := d.db.ExecContext(ctx, pruneSeen, hour, pruneRows)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// pruneTable removes from a table what was last seen before an hour.
func (d *DB) pruneTable(ctx context.Context, table string, hour int64) error {
	var last int64
	if err := d.reading.QueryRowContext(ctx, fmt.Sprintf(`SELECT coalesce(max(id), 0) FROM %s`, table)).Scan(&last); err != nil {
		return err
	}
	for id := int64(0); id < last; id += pruneRows {
		if err := d.pruneIDs(ctx, table, hour, id, id+pruneRows); err != nil {
			return err
		}
	}
	return nil
}

// pruneIDs does so for the rows after one id, up to another. Sums of such an hour that were added in the meantime go too: they
// would lose what they refer to.
func (d *DB) pruneIDs(ctx context.Context, table string, hour, after, upTo int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget()
	return d.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM seen WHERE hour < ?`, hour); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM %s WHERE id > ? AND id <= ? AND last_hour < ?`, table), after, upTo, hour)
		return err
	})
}
