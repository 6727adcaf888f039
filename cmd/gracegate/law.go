package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/bundle"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/source"
)

// maxPolicyFile bounds what is read of a policy file or one of waivers; source says so to whoever exceeds it.
const maxPolicyFile = 16 << 20

// law builds policies from the files that the configuration names. It keeps the catalogue as long as its files stay the same,
// since that is what takes time. It is not for concurrent use.
type law struct {
	cfg     *config.Config
	bundles func() (*bundle.Bundle, error) // where the bundle of policy.bundle comes from; nil: as readBundle has it

	read  *policy.Catalog // the last that could be read; that in force may be older, if something else was wrong
	seen  string          // fingerprint of the files that it was read from
	built *bundle.Bundle  // of the policy that was built last; nil: it has none
}

// operatorFiles are the texts of the operator.
type operatorFiles struct {
	bundle  *bundle.Bundle // nil: there is none
	policy  source.File
	signed  []source.File // waivers of the bundle
	waivers []source.File // and those of a file of the operator's that has nothing else
}

// build reads what has changed and compiles. The policy in force does not matter to it.
func (l *law) build(*policy.Policy) (*policy.Policy, error) {
	files, unread, err := l.operatorFiles()
	if err != nil {
		return nil, err
	}
	p, err := l.compile(files, unread)
	if err == nil {
		l.built = files.bundle
	}
	return p, err
}

// loadPolicy builds the policy that is configured, for a command that asks it.
func loadPolicy(cfg *config.Config) (*policy.Policy, error) { return (&law{cfg: cfg}).build(nil) }

