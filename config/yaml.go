package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile returns the values of a settings file by key, those without a mistake, and all mistakes.
func readFile(name string) (map[string]*yaml.Node, Errors) {
	text, err := readText(name)
	if err != nil {
		return nil, Errors{{Where: name, Message: "cannot read the settings: " + rootCause(err), Hint: "--config names the file; gracegate config prints one to begin with"}}
	}
	return readYAML(name, text)
}

// maxFile bounds a settings file, in bytes.
const maxFile = 1 << 20

func readText(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("it is larger than 1 MiB")
	}
	return text, err
}

func readYAML(name string, text []byte) (map[string]*yaml.Node, Errors) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, Errors{syntaxProblem(name, text, err)}
	}
	f := file{in: source{name: name, isFile: true}, values: make(map[string]*yaml.Node)}
	switch err := decoder.Decode(&second); {
	case err == nil:
		f.add(&second, "", "a second document", "keep all settings in one")
	case !errors.Is(err, io.EOF):
		return nil, Errors{syntaxProblem(name, text, err)}
	}
	f.root(doc.Content[0])
	return f.values, f.problems
}

// file is a settings file while it is checked.
type file struct {
	in       source
	values   map[string]*yaml.Node
	scratch  Config // where values are read into to see whether they can be
	problems Errors
}

func (f *file) add(at *yaml.Node, key, message, hint string) {
	f.problems = append(f.problems, Problem{Where: f.in.at(at), Key: key, Message: message, Hint: hint})
}

func (f *file) root(n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		f.add(n, "", "wants settings by section, not "+describe(n), "write listen: {proxy: [...]}")
		return
	}
	found, problems := members(n, f.in)
	f.problems = append(f.problems, problems...)
	for _, m := range found {
		if slices.Contains(AllGroups(), Group(m.name)) {
			f.section(m.name, m.value)
		} else {
			f.unknown(m.key, m.name)
		}
	}
}

func (f *file) section(name string, n *yaml.Node) {
	if isNull(n) { // its settings may all be commented out
		return
	}
	if n.Kind != yaml.MappingNode {
		f.add(n, name, "wants settings, not "+describe(n), "")
		return
	}
	found, problems := members(n, f.in)
	for _, p := range problems {
		p.Key = name
		f.problems = append(f.problems, p)
	}
	for _, m := range found {
		s := lookup(name + "." + m.name)
		if s == nil {
			f.unknown(m.key, name+"."+m.name)
			continue
		}
		bad := s.take(&f.scratch, m.value, f.in)
		f.problems = append(f.problems, bad...)
		if len(bad) == 0 {
			f.values[s.key] = m.value
		}
	}
}

func (f *file) unknown(at *yaml.Node, key string) {
	known := keys()
	if !strings.Contains(key, ".") {
		known = nil
		for _, g := range AllGroups() {
			known = append(known, string(g))
		}
	}
	hint := didYouMean(key, known)
	section, name, dotted := strings.Cut(at.Value, ".")
	switch {
	case dotted && lookup(at.Value) != nil:
		hint = "sections are nested: write " + section + ": {" + name + ": ...}"
	case hint == "":
		hint = "gracegate config prints all keys"
	}
	f.add(at, "", "unknown key "+quote(key), hint)
}

// member is one key of a mapping with its value.
type member struct {
	name       string
	key, value *yaml.Node
}

// members returns a mapping's keys with their values, each key once.
func members(n *yaml.Node, in source) (found []member, problems Errors) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		m := member{n.Content[i].Value, n.Content[i], n.Content[i+1]}
		first := slices.IndexFunc(found, func(earlier member) bool { return earlier.name == m.name })
		switch {
		case m.key.Kind != yaml.ScalarNode:
			problems = append(problems, Problem{Where: in.at(m.key), Message: "a key is a word, not " + describe(m.key)})
		case first >= 0:
			p := Problem{Where: in.at(m.key), Message: "key " + quote(m.name) + " stands twice"}
			if in.isFile {
				p.Hint = fmt.Sprintf("the first is in line %d", found[first].key.Line)
			}
			problems = append(problems, p)
		default:
			found = append(found, m)
		}
	}
	return found, problems
}

func has(found []member, name string) bool {
	return slices.ContainsFunc(found, func(m member) bool { return m.name == name })
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// take reads the setting's value and completes the keys of what is wrong with it.
func (s *setting) take(c *Config, n *yaml.Node, in source) Errors {
	problems := s.read(c, n, in)
	for i := range problems {
		problems[i].Key = s.key + problems[i].Key
	}
	return problems
}

var (
	tabIndent = regexp.MustCompile(`(?m)^ *\t`)
	yamlLine  = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
)

// syntaxProblem is the problem of a text that is not YAML. The reader tells a line at most, and for tabs, the
// commonest mistake, a wrong one.
func syntaxProblem(name string, text []byte, err error) Problem {
	if at := tabIndent.FindIndex(text); at != nil {
		line := bytes.Count(text[:at[0]], []byte("\n")) + 1
		where := name + ":" + strconv.Itoa(line) + ":" + strconv.Itoa(at[1]-at[0])
		return Problem{Where: where, Message: "a tab in the indentation", Hint: "indent with spaces"}
	}
	where, message := name, err.Error()
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		message = message[len(m[0]):]
		if m[1] != "" {
			where += ":" + m[1]
		}
	}
	return Problem{Where: where, Message: "is not YAML: " + message}
}

// rootCause returns an error's text without the file name that its place tells already.
func rootCause(err error) string {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
