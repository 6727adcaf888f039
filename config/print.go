package config

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// WriteYAML writes all settings in effect as a settings file, each under its text from the manual and, if it is not the
// default, where it was set. [Load] reads the same settings from it; paths are made absolute.
func (c *Config) WriteYAML(w io.Writer) error {
	for i, g := range AllGroups() {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		e := yaml.NewEncoder(w)
		e.SetIndent(2)
		if err := e.Encode(mapping(string(g), c.section(g))); err != nil {
			return err
		}
		if err := e.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Redacted returns all settings in effect, by section and name, as values that encoding/json can write. No setting holds a
// secret itself; admin.token-file is shown as the path that it is, and upstream.parent-auth as the place.
func (c *Config) Redacted() map[string]any {
	all := make(map[string]any)
	for _, g := range AllGroups() {
		var section map[string]any
		if err := c.section(g).Decode(&section); err != nil {
			panic("config: a setting is written in a way that cannot be read: " + err.Error())
		}
		all[string(g)] = section
	}
	return all
}

// Origin returns where a setting was set: "gracegate.yaml:3:5", "flag --limits-idle", "environment
// GRACEGATE_LIMITS_IDLE", or "default".
func (c *Config) Origin(key string) string {
	if o, ok := c.origins[key]; ok {
		return o
	}
	return "default"
}

// section returns the settings of a group as a mapping with comments.
func (c *Config) section(g Group) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range settings {
		if s.group() != g {
			continue
		}
		key := anyText.writeNode(s.name())
		comment := wrap(sentence(s.doc) + " " + s.facts())
		if o, ok := c.origins[s.key]; ok {
			comment += "\nSet by " + o + "."
		}
		key.HeadComment = comment
		n.Content = append(n.Content, key, s.write(c))
	}
	return n
}

func mapping(key string, value *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{anyText.writeNode(key), value}}
}

// Markdown writes the table of all settings: key, default, meaning.
func Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| Setting | Default | Meaning |\n| --- | --- | --- |\n")
	for _, s := range settings {
		def := "empty"
		if s.def != "" {
			def = "`" + strings.ReplaceAll(s.def, ",", ", ") + "`"
		}
		meaning := sentence(s.doc)
		if bounds := s.limits(); bounds != "" {
			meaning += " " + sentence(bounds)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.key, def, meaning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sentence gives a phrase its capital and its full stop.
func sentence(phrase string) string {
	return strings.ToUpper(phrase[:1]) + phrase[1:] + "."
}

// wrap breaks a text into lines of at most 100 bytes where its words allow.
func wrap(text string) string {
	const width = 100
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case column == 0:
		case column+1+len(word) > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