// compile compiles the operator's files with the catalogue as it is now. The error has all mistakes, among them those of files that
// could not be read.
func (l *law) compile(files operatorFiles, unread policy.Problems) (*policy.Policy, error) {
	cat, err := l.catalog(files.bundle)
	var problems policy.Problems
	if err != nil && !errors.As(err, &problems) {
		return nil, err
	}
	problems = append(problems, unread...)
	var op policy.Operator
	if files.policy.Name != "" {
		var more policy.Problems
		op, more = source.Operator(files.policy)
		problems = append(problems, more...)
	}
	for _, f := range files.signed {
		waivers, more := source.Waivers(f)
		op.Waivers = append(op.Waivers, waivers...)
		problems = append(problems, more...)
	}
	for _, f := range files.waivers {
		waivers, more := source.Waivers(f)
		op.Waivers = append(op.Waivers, waivers...)
		problems = slices.Concat(problems, more, checkLimits(files.bundle, waivers))
	}
	if cat != nil && files.policy.Name != "" { // what waivers name may stand in the policy
		problems = append(problems, policy.Check(cat, &op)...)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	known := l.cfg.Policy.KnownAt
	opts := policy.Options{
		Revision:     l.revision(cat, files),
		KnownAt:      policy.Horizon{Clock: known.Clock, At: known.At},
		ClockFaults:  policy.Allow,
		RecordFaults: policy.Allow,
	}
	if l.cfg.Audit.OnFailure == "block" {
		opts.RecordFaults = policy.Block
	}
	if l.cfg.Clock.Untrusted == config.BlockGoverned {
		opts.ClockFaults = policy.Block
	}
	return policy.Compile(cat, &op, opts)
}

// revision is a digest of all that decisions rest on.
func (l *law) revision(cat *policy.Catalog, files operatorFiles) string {
	text := fmt.Appendf(nil, "%s\n%s\n%s\n%s\n", cat.Digest, l.cfg.Policy.KnownAt, l.cfg.Audit.OnFailure, files.policy.Data)
	for _, f := range slices.Concat(files.signed, files.waivers) {
		text = fmt.Appendf(text, "waivers %x\n", sha256.Sum256(f.Data))
	}
	if l.cfg.Clock.Untrusted == config.BlockGoverned { // the others lead to the same decision at an instant
		text = append(text, l.cfg.Clock.Untrusted...)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// catalog returns that of policy.catalog, or that of a bundle.
func (l *law) catalog(b *bundle.Bundle) (*policy.Catalog, error) {
	if b != nil && l.cfg.Policy.Catalog == "" {
		return l.cached(b.Digest, func() (*policy.Catalog, error) {
			return catalog.LoadFS(b.Catalog(), bundleMember(bundle.CatalogDir), b.CatalogOnly)
		})
	}
	now, err := catalog.Fingerprint(l.cfg.Policy.Catalog)
	if err != nil {
		return nil, policy.Problems{{Message: err.Error(), Hint: "policy.catalog names a directory with vendors/ and restrictions/"}}
	}
	return l.cached(now, func() (*policy.Catalog, error) { return catalog.Load(l.cfg.Policy.Catalog, l.cfg.Policy.CatalogOnly) })
}

// cached loads a catalogue, unless what it is made of is still the same.
func (l *law) cached(now string, load func() (*policy.Catalog, error)) (*policy.Catalog, error) {
	if l.read != nil && now == l.seen {
		return l.read, nil
	}
	cat, err := load()
	if err != nil {
		return nil, err
	}
	l.read, l.seen = cat, now
	return cat, nil
}

// bundleMember is what problems and reasons call a file of the bundle.
func bundleMember(name string) string { return "bundle/" + name }

// policyName is the file or URL that the policy comes from; "" if it is the built-in one.
func policyName(cfg *config.Config) string { return cmp.Or(cfg.Policy.File, cfg.Policy.Bundle) }

// operatorNames are the names of the operator's files, those that are set.
func operatorNames(cfg *config.Config) []string {
	return nonEmpty(cfg.Policy.File, cfg.Policy.Waivers)
}

// operatorFiles reads the operator's files. Those that cannot be read are mistakes like those in them, and left out. The error is that of
// a bundle that cannot be had: then nothing is known.
func (l *law) operatorFiles() (files operatorFiles, unread policy.Problems, err error) {
	if files.bundle, err = l.bundle(); err != nil {
		return files, nil, err
	}
	if files.bundle != nil {
		if text, ok := files.bundle.Member(bundle.WaiversName); ok {
			files.signed = append(files.signed, source.File{Name: bundleMember(bundle.WaiversName), Data: text})
		}
	}
	files.policy, unread = l.policyFile(files.bundle)
	if name := l.cfg.Policy.Waivers; name != "" {
		f, err := readPolicyFile(name)
		if err != nil {
			hint := "policy.waivers names a file of waivers"
			if errors.Is(err, fs.ErrNotExist) {
				hint = "gracegate waiver add makes it; one without waivers holds the line waivers: []"
			}
			unread.Add(policy.Pos{}, hint, "waivers file %q: %s", name, cause(err))
		} else {
			files.waivers = append(files.waivers, f)
		}
	}
	return files, unread, nil
}

// bundle returns the bundle of policy.bundle; nil if none is configured.
func (l *law) bundle() (*bundle.Bundle, error) {
	switch {
	case l.cfg.Policy.Bundle == "":
		return nil, nil
	case l.bundles == nil:
		return readBundle(l.cfg)
	}
	return l.bundles()
}

// policyFile reads the policy file, or takes that of the bundle, or the built-in one.
func (l *law) policyFile(b *bundle.Bundle) (source.File, policy.Problems) {
	name := l.cfg.Policy.File
	if name == "" && b != nil {
		text, _ := b.Member(bundle.PolicyName) // which every bundle has
		return source.File{Name: bundleMember(bundle.PolicyName), Data: text}, nil
	}
	if name == "" {
		return catalog.Builtin(), nil
	}
	f, err := readPolicyFile(name)
	if err != nil {
		return source.File{}, policy.Problems{{
			Message: fmt.Sprintf("policy file %q: %s", name, cause(err)),
			Hint:    "policy.file names the operator's policy; without it the built-in one applies",
		}}
	}
	return f, nil
}

// cause is what went wrong with a file whose name is told already.
func cause(err error) error {
	if perr, ok := errors.AsType[*fs.PathError](err); ok {
		return perr.Err
	}
	return err
}

func readPolicyFile(name string) (source.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return source.File{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPolicyFile+1))
	return source.File{Name: name, Data: data}, err
}
