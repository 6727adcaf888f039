package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/source"
)

const shape = "a catalogue has vendors/*.yaml and their lists, restrictions/*.yaml, and jurisdictions.yaml"

// loader reads the files of catalogues, and keeps all mistakes and a digest of what it read.
type loader struct {
	problems policy.Problems
	hash     hash.Hash
	files    map[string][]byte // that were read; nil: nobody asked
}

func newLoader() *loader { return &loader{hash: sha256.New()} }

func (l *loader) digest() string { return hex.EncodeToString(l.hash.Sum(nil)) }

// tree is one directory while it is read.
type tree struct {
	*loader
	fsys  fs.FS
	shown string // before the names of files, for people
	label string // and in the digest
	lists map[string]bool
	part  part
}

// read reads a whole directory, in the order of names.
func (l *loader) read(fsys fs.FS, shown, label string) *part {
	t := &tree{loader: l, fsys: fsys, shown: shown, label: label, lists: map[string]bool{}}
	for _, name := range t.entries(".") {
		dir := t.isDir(name)
		switch {
		case name == "vendors" && dir:
			t.vendors()
		case name == "restrictions" && dir:
			t.restrictions()
		case name == "jurisdictions.yaml" && !dir:
			if f, ok := t.file(name); ok {
				list, problems := source.Jurisdictions(f)
				t.part.jurisdictions = list
				t.problems = append(t.problems, problems...)
			}
		default:
			t.stranger(name)
		}
	}
	return &t.part
}

func (t *tree) vendors() {
	var others []string
	for _, name := range t.entries("vendors") {
		if t.isDir(name) || path.Ext(name) != ".yaml" {
			others = append(others, name)
			continue
		}
		if f, ok := t.file(name); ok {
			v, problems := source.Vendor(f, t.list)
			t.problems = append(t.problems, problems...)
			if v.ID != "" {
				t.part.vendors = append(t.part.vendors, v)
			}
		}
	}
	for _, name := range others {
		t.onlyLists(name)
	}
}

// list returns the text of a list file, by its path below vendors.
func (t *tree) list(name string) ([]byte, error) {
	name = path.Join("vendors", name)
	t.lists[name] = true
	text, err := fs.ReadFile(t.fsys, name)
	if err == nil {
		t.digestOf(name, text)
	}
	return text, err
}

// onlyLists tells what is beside the vendor files, or below, and is none of their lists.
func (t *tree) onlyLists(name string) {
	switch at := (policy.Pos{File: path.Join(t.shown, name)}); {
	case t.lists[name]:
	case t.isDir(name) && t.leadsUp(name):
		t.problems.Add(at, "remove the symbolic link", "leads back to a directory that holds it")
	case t.isDir(name) && strings.Count(name, "/") >= maxDepth:
		t.problems.Add(at, "put lists right below vendors/", "more than %d directories deep", maxDepth)
	case t.isDir(name):
		for _, below := range t.entries(name) {
			t.onlyLists(below)
		}
	default:
		t.stranger(name)
	}
}

func (t *tree) restrictions() {
	for _, name := range t.entries("restrictions") {
		if t.isDir(name) || path.Ext(name) != ".yaml" {
			t.stranger(name)
			continue
		}
		if f, ok := t.file(name); ok {
			r, problems := source.Restriction(f)
			t.problems = append(t.problems, problems...)
			if r.ID != "" {
				t.part.restrictions = append(t.part.restrictions, r)
			}
		}
	}
}

// entries returns the paths of what is in a directory, in the order of names.
func (t *tree) entries(dir string) []string {
	list, err := fs.ReadDir(t.fsys, dir)
	if err != nil {
		t.unreadable(dir, err)
		return nil
	}
	var names []string
	for _, e := range list {
		if !leftBehind(e.Name()) {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	return names
}

// leftBehind tells the names of what editors and mounts leave beside files, such as .x.yaml.swp, x.yaml~ and ..data.
func leftBehind(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~")
}

// isDir follows symbolic links, as mounts make them.
func (t *tree) isDir(name string) bool {
	info, err := fs.Stat(t.fsys, name)
	return err == nil && info.IsDir()
}

// leadsUp tells a symbolic link to one of the directories on the way to it.
func (t *tree) leadsUp(name string) bool {
	info, err := fs.Stat(t.fsys, name)
	for above := name; err == nil && above != "."; {
		above = path.Dir(above)
		if holder, err := fs.Stat(t.fsys, above); err == nil && os.SameFile(info, holder) {
			return true
		}
	}
	return false
}

func (t *tree) file(name string) (source.File, bool) {
	text, err := fs.ReadFile(t.fsys, name)
	if err != nil {
		t.unreadable(name, err)
		return source.File{}, false
	}
	t.digestOf(name, text)
	return source.File{Name: path.Join(t.shown, name), Data: text}, true
}

func (t *tree) digestOf(name string, text []byte) {
	t.hash.Write(fmt.Appendf(nil, "%s/%s %d\n", t.label, name, len(text)))
	t.hash.Write(text)
	if t.files != nil {
		t.files[name] = text
	}
}

func (t *tree) stranger(name string) {
	hint := shape
	if path.Ext(name) == ".yml" {
		hint = "files end in .yaml"
	}
	t.problems.Add(policy.Pos{File: path.Join(t.shown, name)}, hint, "no part of a catalogue")
}

func (t *tree) unreadable(name string, err error) {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	t.problems.Add(policy.Pos{File: path.Join(t.shown, name)}, "", "cannot be read: %s", err)
}
