package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar is a kind of single value: how people write it and how it is printed.
type scalar[T any] struct {
	name   string   // with article, for "wants a duration such as 5m"
	word   string   // one word, for the help of a flag
	tags   []string // the YAML types that may carry it; text from flags has no type
	bounds string   // for the manual: "at least 1s, at most 30d"
	parse  func(string) (T, *wrong)
	hides  func(string) bool // tells a value that may be a secret, so that no mistake shows it; nil: none is
	format func(T) string    // parse reads it back
}

// value ties a kind to the field of Config that holds it. Everything is read as a YAML node: text from a flag or the
// environment is made into one first, so that each kind has one reader.
type value interface {
	word() string
	limits() string
	isBool() bool
	isList() bool

	// fromText makes the node of a flag's or a variable's text.
	fromText(text string) (*yaml.Node, *wrong)
	// read stores the node's value in c, or says what is wrong with it and leaves c alone.
	read(c *Config, n *yaml.Node, in source) Errors
	// write makes the node that read would read back.
	write(c *Config) *yaml.Node
}

// one is a setting with a single value.
type one[T any] struct {
	scalar[T]
	field func(*Config) *T
}

func (o one[T]) word() string   { return o.scalar.word }
func (o one[T]) limits() string { return o.bounds }
func (o one[T]) isBool() bool   { return slices.Contains(o.tags, "!!bool") }
func (o one[T]) isList() bool   { return false }

func (o one[T]) fromText(text string) (*yaml.Node, *wrong) {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: text}, nil
}

func (o one[T]) read(c *Config, n *yaml.Node, in source) Errors {
	v, problems := o.readNode(n, in)
	if len(problems) == 0 {
		*o.field(c) = v
	}
	return problems
}

func (o one[T]) write(c *Config) *yaml.Node { return o.writeNode(*o.field(c)) }

// readNode reads one scalar node.
func (s scalar[T]) readNode(n *yaml.Node, in source) (v T, problems Errors) {
	if n.Kind != yaml.ScalarNode || n.Tag != "" && !slices.Contains(s.tags, n.ShortTag()) {
		return v, Errors{unlike(n, in, s.name)}
	}
	v, bad := s.parse(n.Value)
	switch {
	case bad == nil:
		return v, nil
	case s.hides != nil && s.hides(n.Value):
		return v, Errors{{Where: in.at(n), Message: "the value " + bad.what, Hint: bad.hint}}
	}
	return v, Errors{bad.of(in.at(n), n.Value)}
}

// writeNode marks text as such where the kind takes text, so that the encoder quotes what alone would mean another type.
func (s scalar[T]) writeNode(v T) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: s.format(v)}
	if slices.Contains(s.tags, asText[0]) {
		n.Tag = asText[0]
	}
	return n
}

// path is a file name. One from a file is relative to that file.
type path struct{ one[string] }

func (p path) read(c *Config, n *yaml.Node, in source) Errors {
	problems := p.one.read(c, n, in)
	if to := p.field(c); len(problems) == 0 && in.isFile && *to != "" && !filepath.IsAbs(*to) {
		*to = filepath.Join(filepath.Dir(in.name), *to)
	}
	return problems
}

// write makes the path absolute, so that what is printed means the same wherever it is stored.
func (p path) write(c *Config) *yaml.Node {
	name := *p.field(c)
	if name == "" {
		return p.writeNode("")
	}
	if full, err := filepath.Abs(name); err == nil {
		name = full
	}
	return p.writeNode(name)
}

// paths is a list of file names, like path.
type paths struct{ many[string] }

func (p paths) read(c *Config, n *yaml.Node, in source) Errors {
	problems := p.many.read(c, n, in)
	if len(problems) > 0 || !in.isFile {
		return problems
	}
	for i, name := range *p.field(c) {
		if !filepath.IsAbs(name) {
			(*p.field(c))[i] = filepath.Join(filepath.Dir(in.name), name)
		}
	}
	return nil
}

func (p paths) write(c *Config) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, name := range *p.field(c) {
		if full, err := filepath.Abs(name); err == nil {
			name = full
		}
		list.Content = append(list.Content, p.writeNode(name))
	}
	return list
}

// outlet is a path, or [Stdout], which is relative to nothing.
type outlet struct{ path }

func (o outlet) read(c *Config, n *yaml.Node, in source) Errors {
	if n.Value == Stdout {
		return o.one.read(c, n, in)
	}
	return o.path.read(c, n, in)
}

func (o outlet) write(c *Config) *yaml.Node {
	if *o.field(c) == Stdout {
		return o.writeNode(Stdout)
	}
	return o.path.write(c)
}

// secret is where a secret is: env:NAME, or file:PATH, whose path is one.
type secret struct{ one[string] }

func (s secret) read(c *Config, n *yaml.Node, in source) Errors {
	problems := s.one.read(c, n, in)
	to := s.field(c)
	if name, ok := strings.CutPrefix(*to, inFile); len(problems) == 0 && ok && in.isFile && !filepath.IsAbs(name) {
		*to = inFile + filepath.Join(filepath.Dir(in.name), name)
	}
	return problems
}

func (s secret) write(c *Config) *yaml.Node {
	where := *s.field(c)
	if name, ok := strings.CutPrefix(where, inFile); ok {
		if full, err := filepath.Abs(name); err == nil {
			where = inFile + full
		}
	}
	return s.writeNode(where)
}

// many is a setting with a list of scalars.
type many[T any] struct {
	scalar[T]
	field func(*Config) *[]T
}

func (m many[T]) word() string   { return m.scalar.word + ",..." }
func (m many[T]) limits() string { return m.bounds }
func (m many[T]) isBool() bool   { return false }
func (m many[T]) isList() bool   { return true }

func (m many[T]) fromText(text string) (*yaml.Node, *wrong) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	if text == "" {
		return list, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimSpace(item)})
	}
	return list, nil
}

func (m many[T]) read(c *Config, n *yaml.Node, in source) Errors {
	if n.Kind != yaml.SequenceNode {
		return Errors{noList(n, in)}
	}
	var list []T
	var problems Errors
	for _, item := range n.Content {
		v, bad := m.readNode(item, in)
		list, problems = append(list, v), append(problems, bad...)
	}
	if len(problems) == 0 {
		*m.field(c) = list
	}
	return problems
}

func (m many[T]) write(c *Config) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range *m.field(c) {
		list.Content = append(list.Content, m.writeNode(v))
	}
	return list
}

// unlike is the problem of a node of another type than wanted.
func unlike(n *yaml.Node, in source, wanted string) Problem {
	p := Problem{Where: in.at(n), Value: n.Value, Message: fmt.Sprintf("wants %s, not %s", wanted, describe(n))}
	if wanted == anyText.name && n.Kind == yaml.ScalarNode && !isNull(n) {
		p.Hint = "put it in quotes"
	}
	return p
}

func noList(n *yaml.Node, in source) Problem {
	p := unlike(n, in, "a list")
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		p.Hint = "write it in brackets"
	}
	return p
}

// describe names a node's type and, of a scalar, its text.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default:
		return describeScalar(n)
	}
}

func describeScalar(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!str":
		return "the text " + quote(n.Value)
	case "!!bool":
		return "the truth value " + n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!timestamp":
		return "the date " + n.Value
	default:
		return "a value of type " + quote(n.ShortTag())
	}
}
