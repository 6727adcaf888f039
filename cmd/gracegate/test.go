package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/source"
)

func newTest() *cobra.Command {
	var t tester
	var run, name string
	var boundaries bool
	cmd := &cobra.Command{
		Use:   "test FILE|DIR...",
		Short: "Ask a policy the questions of scenario files, and compare the answers",
		Long: "Ask a policy the questions of scenario files, by the decision function of serve, and compare the answers with what\n" +
			"the files expect. Of a directory every *.yaml in it that has cases is a scenario file. A file may name its policy;\n" +
			"else the configured one is asked. With --boundaries a scenario file is written instead: for every instant of the policy the cases\n" +
			"just before, at and just after it, with what the policy says of them now. Later, what has changed shows as a failure.",
		Example: "  gracegate test scenarios.yaml\n" +
			"  gracegate test --boundaries --output boundaries.yaml && gracegate test boundaries.yaml",
	}
	f := cmd.Flags()
	config.AddFlags(f, config.GroupPolicy)
	f.StringVar(&run, "run", "", "only cases whose name, host or URL the regular `expression` matches")
	f.BoolVar(&t.tap, "tap", false, "print the Test Anything Protocol, version 14")
	f.StringVar(&t.junit, "junit", "", "also write JUnit XML to this `file`, - is standard output")
	f.BoolVar(&t.coverage, "coverage", false, "tell what of the policy the cases rest on, and what none does")
	f.Float64Var(&t.minCoverage, "min-coverage", 0, "exit with 3 if the cases rest on less than this `percentage` of the policy")
	f.BoolVar(&boundaries, "boundaries", false, "write a scenario file of every instant of the policy")
	f.StringVar(&name, "output", "-", "the `file` that --boundaries writes; - is standard output")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(cmd.Flags())
		if err != nil {
			return err
		}
		if boundaries {
			if len(args) > 0 {
				return invalid(fmt.Errorf("--boundaries takes no files, not %q", args[0]), "--policy-file names the policy")
			}
			return writeBoundaries(cfg, output{flag: "output", name: name}, cmd.OutOrStdout())
		}
		if len(args) == 0 {
			return invalid(errors.New("test takes scenario files"), "gracegate test --boundaries writes one")
		}
		if t.run, err = regexp.Compile(run); err != nil {
			return invalid(fmt.Errorf("--run %q: %w", run, err), "a regular expression as Go has them")
		}
		if err := t.check(); err != nil {
			return err
		}
		t.cfg = cfg
		if err := t.load(args); err != nil {
			return err
		}
		t.ask()
		return t.tell(cmd.OutOrStdout())
	}
	return cmd
}

// tester asks the questions of scenario files.
type tester struct {
	cfg         *config.Config
	run         *regexp.Regexp
	tap         bool
	junit       string
	coverage    bool
	minCoverage float64

	policies map[string]*policy.Policy // by the name of their file
	cases    []*scenario
	covered  coverage
}

// scenario is a case with the policy that it asks, and what came of it.
type scenario struct {
	source.Case
	facts  policy.Facts
	policy *policy.Policy
	wrong  []string
	got    policy.Explanation
}

// check refuses what cannot be asked for.
func (t *tester) check() error {
	if t.minCoverage < 0 || t.minCoverage > 100 {
		return invalid(fmt.Errorf("--min-coverage %v is no percentage", t.minCoverage), "a number from 0 to 100")
	}
	if t.tap && t.junit == "-" {
		return invalid(errors.New("--tap and --junit - are both for standard output"), "--junit names a file")
	}
	return nil
}

// load reads all files, and compiles the policies that they ask. All mistakes are returned at once.
func (t *tester) load(args []string) error {
	t.policies = map[string]*policy.Policy{}
	var problems policy.Problems
	found := 0
	for _, arg := range args {
		files, err := scenarioFiles(arg)
		if err != nil {
			return err
		}
		for _, name := range files {
			data, err := readAtMost(name, source.MaxScenarios)
			if err != nil {
				return invalid(fmt.Errorf("%s: %w", name, cause(err)), "a scenario file is YAML with cases")
			}
			list, more := source.ReadScenarios(source.File{Name: name, Data: data})
			if problems = append(problems, more...); len(more) > 0 {
				continue
			}
			p, err := t.policyFor(name, list.Policy)
			if err != nil {
				return err
			}
			for i := range list.Cases {
				s := &scenario{Case: list.Cases[i]}
				s.prepare(t, p, &problems)
				found++
				if t.run.MatchString(s.Name) || t.run.MatchString(s.Host) || t.run.MatchString(s.URL) {
					t.cases = append(t.cases, s)
				}
			}
		}
	}
	if err := problems.Err(); err != nil {
		return err
	}
	if found == 0 {
		return invalid(fmt.Errorf("no cases in %s", strings.Join(args, ", ")), "a scenario file has cases: [{at: ..., host: ..., expect: {verdict: block}}]")
	}
	if len(t.cases) == 0 { // a slip of the pen must not pass for good news
		return invalid(fmt.Errorf("--run %q is in none of %s", t.run, counted(found, "case", "cases")), "it is looked for in name, host and url of a case")
	}
	return nil
}

