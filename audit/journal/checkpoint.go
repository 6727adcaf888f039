package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint says what the journal was at some time, and is signed with the gateway's key. Its text is that of a checkpoint of a
// transparency log (https://c2sp.org/tlog-checkpoint): the origin, the number of records, the root of their tree in base64, and
// two lines of our own, "kept-from N" and "time T".
type Checkpoint struct {
	Origin string
	Size   uint64 // records from 0 up to, but not including this
	Root   tlog.Hash
	Kept   uint64    // records before this one had been removed by then, by their age
	Time   time.Time // real, in UTC

	Note []byte // as signed
}

func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\nkept-from %d\ntime %s\n", c.Origin, c.Size, c.Root, c.Kept, c.Time.UTC().Format(time.RFC3339))
}

// sign makes the note.
func (c *Checkpoint) sign(by note.Signer) (err error) {
	c.Note, err = note.Sign(&note.Note{Text: c.text()}, by)
	return err
}

// ParseCheckpoint reads a signed note, and verifies its signature by a key of the form of key.pub.
func ParseCheckpoint(signed []byte, key string) (*Checkpoint, error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return nil, fmt.Errorf("the key %.80q is none: %w", key, err)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return nil, fmt.Errorf("the signature of the checkpoint: %w", err)
	}
	c := &Checkpoint{Note: bytes.Clone(signed)}
	if err := c.parse(n.Text); err != nil {
		return nil, err
	}
	if c.Origin != verifier.Name() {
		return nil, fmt.Errorf("the checkpoint is of %q, its key is that of %q", c.Origin, verifier.Name())
	}
	return c, nil
}

func (c *Checkpoint) parse(text string) error {
	bad := func(what string) error { return fmt.Errorf("the checkpoint has no %s: %.200q", what, text) }
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 5 {
		return bad("five lines")
	}
	var err error
	c.Origin = lines[0]
	if c.Size, err = strconv.ParseUint(lines[1], 10, 62); err != nil {
		return bad("size")
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return bad("root")
	}
	kept, ok := strings.CutPrefix(lines[3], "kept-from ")
	if c.Kept, err = strconv.ParseUint(kept, 10, 62); err != nil || !ok || c.Kept > c.Size {
		return bad("first record kept")
	}
	at, ok := strings.CutPrefix(lines[4], "time ")
	if c.Time, err = time.Parse(time.RFC3339, at); err != nil || !ok {
		return bad("time")
	}
	return nil
}

// unreadable is a line of the file of checkpoints that is none, or not signed by the key.
type unreadable struct {
	line int
	err  error
}

// readCheckpoints reads all of a file of checkpoints. A last line that is torn off is left out; it is not there if the file is not.
func readCheckpoints(name, key string) (list []*Checkpoint, bad []unreadable, err error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	line := 0
	for text := range bytes.Lines(data) {
		if line++; text[len(text)-1] != '\n' {
			break
		}
		var signed string
		var c *Checkpoint
		err := json.Unmarshal(text, &signed)
		if err == nil {
			c, err = ParseCheckpoint([]byte(signed), key)
		}
		if err != nil {
			bad = append(bad, unreadable{line, err})
			continue
		}
		list = append(list, c)
	}
	return list, bad, nil
}

// latestOf is the checkpoint of the most records, wherever it stands: an older one that was put behind it takes nothing back. It is one
// of nothing if there is none.
func latestOf(list []*Checkpoint) *Checkpoint {
	latest := &Checkpoint{}
	for _, c := range list {
		if c.Size >= latest.Size && c.Kept >= latest.Kept {
			latest = c
		}
	}
	return latest
}

// line is how a checkpoint stands in the file.
func (c *Checkpoint) line() ([]byte, error) {
	b, err := json.Marshal(string(c.Note))
	return append(b, '\n'), err
}
