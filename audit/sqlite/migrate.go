package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
)

// applicationID stands in the head of the file and tells whose database it is: "GrcG".
const applicationID = 0x47726347

// migrations are the steps from one version of the schema to the next, in files N.sql. Those that were released never change.
//
//go:embed migrations/*.sql
var migrations embed.FS

// version is that of the schema that this program reads and writes.
const version = 2

// versionOf returns the version of the schema of a database, 0 if that is empty; an error if it is none of ours.
func versionOf(ctx context.Context, path string, db *sql.DB) (int, error) {
	var id, v, tables int
	err := db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)`).Scan(&id, &v, &tables)
	switch {
	case err != nil:
		return 0, explained(path, err)
	case id == 0 && v == 0 && tables == 0:
		return 0, nil
	case id != applicationID:
		return 0, &Error{path, "name another path", fmt.Errorf("it is another program's, of application id %#x", id)}
	case v > version:
		return 0, &Error{
			path, fmt.Sprintf("run the gracegate that wrote it, or a newer one; or "+remake, path),
			fmt.Errorf("%w: its schema has version %d, and this gracegate knows versions up to %d", ErrVersion, v, version),
		}
	case v < 1:
		return 0, explained(path, fmt.Errorf("%w: its schema has version %d", ErrDamaged, v))
	}
	return v, nil
}

// migrate brings the schema to this program's version, each step in a transaction.
func (d *DB) migrate(ctx context.Context, from int) error {
	for v := from + 1; v <= version; v++ {
		step, err := migrations.ReadFile(fmt.Sprintf("migrations/%d.sql", v))
		if err != nil {
			return err
		}
		if err := d.inTx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, string(step)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, v))
			return err
		}); err != nil {
			return fmt.Errorf("to version %d: %w", v, err)
		}
	}
	return nil
}
