package main

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/gracegate/gracegate/audit/sqlite"
)

// Records that this user may not read are not taken for none.
func TestJournalThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		err  error
		code int
		want string
	}{
		{
			fs.ErrPermission, exitFailed,
			"error: the journal in data/journal cannot be read: permission denied\nhint: run it as the user of the gateway, such as by sudo -u gracegate, or as root\n",
		},
		{
			fs.ErrNotExist, exitInvalid,
			"error: there is no journal in data/journal: file does not exist\nhint: --data-dir names the data directory of a gateway that has run\n",
		},
	} {
		var out bytes.Buffer
		err := noJournal("data/journal", &os.PathError{Op: "open", Path: "data/journal", Err: row.err})
		if code := report(&out, err); code != row.code || out.String() != row.want {
			t.Errorf("%d, %q", code, out.String())
		}
	}
}

// Nor is a database that this user may not read one to be written elsewhere.
func TestDatabaseThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		fs.ErrPermission: "error: database seen.db: permission denied\nhint: " + runAsGateway + "\n",
		fs.ErrInvalid:    "error: database seen.db: invalid argument\nhint: look\n",
	} {
		var out bytes.Buffer
		if code := report(&out, databaseFailure(&sqlite.Error{Path: "seen.db", Hint: "look", Err: err})); code != exitFailed || out.String() != want {
			t.Errorf("%d, %q", code, out.String())
		}
	}
}
