// Package source reads the YAML of vendors, restrictions, jurisdictions and the operator's policy into the types of package
// policy.
//
// It is strict: a key that is unknown, that stands twice or has a value of another kind is a mistake, and so are aliases,
// anchors, merge keys, tags, tabs and a second document. All mistakes of a file are told at once, each with file, line and
// column, and with what to write instead. Whatever could be read is returned beside them, so that a caller can go on to look
// for mistakes between files; values that could not be read are zero. A result that came with a problem must not be used
// for anything else.
//
// Waivers can also be written: into the text of a file, which otherwise stays as it is. See AddWaiver.
//
// The package opens no file, follows no reference from one file to another but a vendor's lists, and does not check whether
// names that stand in one file exist in another: that is what policy.NewCatalog and policy.Compile do.
package source

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// File is the text of a file and the name by which problems call it.
type File struct {
	Name string
	Data []byte
}

// MaxSize bounds a YAML file, in bytes, and MaxScenarios one of scenarios, which programs write. Lists of names are not bounded.
const (
	MaxSize      = 4 << 20
	MaxScenarios = 64 << 20
)

// maxProblems bounds what is told of one file; a file of another kind would fill the screen.
const maxProblems = 500

// reader reads one file and keeps the mistakes that it finds.
type reader struct {
	file     string
	lines    int
	zone     *time.Location // of bare dates; nil: none may stand here
	problems policy.Problems
	untold   int
}

// mistakes counts all so far. Where it has not grown, what was read between is whole.
func (r *reader) mistakes() int { return len(r.problems) + r.untold }

func (r *reader) add(at policy.Pos, hint, format string, args ...any) {
	if len(r.problems) >= maxProblems {
		r.untold++
		return
	}
	r.problems = append(r.problems, policy.Problem{Pos: at, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// wrong tells a mistake at a node.
func (r *reader) wrong(n *yaml.Node, hint, format string, args ...any) {
	r.add(r.pos(n), hint, format, args...)
}

func (r *reader) pos(n *yaml.Node) policy.Pos {
	if n.Line > r.lines { // nothing, after a last line without its end
		return policy.Pos{File: r.file, Line: r.lines, Column: 1}
	}
	return policy.Pos{File: r.file, Line: n.Line, Column: n.Column}
}

// done returns the mistakes found.
func (r *reader) done() policy.Problems {
	if r.untold > 0 {
		r.problems.Add(policy.Pos{File: r.file}, "", "%d more mistakes are not shown", r.untold)
	}
	return r.problems
}
