// Package catalog has the catalogue that is in the binary (the vendors, their endpoints, the restrictions and the known
// jurisdictions, in data/) and joins it with a directory of the operator's.
//
// Such a directory has the shape of data/: vendors/*.yaml with the list files that they name, restrictions/*.yaml, and
// jurisdictions.yaml, each of them optional. A vendor, restriction or jurisdiction in it replaces the one of the same id in
// the binary, whole. Anything else in it is a mistake, but for what editors and mounts leave behind: names that begin with a
// dot, or end with "~".
//
// The package does not watch a directory, and does not read the operator's policy, though it has the one that applies where
// there is none.
package catalog

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gracegate/gracegate/policy"
)

//go:embed data
var data embed.FS

// inBinary stands in place of a directory in the names of files that are in the binary.
const inBinary = "builtin"

// Load reads the catalogue in the binary and that in dir, or only the latter. An empty dir stands for none; with only, that is
// an error, as is a dir without vendor and restriction: it would lift every restriction without a word. A dir without any part
// of a catalogue is one in any case: it is most likely the wrong one. All mistakes in all files are returned at once, as policy.Problems. In the names of files those in the binary begin with "builtin/".
//
// The digest of the catalogue covers the names and contents of all files that were read, whatever dir is called.
func Load(dir string, only bool) (*policy.Catalog, error) {
	if dir == "" {
		return LoadFS(nil, "", only)
	}
	return LoadFS(os.DirFS(dir), filepath.Clean(dir), only)
}

// LoadFS is [Load] for a directory that is a file system, nil for none. Shown is what problems call it.
func LoadFS(own fs.FS, shown string, only bool) (*policy.Catalog, error) {
	l := newLoader()
	var parts []*part
	if !only {
		embedded, err := fs.Sub(data, "data")
		if err != nil {
			return nil, err
		}
		parts = append(parts, l.read(embedded, inBinary, inBinary))
	}
	switch {
	case own != nil:
		read := l.read(own, shown, "own")
		switch laws := len(read.vendors) + len(read.restrictions); {
		case only && laws == 0:
			l.problems.Add(policy.Pos{File: shown}, shape, "no vendor and no restriction in this directory")
		case laws+len(read.jurisdictions) == 0:
			l.problems.Add(policy.Pos{File: shown}, shape, "no part of a catalogue in this directory")
		}
		parts = append(parts, read)
	case only:
		l.problems.Add(policy.Pos{}, "name a directory, or use the catalogue in the binary too", "no catalogue at all")
	}
	all := merge(parts)
	c, err := policy.NewCatalog(all.vendors, all.restrictions, all.jurisdictions, l.digest())
	var more policy.Problems
	if err != nil && !errors.As(err, &more) {
		return nil, err
	}
	if err := append(l.problems, more...).Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Files returns the files of a catalogue's directory that [Load] reads, by their slash-separated paths. What is wrong in them it does
// not tell.
func Files(dir string) map[string][]byte {
	l := newLoader()
	l.files = make(map[string][]byte)
	l.read(os.DirFS(dir), dir, "own")
	return l.files
}

// part is what one directory has.
type part struct {
	vendors       []policy.Vendor
	restrictions  []policy.Restriction
	jurisdictions []policy.Jurisdiction
}

// merge joins parts, of which the later replace what the earlier have by the same id.
func merge(parts []*part) part {
	var all part
	for _, p := range parts {
		all.vendors = replace(all.vendors, p.vendors, func(v *policy.Vendor) string { return v.ID })
		all.restrictions = replace(all.restrictions, p.restrictions, func(r *policy.Restriction) string { return r.ID })
		all.jurisdictions = replace(all.jurisdictions, p.jurisdictions, func(j *policy.Jurisdiction) string { return j.ID })
	}
	return all
}

func replace[T any](old, with []T, id func(*T) string) []T {
	replaced := make(map[string]bool, len(with))
	for i := range with {
		replaced[id(&with[i])] = true
	}
	kept := slices.DeleteFunc(slices.Clone(old), func(e T) bool { return replaced[id(&e)] })
	return append(kept, with...)
}
