package config

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What WriteYAML prints loads as the same settings again: nothing set, every flag set, every setting in a file.
func TestWriteYAMLLoadsAgain(t *testing.T) {
	var allFlags []string
	var allInFile strings.Builder
	for _, tt := range everySetting() {
		if tt.key == "policy.bundle" { // which does not go with policy.file
			continue
		}
		allFlags = append(allFlags, "--"+lookup(tt.key).flag()+"="+tt.flag)
		section, name, _ := strings.Cut(tt.key, ".")
		if !strings.Contains(allInFile.String(), section+":\n") {
			allInFile.WriteString(section + ":\n")
		}
		allInFile.WriteString("  " + name + ": " + tt.file + "\n")
	}
	sources := map[string][]string{
		"nothing": nil,
		"flags":   allFlags,
		"file":    {"--config", write(t, "gracegate.yaml", allInFile.String())},
		"bundle":  {"--config", write(t, "bundle.yaml", "policy: {bundle: b, keys: [k, "+someKey+"]}")},
		"URL":     {"--config", write(t, "URL.yaml", "policy: {bundle: \"https://example.org/b\", keys: ["+someKey+"]}")},
	}
	for name, args := range sources {
		t.Run(name, func(t *testing.T) {
			c, err := Load(parsed(t, args...))
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			if err := c.WriteYAML(&text); err != nil {
				t.Fatal(err)
			}
			again, err := Load(parsed(t, "--config", write(t, "again.yaml", text.String())))
			if err != nil {
				t.Fatalf("%v\n%s", err, &text)
			}
			if !reflect.DeepEqual(fields(c), fields(again)) {
				t.Errorf("%+v became %+v", c, again)
			}
			if got := strings.Count(text.String(), "# Set by flag --"); got != len(allFlags) && name == "flags" || got > 0 && name != "flags" {
				t.Errorf("%d settings are said to be set by flags", got)
			}
		})
	}
}

func TestWriteYAML(t *testing.T) {
	t.Setenv("GRACEGATE_LOG_LEVEL", "warn")
	c, err := Load(parsed(t))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := c.WriteYAML(&text); err != nil {
		t.Fatal(err)
	}
	const want = `
log:
  # The least severe level that is logged. Default info; debug, info, warn or error.
  # Set by environment GRACEGATE_LOG_LEVEL.
  level: warn
  # How a log line is written: json for machines, console for people. Default json; json or console.
  format: json
`
	if !strings.HasSuffix(text.String(), want) {
		t.Errorf("ends otherwise:\n%s", &text)
	}
}

func TestRedactedIsJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Default().Redacted()["listen"])
	if err != nil || string(text) != `{"admin":"127.0.0.1:9128","proxy":["127.0.0.1:3128"],"proxy-protocol":[],"socks":[],"transparent":[]}` {
		t.Errorf("%s, %v", text, err)
	}
}

// The comment of every field is the text of its setting.
func TestFieldsAreTheManual(t *testing.T) {
	t.Parallel()
	source, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	ast.Inspect(source, func(n ast.Node) bool {
		section, ok := n.(*ast.TypeSpec)
		if !ok || section.Name.Name == "Config" {
			return true
		}
		for _, field := range section.Type.(*ast.StructType).Fields.List {
			name := field.Names[0].Name
			documented[kebab(section.Name.Name)+"."+kebab(name)] = name + ": " + strings.Join(strings.Fields(field.Doc.Text()), " ")
		}
		return true
	})
	want := make(map[string]string)
	for _, s := range settings {
		name, _, _ := strings.Cut(documented[s.key], ":")
		want[s.key] = name + ": " + name + " is " + s.doc + ". " + s.facts()
	}
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("settings.go, and comments of config.go:\n%s", diff)
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := Markdown(&text); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if len(lines) != 2+len(settings) {
		t.Errorf("%d lines for %d settings", len(lines), len(settings))
	}
	for _, l := range lines {
		if strings.Count(l, "|") != 4 {
			t.Errorf("not three columns: %s", l)
		}
	}
	const want = "| `limits.header` | `64KiB` | The largest request head that is read. At least 1KiB, at most 1MiB. |"
	if !strings.Contains(text.String(), "\n"+want+"\n") {
		t.Errorf("no row %s", want)
	}
}
