package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/audit/journal"
	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/instant"
)

func newAuditExport() *cobra.Command {
	var format, since, until, name string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Give records to others, with the proof of each",
		Long: "Write the records that were signed, each with the proof that it is in the tree of the latest checkpoint, which is\n" +
			"written too. Whoever has the export proves it by gracegate audit verify FILE, or by any implementation of RFC 6962.\n" +
			"As csv the record stands whole beside the columns; as jsonl it is a member of each line, to the byte as written.",
		Example: "  gracegate audit export --format csv --since 2026-10-01T00:00:00Z --output october.csv",
		Args:    noArguments,
	}
	config.AddFlags(cmd.Flags(), config.GroupData)
	f := cmd.Flags()
	f.StringVar(&format, "format", "jsonl", "`format`: jsonl or csv")
	f.StringVar(&since, "since", "", "the first `instant` of real time, RFC 3339 with an offset (default the first record)")
	f.StringVar(&until, "until", "", "the `instant` at which it ends (default the last signed record)")
	f.StringVar(&name, "output", "-", "the `file` to write; - is standard output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		put, known := map[string]exporter{"jsonl": journal.WriteJSONL, "csv": journal.WriteCSV}[format]
		if !known {
			return invalid(fmt.Errorf("--format %q is none", format), "jsonl or csv")
		}
		var r journal.Range
		var err error
		if r.Since, err = instantOr("--since", since, r.Since); err != nil {
			return err
		}
		if r.Until, err = instantOr("--until", until, r.Until); err != nil {
			return err
		}
		if !r.Since.IsZero() && !r.Until.IsZero() && !r.Since.Before(r.Until) {
			return invalid(fmt.Errorf("the period from %q until %q is empty", since, until), "--since is before --until")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		return exportRecords(cmd.OutOrStdout(), cmd.ErrOrStderr(), journalDir(cfg), output{flag: "output", name: name, private: true}, r, put)
	}
	return cmd
}

type exporter = func(io.Writer, *journal.Checkpoint, string, journal.Records) (int, error)

func exportRecords(stdout, stderr io.Writer, dir string, to output, r journal.Range, put exporter) error {
	if err := journal.Exists(dir); err != nil {
		return noJournal(dir, err)
	}
	c, key, list, behind, err := journal.Export(dir, r)
	if err != nil {
		return failed(err, "a gateway that runs signs its records every minute")
	}
	n := 0
	var refused error // why a record is not proven
	noted := func(yield func(journal.Proven, error) bool) {
		for p, err := range list {
			if refused = err; !yield(p, err) {
				return
			}
		}
	}
	write := func(w io.Writer) (err error) {
		n, err = put(w, c, key, noted)
		return err
	}
	err = to.write(stdout, write)
	switch {
	case refused != nil:
		return &codedError{refused, exitRefused, "gracegate audit verify tells more"}
	case err != nil:
		return err
	}
	_, _ = fmt.Fprintf(stderr, "%s, proven by the checkpoint of %s\n", counted(n, "record", "records"), instant.Format(c.Time))
	if behind > 0 {
		_, _ = fmt.Fprintf(stderr, "%s not signed yet, and left out\n", counted(behind, "more is", "more are"))
	}
	return nil
}

// verifyExport proves a file that export wrote.
func verifyExport(name, key, kept string) (journal.Proof, error) {
	f, err := os.Open(name)
	if err != nil {
		return journal.Proof{}, invalid(err, "FILE is what gracegate audit export wrote")
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return journal.Proof{}, invalid(fmt.Errorf("%s is a directory", name), "FILE is what gracegate audit export wrote; without one the journal of --data-dir is proven")
	}
	var against []*journal.Checkpoint
	if kept != "" {
		if key == "" {
			return journal.Proof{}, invalid(errors.New("--checkpoint beside an export needs --key"), "the key of an export proves nothing about what was kept elsewhere")
		}
		if against, err = readKept("", key, kept); err != nil {
			return journal.Proof{}, err
		}
	}
	proof, err := journal.VerifyExport(f, key, against...)
	if none, ok := errors.AsType[*journal.NotExportError](err); ok {
		return proof, invalid(fmt.Errorf("%s: %w", name, none), "FILE is what gracegate audit export wrote")
	}
	if err == nil && key == "" && proof.Fault == nil {
		proof.Key += "  (that of the export itself: compare it with the gateway's, or give --key)"
	}
	return proof, failed(err, "")
}
