package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// objects is a setting with a list of mappings, all of whose fields are required.
type objects[T any] struct {
	fields []objectField[T]
	field  func(*Config) *[]T
}

// objectField is one key of such a mapping, always text.
type objectField[T any] struct {
	name  string
	read  func(*T, string) *wrong
	write func(T) string
}

func (o objects[T]) word() string   { return "JSON" }
func (o objects[T]) limits() string { return "" }
func (o objects[T]) isBool() bool   { return false }
func (o objects[T]) isList() bool   { return false }

// fromText takes JSON only. It is then read as YAML, of which it is a subset, so that the checks are those of the file.
func (o objects[T]) fromText(text string) (*yaml.Node, *wrong) {
	if text == "" {
		return &yaml.Node{Kind: yaml.SequenceNode}, nil
	}
	var valid json.RawMessage
	if err := json.Unmarshal([]byte(text), &valid); err != nil {
		return nil, &wrong{"is not JSON: " + err.Error(), o.example()}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) != 1 {
		return nil, &wrong{"is not JSON that can be read", o.example()}
	}
	return doc.Content[0], nil
}

func (o objects[T]) example() string {
	var keys []string
	for _, name := range o.names() {
		keys = append(keys, strconv.Quote(name)+`: "..."`)
	}
	return "write [{" + strings.Join(keys, ", ") + "}]"
}

func (o objects[T]) names() []string {
	names := make([]string, len(o.fields))
	for i, f := range o.fields {
		names[i] = f.name
	}
	return names
}

func (o objects[T]) read(c *Config, n *yaml.Node, in source) Errors {
	if n.Kind != yaml.SequenceNode {
		return Errors{noList(n, in)}
	}
	var list []T
	var problems Errors
	for i, item := range n.Content {
		v, bad := o.readObject(item, in)
		for _, p := range bad {
			p.Key = fmt.Sprintf("[%d]%s", i, p.Key)
			problems = append(problems, p)
		}
		list = append(list, v)
	}
	if len(problems) == 0 {
		*o.field(c) = list
	}
	return problems
}

// readObject reads one mapping; the keys of its problems are relative to it.
func (o objects[T]) readObject(n *yaml.Node, in source) (v T, problems Errors) {
	if n.Kind != yaml.MappingNode {
		p := unlike(n, in, "a mapping")
		p.Hint = o.example()
		return v, Errors{p}
	}
	found, problems := members(n, in)
	for _, m := range found {
		if field, ok := o.find(m.name); ok {
			problems = append(problems, field.readInto(&v, m.value, in)...)
		} else {
			problems = append(problems, Problem{
				Where: in.at(m.key), Message: "unknown key " + quote(m.name), Hint: didYouMean(m.name, o.names()),
			})
		}
	}
	for _, name := range o.names() {
		if !has(found, name) {
			problems = append(problems, Problem{Where: in.at(n), Message: quote(name) + " is missing", Hint: o.example()})
		}
	}
	return v, problems
}

func (o objects[T]) find(name string) (objectField[T], bool) {
	for _, f := range o.fields {
		if f.name == name {
			return f, true
		}
	}
	return objectField[T]{}, false
}

func (f objectField[T]) readInto(v *T, n *yaml.Node, in source) Errors {
	text, problems := anyText.readNode(n, in)
	if len(problems) == 0 {
		if bad := f.read(v, text); bad != nil {
			problems = Errors{bad.of(in.at(n), text)}
		}
	}
	for i := range problems {
		problems[i].Key = "." + f.name
	}
	return problems
}

func (o objects[T]) write(c *Config) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, v := range *o.field(c) {
		object := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for _, f := range o.fields {
			object.Content = append(object.Content, anyText.writeNode(f.name), anyText.writeNode(f.write(v)))
		}
		list.Content = append(list.Content, object)
	}
	return list
}
