package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/lint"
)

func newLint() *cobra.Command {
	var l linter
	var list bool
	cmd := &cobra.Command{
		Use:   "lint [FILE]",
		Short: "Look for what is valid in the policy, and most likely not meant",
		Long: "Look for what is valid in a policy and most likely not meant: a waiver that changes nothing, a rule that never decides, a date\n" +
			"that somebody assumed. FILE is the operator's policy, else the configured one; it is linted with its waivers and the\n" +
			"catalogue. A line \"# lint:disable CHECK REASON\" above an entry, or at the end of its first line, silences a check there.",
		Example: "  gracegate lint policy.yaml\n  gracegate lint --list",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return invalid(fmt.Errorf("lint takes one policy file, not %d", len(args)), "gracegate lint policy.yaml")
			}
			return nil
		},
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupPolicy)
	f.StringVar(&l.at, "at", "", "the present `instant`, RFC 3339 with an offset (default now)")
	f.StringSliceVar(&l.only, "check", nil, "only these `checks`")
	f.StringSliceVar(&l.disabled, "disable", nil, "not these `checks`")
	f.BoolVar(&l.catalog, "catalog", false, "lint the catalogue as well")
	f.StringVar(&l.failOn, "fail-on", "error", "exit with 3 from this `severity` on: error, warning or info")
	f.BoolVar(&l.asJSON, "json", false, "print JSON")
	f.StringVar(&l.sarif, "sarif", "", "also write SARIF 2.1.0 to this `file`, - is standard output")
	f.BoolVar(&list, "list", false, "list the checks")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if list {
			return listChecks(cmd.OutOrStdout())
		}
		if err := l.check(); err != nil {
			return err
		}
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		if len(args) == 1 {
			choosePolicy(&cfg.Policy, args[0])
		}
		found, err := l.find(cfg)
		if err != nil {
			return err
		}
		return l.tell(cmd.OutOrStdout(), found)
	}
	return cmd
}

// linter is what lint is asked for.
type linter struct {
	at, failOn, sarif string
	only, disabled    []string
	asJSON, catalog   bool
}

// check refuses what cannot be asked for.
func (l *linter) check() error {
	if !slices.Contains(severities, lint.Severity(l.failOn)) {
		return invalid(fmt.Errorf("--fail-on %q is no severity", l.failOn), "error, warning or info")
	}
	if l.asJSON && l.sarif == "-" {
		return invalid(errors.New("--json and --sarif - are both for standard output"), "--sarif names a file")
	}
	for _, name := range slices.Concat(l.only, l.disabled) {
		if err := knownCheck(name); err != nil {
			return err
		}
	}
	return nil
}

// find runs the checks that are wanted on the policy that is configured.
func (l *linter) find(cfg *config.Config) (*findings, error) {
	from := law{cfg: cfg}
	files, unread, err := from.operatorFiles()
	if err != nil {
		return nil, err
	}
	p, err := from.compile(files, unread)
	if err != nil {
		return nil, err
	}
	s := &lint.Subject{Policy: p, MaxAge: cfg.Policy.MaxAge, Catalog: l.catalog}
	if s.Now, err = instantOr("at", l.at, time.Now()); err != nil {
		return nil, err
	}
	found := lint.Run(s, func(check string) bool {
		return (len(l.only) == 0 || slices.Contains(l.only, check)) && !slices.Contains(l.disabled, check)
	})
	texts := newExcerpts(files)
	found, err = texts.unsilenced(found)
	return &findings{list: found, texts: texts}, err
}

// tell writes what was found. The error is that of --fail-on, too.
func (l *linter) tell(stdout io.Writer, found *findings) error {
	write := found.writeText
	switch {
	case l.sarif == "-":
		write = found.writeSARIF
	case l.asJSON:
		write = found.writeJSON
	}
	if l.sarif != "" && l.sarif != "-" {
		to := output{flag: "sarif", name: l.sarif}
		if err := to.write(nil, found.writeSARIF); err != nil {
			return err
		}
	}
	if err := write(stdout); err != nil {
		return failed(err, "")
	}
	if found.worst(lint.Severity(l.failOn)) {
		return &codedError{code: exitMatched}
	}
	return nil
}

// severities in order, the worst first.
var severities = []lint.Severity{lint.Error, lint.Warning, lint.Info}

func knownCheck(name string) error {
	var names []string
	for _, c := range lint.Checks() {
		names = append(names, c.Name)
	}
	if slices.Contains(names, name) {
		return nil
	}
	return invalid(fmt.Errorf("no check is called %q", name), policy.Known(name, names))
}

// findings are what was found, with the texts of the files.
type findings struct {
	list  []lint.Finding
	texts *excerpts
}

// worst tells whether a finding is as bad as a severity, or worse.
func (f *findings) worst(than lint.Severity) bool {
	limit := slices.Index(severities, than)
	return slices.ContainsFunc(f.list, func(x lint.Finding) bool { return slices.Index(severities, x.Severity) <= limit })
}

// excerpts has the lines of the files that findings are about.
type excerpts struct{ files map[string][]string }

// newExcerpts takes the operator's files as they were compiled; those of a catalogue's directory are read when they are needed.
func newExcerpts(files operatorFiles) *excerpts {
	x := &excerpts{files: map[string][]string{}}
	put := func(name string, text []byte) { x.files[name] = strings.Split(string(text), "\n") }
	if b := files.bundle; b != nil {
		for _, m := range b.Members {
			if text, ok := b.Member(m.Name); ok && strings.HasSuffix(m.Name, ".yaml") {
				put(bundleMember(m.Name), text)
			}
		}
	}
	put(files.policy.Name, files.policy.Data)
	for _, w := range files.waivers {
		put(w.Name, w.Data)
	}
	return x
}

// line returns a line of a file, counted from 1; "" where it cannot be had.
func (x *excerpts) line(pos policy.Pos, n int) string {
	lines, ok := x.files[pos.File]
	if !ok {
		if f, err := readPolicyFile(pos.File); err == nil {
			lines = strings.Split(string(f.Data), "\n")
		}
		x.files[pos.File] = lines
	}
	if n < 1 || n > len(lines) {
		return ""
	}
	return strings.TrimRight(lines[n-1], "\r")
}

const silencer = "# lint:disable "

// unsilenced leaves out what comments in the files silence. One without a reason, or for a check that there is not, is an error.
func (x *excerpts) unsilenced(found []lint.Finding) (left []lint.Finding, err error) {
	for _, f := range found {
		silenced := false
		for _, n := range []int{f.Pos.Line - 1, f.Pos.Line} {
			line := x.line(f.Pos, n)
			_, comment, ok := strings.Cut(line, silencer)
			if !ok || n < f.Pos.Line && !strings.HasPrefix(strings.TrimSpace(line), silencer) { // that of the line above is about it
				continue
			}
			check, reason, _ := strings.Cut(strings.TrimSpace(comment), " ")
			at := policy.Pos{File: f.Pos.File, Line: n, Column: strings.Index(line, silencer) + 1}
			if knownCheck(check) != nil || strings.TrimSpace(reason) == "" {
				return nil, policy.Problems{{Pos: at, Message: fmt.Sprintf("%q does not name a check and a reason", strings.TrimSpace(silencer+comment)), Hint: silencer + f.Check + " why it is meant"}}
			}
			silenced = silenced || check == f.Check
		}
		if !silenced {
			left = append(left, f)
		}
	}
	return left, nil
}