// scenarioFiles lists what an argument stands for.
func scenarioFiles(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, invalid(fmt.Errorf("%s: %w", name, cause(err)), "test takes scenario files, and directories of them")
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var files []string
	err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		data, err := readAtMost(path, source.MaxScenarios)
		if bytes.HasPrefix(data, []byte("cases:")) || bytes.Contains(data, []byte("\ncases:")) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, invalid(err, "of a directory every *.yaml is read that can have cases")
	}
	return files, nil
}

// policyFor compiles the policy that a scenario file names, or the configured one.
func (t *tester) policyFor(file, named string) (*policy.Policy, error) {
	cfg := *t.cfg
	if named != "" {
		if !filepath.IsAbs(named) {
			named = filepath.Join(filepath.Dir(file), named)
		}
		choosePolicy(&cfg.Policy, named)
	}
	if p := t.policies[named]; p != nil {
		return p, nil
	}
	p, err := loadPolicy(&cfg)
	t.policies[named] = p
	return p, err
}

// prepare finds what a case means. Mistakes are added to the problems.
func (s *scenario) prepare(t *tester, p *policy.Policy, problems *policy.Problems) {
	q := question{
		URL: s.URL, Host: s.Host, Client: s.Client, User: s.User, MAC: s.MAC, SNI: s.SNI, Method: s.Method, Intercepted: s.Intercepted,
		Destination: s.Destination,
	}
	var err error
	if s.facts, err = q.facts(); err != nil {
		problems.Add(s.Pos, hintOf(err), "%s", err)
	}
	s.policy = p
	if s.AsKnownAt == nil {
		return
	}
	if s.policy, err = t.horizon(p, policy.Horizon{At: s.AsKnownAt.At}); err != nil {
		problems.Add(s.Pos, "", "%s", err)
	}
}

// horizon compiles a policy as known at an instant, each once.
func (t *tester) horizon(p *policy.Policy, at policy.Horizon) (*policy.Policy, error) {
	key := fmt.Sprintf("%p %d", p, at.At.UnixNano())
	if known := t.policies[key]; known != nil {
		return known, nil
	}
	known, err := p.WithHorizon(at)
	t.policies[key] = known
	return known, err
}

// ask asks every question.
func (t *tester) ask() {
	for _, p := range t.policies {
		t.covered.expect(p)
	}
	for _, s := range t.cases {
		s.got = s.policy.Explain(s.At.At, &s.facts)
		s.wrong = nil
		for i := range s.Expect {
			if wrong := differsFrom(&s.Expect[i], &s.got); wrong != "" {
				s.wrong = append(s.wrong, wrong)
			}
		}
		t.covered.rests(s.got.Reasons)
	}
}

// tell writes what came of it. The error is that of a case that failed, too, and of too little that is covered.
func (t *tester) tell(stdout io.Writer) error {
	write := t.writeText
	switch {
	case t.tap:
		write = t.writeTAP
	case t.junit == "-":
		write = t.writeJUnit
	}
	if t.junit != "" && t.junit != "-" {
		to := output{flag: "junit", name: t.junit}
		if err := to.write(nil, t.writeJUnit); err != nil {
			return err
		}
	}
	if err := write(stdout); err != nil {
		return failed(err, "")
	}
	if t.failures() > 0 || t.minCoverage > 0 && t.covered.percentage() < t.minCoverage {
		return &codedError{code: exitMatched}
	}
	return nil
}

func (t *tester) failures() (n int) {
	for _, s := range t.cases {
		if len(s.wrong) > 0 {
			n++
		}
	}
	return n
}

// label is what a case is called: its name, or else what it asks.
func (s *scenario) label() string {
	if s.Name != "" {
		return s.Name
	}
	return s.asked()
}

func (s *scenario) asked() string {
	text := s.URL + s.Host
	if who := nonEmpty(s.Client, s.User, s.MAC); len(who) > 0 {
		text += " from " + strings.Join(who, ", ")
	}
	text += " at " + zoned(s.At.At, s.At.Zone)
	if s.AsKnownAt != nil {
		text += ", as known at " + zoned(s.AsKnownAt.At, s.AsKnownAt.Zone)
	}
	return text
}
