package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
)

func newDiff() *cobra.Command {
	var corpus []string
	var horizon, failOn string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what two policies decide differently, when, and for whom",
		Long: "Say what two policies decide differently: for every kind of client and destination that either can tell apart, over\n" +
			"all time. OLD and NEW are each a policy file, which meets the configured catalogue and waivers; a bundle; a directory\n" +
			"with any of policy.yaml, waivers.yaml and catalog/; a directory that is a catalogue, which meets the configured\n" +
			"policy; or the word builtin, for the built-in policy with the catalogue in the binary. With --corpus also what differs for\n" +
			"requests that were made: records of this gateway, or questions as explain - takes them, a JSON object a line.",
		Example: "  git show main:policy.yaml > old.yaml && gracegate diff old.yaml policy.yaml --fail-on loosen\n" +
			"  gracegate audit export | gracegate diff policy.yaml new.yaml --corpus -",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return invalid(fmt.Errorf("diff takes two policies, not %d", len(args)), "gracegate diff old.yaml new.yaml")
			}
			return nil
		},
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupPolicy)
	f.StringArrayVar(&corpus, "corpus", nil, "also compare for the requests in this `file`, - is standard input; may be repeated")
	f.StringVar(&horizon, "as-known-at", "", "leave out what was published after this `instant` (default policy.known-at)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&failOn, "fail-on", "", "exit with 3 if there is such a `change`: change, tighten or loosen")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if failOn != "" && failOn != "change" && failOn != "tighten" && failOn != "loosen" {
			return invalid(fmt.Errorf("--fail-on %q is no kind of change", failOn), "change, tighten (what was allowed is blocked) or loosen")
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		d := &difference{}
		if d.old, err = loadSide(cfg, args[0], horizon); err != nil {
			return err
		}
		if d.new, err = loadSide(cfg, args[1], horizon); err != nil {
			return err
		}
		d.texts = compareTexts(d.old, d.new)
		d.changes = policy.Diff(d.old, d.new)
		if len(corpus) > 0 {
			if d.corpus, err = readCorpus(corpus, cmd.InOrStdin()); err != nil {
				return invalid(err, cmp.Or(hintOf(err), "--corpus names files of JSON lines: records of this gateway, or questions as explain - takes them"))
			}
			d.corpus.compare(d.old, d.new)
		}
		write := d.writeText
		if asJSON {
			write = d.writeJSON
		}
		if err := write(cmd.OutOrStdout()); err != nil {
			return failed(err, "")
		}
		if d.has(failOn) {
			return &codedError{code: exitMatched}
		}
		return nil
	}
	return cmd
}

// difference is all that is told about two policies.
type difference struct {
	old, new *policy.Policy
	texts    []textChange
	changes  []policy.Change
	corpus   *corpus // nil: none was given
}

// has tells whether there is a change of a kind that --fail-on names.
func (d *difference) has(kind string) bool {
	if kind == "change" {
		return len(d.changes) > 0 || d.corpus != nil && len(d.corpus.changed) > 0
	}
	fits := func(diff *policy.Difference) bool {
		return kind == "tighten" && diff.Old.Verdict == policy.Allow && diff.New.Verdict == policy.Block ||
			kind == "loosen" && diff.Old.Verdict == policy.Block && diff.New.Verdict == policy.Allow
	}
	for i := range d.changes {
		if fits(&d.changes[i].Difference) {
			return true
		}
	}
	if d.corpus == nil {
		return false
	}
	for _, r := range d.corpus.changed {
		for i := range r.differences {
			if fits(&r.differences[i]) {
				return true
			}
		}
	}
	return false
}

// loadSide compiles one of the two policies.
func loadSide(cfg *config.Config, name, horizon string) (*policy.Policy, error) {
	side := *cfg
	if err := chooseSide(&side.Policy, name); err != nil {
		return nil, err
	}
	return loadKnownAt(&side, horizon)
}

// choosePolicy has the settings of the policy name a file in place of what they named: a policy, which meets the catalogue that is
// configured, be it a bundle's; or a bundle, which has its own.
func choosePolicy(to *config.Policy, name string) {
	if looksLikeBundle(name) {
		to.Bundle, to.File, to.Catalog, to.CatalogOnly = name, "", "", false
		return
	}
	to.File = name
}

// chooseSide has the settings of the policy name what an argument of diff stands for.
func chooseSide(to *config.Policy, name string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && name == "builtin":
		to.File, to.Waivers, to.Catalog, to.CatalogOnly, to.Bundle = "", "", "", false, ""
		return nil
	case err != nil:
		return invalid(fmt.Errorf("policy %q: %w", name, cause(err)), "OLD and NEW are each a policy file, a directory, or the word builtin")
	case !info.IsDir():
		choosePolicy(to, name)
		return nil
	}
	there := func(part string) bool {
		_, err := os.Stat(filepath.Join(name, part))
		return err == nil
	}
	if there("vendors") || there("restrictions") || there("jurisdictions.yaml") {
		to.Catalog = name
		return nil
	}
	found := false
	for part, setting := range map[string]*string{"policy.yaml": &to.File, "waivers.yaml": &to.Waivers, "catalog": &to.Catalog} {
		if there(part) {
			*setting, found = filepath.Join(name, part), true
		}
	}
	if !found {
		return invalid(fmt.Errorf("directory %q holds no policy", name), "it has policy.yaml, waivers.yaml or catalog/, or is a catalogue with vendors/ or restrictions/")
	}
	return nil
}
