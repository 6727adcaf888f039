package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/source"
)

// maxPolicyFile bounds what is read of a policy file; source says so to whoever exceeds it.
const maxPolicyFile = 16 << 20

// law builds policies from the files that the configuration names. It keeps the catalogue as long as its files stay the same,
// since that is what takes time. It is not for concurrent use.
type law struct {
	cfg  *config.Config
	read *policy.Catalog // the last that could be read; that in force may be older, if something else was wrong
	seen string          // fingerprint of the files that it was read from
}

// build reads what has changed and compiles. The policy in force does not matter to it.
func (l *law) build(*policy.Policy) (*policy.Policy, error) {
	cat, err := l.catalog()
	var problems, more policy.Problems
	if err != nil && !errors.As(err, &problems) {
		return nil, err
	}
	file, err := l.operatorFile()
	if err != nil && !errors.As(err, &more) {
		return nil, err
	}
	var op policy.Operator
	if err == nil {
		op, more = source.Operator(file)
		if cat != nil {
			more = append(more, policy.Check(cat, &op)...)
		}
	}
	if err := append(problems, more...).Err(); err != nil {
		return nil, err
	}
	known := l.cfg.Policy.KnownAt
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n", cat.Digest, known, l.cfg.Audit.OnFailure, file.Data))
	opts := policy.Options{
		Revision:     hex.EncodeToString(sum[:8]),
		KnownAt:      policy.Horizon{Clock: known.Clock, At: known.At},
		ClockFaults:  policy.Allow,
		RecordFaults: policy.Allow,
	}
	if l.cfg.Audit.OnFailure == "block" {
		opts.RecordFaults = policy.Block
	}
	return policy.Compile(cat, &op, opts)
}

func (l *law) catalog() (*policy.Catalog, error) {
	now, err := catalog.Fingerprint(l.cfg.Policy.Catalog)
	if err != nil {
		return nil, policy.Problems{{Message: err.Error(), Hint: "policy.catalog names a directory with vendors/ and restrictions/"}}
	}
	if l.read != nil && now == l.seen {
		return l.read, nil
	}
	cat, err := catalog.Load(l.cfg.Policy.Catalog, l.cfg.Policy.CatalogOnly)
	if err != nil {
		return nil, err
	}
	l.read, l.seen = cat, now
	return cat, nil
}

// operatorFile reads the policy file, or takes the built-in one. One that cannot be read is a mistake like those in it.
func (l *law) operatorFile() (source.File, error) {
	name := l.cfg.Policy.File
	if name == "" {
		return catalog.Builtin(), nil
	}
	data, err := readPolicyFile(name)
	if err != nil {
		if perr, ok := errors.AsType[*os.PathError](err); ok {
			err = perr.Err
		}
		return source.File{}, policy.Problems{{
			Message: fmt.Sprintf("policy file %q: %s", name, err),
			Hint:    "policy.file names the operator's policy; without it the built-in one applies",
		}}
	}
	return source.File{Name: name, Data: data}, nil
}

func readPolicyFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPolicyFile+1))
}
