package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/audit/journal"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/instant"
)

func newAudit() *cobra.Command {
	return newGroup("audit", "Prove that nothing was taken out of the records, and give them to others",
		"Every record is a line of the journal in the data directory, and a leaf of a Merkle tree whose root is signed\n"+
			"every minute. These commands read the journal, also while the gateway writes it.",
		newAuditVerify(), newAuditExport(), newAuditCheckpoint())
}

func newAuditVerify() *cobra.Command {
	var key, kept string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Prove that the records are as they were written, or name the first that is not",
		Long: "Prove that every record of the journal is as it was written: none altered, taken out, put in, or in another\n" +
			"place. With FILE, prove the records of an export. The exit code is 4 if the proof fails.\n\n" +
			"Whoever could write the journal and its key could sign another history. So keep a checkpoint elsewhere from\n" +
			"time to time (gracegate audit checkpoint), and name it with --checkpoint.",
		Example: "  gracegate audit verify\n" +
			"  gracegate audit verify --checkpoint /mnt/safe/checkpoint-2026-11\n" +
			"  gracegate audit verify export.jsonl --key gracegate/1a2b3c4d+...",
		Args: atMostOne("FILE"),
	}
	config.AddFlags(cmd.Flags(), config.GroupData)
	cmd.Flags().StringVar(&key, "key", "", "the public `key` to verify by, or a file with it (default that of the journal or export)")
	cmd.Flags().StringVar(&kept, "checkpoint", "", "a `file` with a checkpoint that was kept elsewhere, which must hold too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		if key, err = keyOf(key); err != nil {
			return err
		}
		var proof journal.Proof
		what := journalDir(cfg)
		if len(args) == 1 {
			what = args[0]
			proof, err = verifyExport(args[0], key, kept)
		} else {
			proof, err = verifyJournal(what, key, kept)
		}
		if err != nil {
			return err
		}
		if err := printProof(cmd.OutOrStdout(), what, &proof, asJSON); err != nil {
			return failed(err, "")
		}
		if proof.Fault != nil {
			return &codedError{errors.New(proof.Fault.Detail), exitRefused, placeOf(proof.Fault)}
		}
		return nil
	}
	return cmd
}

func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return invalid(fmt.Errorf("%s takes one %s, not %d", cmd.Name(), what, len(args)), "see "+cmd.CommandPath()+" --help")
		}
		return nil
	}
}

// maxAuditText bounds what is read of a file with a key or a checkpoint, which are some lines.
const maxAuditText = 64 << 10

// keyOf reads a key that is given as such or in a file.
func keyOf(key string) (string, error) {
	if key == "" {
		return "", nil
	}
	if data, err := readAtMost(key, maxAuditText); err == nil {
		key = string(data)
	}
	if err := journal.CheckKey(key); err != nil {
		return "", invalid(err, "a key is a line like that of key.pub beside the journal")
	}
	return key, nil
}

func verifyJournal(dir, key, kept string) (journal.Proof, error) {
	if err := journal.Exists(dir); err != nil {
		return journal.Proof{}, noJournal(dir, err)
	}
	against, err := readKept(dir, key, kept)
	if err != nil {
		return journal.Proof{}, err
	}
	proof, err := journal.Verify(dir, key, against...)
	if errors.Is(err, fs.ErrNotExist) && key == "" {
		return proof, &codedError{err, exitRefused, "--key names the key to verify by, if it was kept elsewhere"}
	}
	return proof, failed(err, "the journal must be readable by this user")
}

// runAsGateway is what to do where only the user of the gateway may look.
const runAsGateway = "run it as the user of the gateway, such as by sudo -u gracegate, or as root"

// noJournal tells why there is no journal to be read.
func noJournal(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return failed(fmt.Errorf("the journal in %s cannot be read: %w", dir, cause(err)), runAsGateway)
	}
	return invalid(fmt.Errorf("there is no journal in %s: %w", dir, cause(err)), "--data-dir names the data directory of a gateway that has run")
}

// readKept reads a checkpoint that was kept elsewhere.
func readKept(dir, key, name string) ([]*journal.Checkpoint, error) {
	if name == "" {
		return nil, nil
	}
	signed, err := readAtMost(name, maxAuditText)
	if err != nil {
		return nil, invalid(err, "--checkpoint names a file with what gracegate audit checkpoint printed")
	}
	if key == "" {
		if key, err = journal.PublicKey(dir); err != nil {
			return nil, failed(err, "")
		}
	}
	c, err := journal.ParseCheckpoint(signed, key)
	if err != nil {
		return nil, &codedError{fmt.Errorf("%s: %w", name, err), exitRefused, "--key names the key that it was signed by"}
	}
	return []*journal.Checkpoint{c}, nil
}

