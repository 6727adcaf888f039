package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/gracegate/gracegate/audit"
)

const (
	advanceCursor = `UPDATE cursor SET next = ?2 WHERE next = ?1`
	addSeen       = `INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
		first = min(first, excluded.first), last = max(last, excluded.last),
		flows = flows + excluded.flows, cuts = cuts + excluded.cuts,
		bytes_in = min(bytes_in + excluded.bytes_in, 0x7fffffffffffffff), bytes_out = min(bytes_out + excluded.bytes_out, 0x7fffffffffffffff)`
)

// Add adds the sums of the records from one number up to, but not including, another, and moves the cursor from the one to the
// other; all of it or nothing. It is an error, and nothing is changed, if the cursor is not there. After an error, [DB.Next]
// tells what is to be added.
func (d *DB) Add(ctx context.Context, from, to uint64, sums []audit.Seen) error {
	if to > math.MaxInt64 || from > to || from == to && len(sums) > 0 {
		return fmt.Errorf("add %d sums of the records from %d until %d: no such range", len(sums), from, to)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.inTx(ctx, func(tx *sql.Tx) error {
		if err := d.move(ctx, tx, from, to); err != nil {
			return err
		}
		add := tx.StmtContext(ctx, d.add)
		for i := range sums {
			if err := d.addOne(ctx, tx, add, &sums[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		d.forget()
	}
	return explained(d.path, err)
}

// move moves the cursor.
func (d *DB) move(ctx context.Context, tx *sql.Tx, from, to uint64) error {
	moved, err := tx.StmtContext(ctx, d.advance).ExecContext(ctx, int64(from), int64(to)) //nolint:gosec // both are at most MaxInt64
	if err != nil {
		return err
	}
	if n, err := moved.RowsAffected(); err != nil || n == 1 {
		return err
	}
	next, err := next(ctx, tx)
	if err != nil {
		return err
	}
	return fmt.Errorf("its next record is %d, not %d", next, from)
}

func (d *DB) addOne(ctx context.Context, tx *sql.Tx, add *sql.Stmt, s *audit.Seen) error {
	hour := s.Hour.Unix()
	client, request, outcome := partsOf(&s.SeenKey)
	clientID, err := d.clients.id(ctx, tx, client, hour)
	if err != nil {
		return err
	}
	requestID, err := d.requests.id(ctx, tx, request, hour)
	if err != nil {
		return err
	}
	outcomeID, err := d.outcomes.id(ctx, tx, outcome, hour)
	if err != nil {
		return err
	}
	first, last := s.First.Sub(s.Hour), s.Last.Sub(s.Hour)
	_, err = add.ExecContext(ctx, hour, clientID, requestID, outcomeID, int64(first), int64(last), s.Flows, s.Cuts, s.BytesIn, s.BytesOut)
	return err
}
