package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// document returns the mapping that a file consists of, or nil if the file has none. begin is what to write into an empty
// file.
func (r *reader) document(data []byte, begin string) *yaml.Node {
	if len(data) > MaxSize {
		r.add(policy.Pos{File: r.file}, "names belong into a list file, one a line", "%d bytes: a file has at most %d", len(data), MaxSize)
		return nil
	}
	return r.parse(data, begin)
}

func (r *reader) parse(data []byte, begin string) *yaml.Node {
	if !r.plainText(data) {
		return nil
	}
	r.lines = bytes.Count(data, []byte("\n")) + 1
	first, second, err := decode(data)
	switch {
	case err != nil:
		r.syntax(data, err)
		return nil
	case first == nil:
		r.add(policy.Pos{File: r.file, Line: 1, Column: 1}, begin, "the file is empty")
		return nil
	case second != nil:
		r.wrong(second, `remove the "---", or make two files`, "a second document in one file")
	}
	root := first.Content[0]
	r.noReferences(root)
	if isNull(root) {
		r.wrong(root, begin, "the file is empty")
		return nil
	}
	return root
}

// decode returns the first document and, if there is one, the second; nil where there is none.
func decode(data []byte) (first, second *yaml.Node, err error) {
	// The library has panicked on odd comments before (go-yaml/yaml#665, mikefarah/yq#2481), and a file that is being edited
	// must not take down the gateway that watches it.
	defer func() {
		if p := recover(); p != nil {
			first, second, err = nil, nil, fmt.Errorf("yaml: %v", p)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	read := func() *yaml.Node {
		var n yaml.Node
		if e := d.Decode(&n); e == nil {
			return &n
		} else if !errors.Is(e, io.EOF) {
			err = e
		}
		return nil
	}
	if first = read(); first != nil {
		second = read()
	}
	return first, second, err
}

// plainText refuses what an editor does not show as it is read. It tells the first such place alone: the rest would be the
// same mistake again and again.
func (r *reader) plainText(data []byte) bool {
	at := policy.Pos{File: r.file, Line: 1}
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		at.Column++
		switch {
		case c == utf8.RuneError && size == 1:
			r.add(at, "save the file as UTF-8", "byte 0x%02x is not UTF-8", data[i])
			return false
		case c == '\n':
			at.Line, at.Column = at.Line+1, 0
		case c == '\uFEFF' && i == 0: // some editors begin every file so
		case c == '\r' && i+1 < len(data) && data[i+1] == '\n':
		case c == '\t':
			r.add(at, "use spaces", "a tab")
			return false
		case invisible(c):
			r.add(at, "remove it", "an invisible character, %U", c)
			return false
		}
		i += size
	}
	return true
}

// invisible tells control characters, line separators that editors do not count, and what makes text read in another order
// than it stands in.
func invisible(c rune) bool {
	return unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp) || c == '\uFEFF' || c >= '\u202A' && c <= '\u202E' || c >= '\u2066' && c <= '\u2069'
}

// noReferences refuses what makes one place of a file mean what stands at another, and tags.
func (r *reader) noReferences(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.wrong(n, "write it out", "an alias, *%s", n.Value)
		return
	case n.Anchor != "":
		r.wrong(n, "remove it", "an anchor, &%s", n.Anchor)
	case isMerge(n):
		r.wrong(n, "write the keys out", `a merge key, "<<"`)
	case n.Style&yaml.TaggedStyle != 0:
		r.wrong(n, "remove it", "a tag, %s", n.ShortTag())
	}
	for _, c := range n.Content {
		r.noReferences(c)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func isMerge(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!merge" }

// describe says what stands where something else was wanted.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return quote(n.Value)
	}
}

const maxQuoted = 100

// quote shows a value on one line, shortened.
func quote(s string) string {
	if len(s) <= maxQuoted {
		return strconv.Quote(s)
	}
	cut := maxQuoted
	for cut > maxQuoted-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%q... (%d bytes)", s[:cut], len(s))
}