// proofJSON is what verify --json prints.
type proofJSON struct {
	Whole       bool       `json:"whole"`
	First       *uint64    `json:"first"` // null: there are no records
	Last        *uint64    `json:"last"`
	Checkpoints int        `json:"checkpoints"`
	SignedTo    *uint64    `json:"signed_to"` // the last record that a checkpoint tells of
	SignedAt    *time.Time `json:"signed_at"`
	Unsigned    uint64     `json:"unsigned"`
	TornBytes   int64      `json:"torn_bytes"`
	NotCompared *string    `json:"not_compared"` // why a checkpoint that was given was not; null: it was
	Key         string     `json:"key"`
	Fault       *faultJSON `json:"fault"`
}

type faultJSON struct {
	Kind   string `json:"kind"`
	Record uint64 `json:"record"`
	Detail string `json:"detail"`
	File   string `json:"file"`
	Line   int    `json:"line"`
}

func printProof(out io.Writer, what string, p *journal.Proof, asJSON bool) error {
	if asJSON {
		return writeProofJSON(out, p)
	}
	_, err := io.WriteString(out, proofText(what, p))
	return err
}

func proofText(what string, p *journal.Proof) string {
	if p.Next == p.First {
		return what + ": no records\n"
	}
	state := "whole"
	if p.Fault != nil {
		state = "NOT whole"
	}
	text := fmt.Appendf(nil, "%s: %s\nrecords      %d to %d\ncheckpoints  %d", what, state, p.First, p.Next-1, p.Checkpoints)
	if p.Last != nil {
		text = fmt.Appendf(text, ", the last for %s, signed at %s", counted(p.Last.Size, "record", "records"), instant.Format(p.Last.Time))
	}
	text = fmt.Appendf(text, "\nkey          %s\n", p.Key)
	if p.NotCompared != "" {
		text = fmt.Appendf(text, "not compared the checkpoint that was given: %s\n", p.NotCompared)
	}
	if p.Unsigned > 0 {
		text = fmt.Appendf(text, "unsigned     %d, written after the last checkpoint: of these nothing is proven yet\n", p.Unsigned)
	}
	if p.Torn > 0 {
		text = fmt.Appendf(text, "unfinished   %s of a record that was being written\n", counted(p.Torn, "byte", "bytes"))
	}
	return string(text)
}

func writeProofJSON(out io.Writer, p *journal.Proof) error {
	j := proofJSON{Whole: p.Fault == nil, Checkpoints: p.Checkpoints, Unsigned: p.Unsigned, TornBytes: p.Torn, NotCompared: orNull(p.NotCompared), Key: p.Key}
	if p.Next > p.First {
		last := p.Next - 1
		j.First, j.Last = &p.First, &last
	}
	if p.Last != nil && p.Last.Size > 0 {
		to := p.Last.Size - 1
		j.SignedTo, j.SignedAt = &to, &p.Last.Time
	}
	if f := p.Fault; f != nil {
		j.Fault = &faultJSON{f.Kind, f.Record, f.Detail, f.File, f.Line}
	}
	return writeJSON(out, j)
}

func placeOf(f *journal.Fault) string {
	if f.Line == 0 {
		return f.File
	}
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}

func newAuditCheckpoint() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print the latest signed checkpoint, to be kept elsewhere",
		Long: "Print the latest signed checkpoint: a few lines of text. Kept where whoever writes the journal cannot reach it, it\n" +
			"proves later that every record up to it is still there (gracegate audit verify --checkpoint FILE).",
		Args: noArguments,
	}
	config.AddFlags(cmd.Flags(), config.GroupData)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		dir := journalDir(cfg)
		if err := journal.Exists(dir); err != nil {
			return noJournal(dir, err)
		}
		c, err := journal.Latest(dir)
		if err != nil {
			return failed(err, "a gateway that runs writes one every minute in which it recorded something")
		}
		_, err = cmd.OutOrStdout().Write(c.Note)
		return failed(err, "")
	}
	return cmd
}
