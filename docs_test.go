package gracegate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	policyfile "github.com/gracegate/gracegate/policy/source"
	"github.com/gracegate/gracegate/policy/timeline"
)

var update = flag.Bool("update", false, "write the generated parts of docs/ anew")

// documents returns the texts for readers.
func documents(t *testing.T) []string {
	t.Helper()
	more, err := filepath.Glob("docs/*.md")
	if err != nil || len(more) == 0 {
		t.Fatalf("no texts in docs/: %v", err)
	}
	return append([]string{"README.md", "CHANGELOG.md"}, more...)
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The table of settings stands between two marks and is what `gracegate config --markdown` prints.
func TestSettingsTableIsCurrent(t *testing.T) {
	t.Parallel()
	generated(t, "docs/configuration.md", "settings", config.Markdown)
}

// Likewise the catalogue, which `gracegate config --catalog` prints.
func TestCataloguePageIsCurrent(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load("", false)
	if err != nil {
		t.Fatal(err)
	}
	generated(t, "docs/catalogue.md", "catalogue", func(w io.Writer) error { return catalog.Markdown(w, c, "timelines") })
}

// The picture of the model case is what `gracegate timeline --vendor kaspersky --at 2024-09-15T12:00:00Z --svg -` draws, and those of the
// catalogue are what `gracegate timeline --restriction ID --svg -` does, without a present and what the operator's settings add.
func TestPicturesAreCurrent(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load("", false)
	if err != nil {
		t.Fatal(err)
	}
	op, problems := policyfile.Operator(catalog.Builtin())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	drawn(t, "docs/kaspersky.svg", c, &op, &timeline.Options{At: time.Date(2024, 9, 15, 12, 0, 0, 0, time.UTC), Vendors: []string{"kaspersky"}})

	op.Settings.WarnBefore = 0
	want := map[string]bool{}
	for i := range c.Restrictions {
		name := "docs/timelines/" + c.Restrictions[i].ID + ".svg"
		want[name] = true
		drawn(t, name, c, &op, &timeline.Options{Restriction: c.Restrictions[i].ID})
	}
	files, err := filepath.Glob("docs/timelines/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if !want[filepath.ToSlash(name)] {
			t.Errorf("%s is of no restriction", name)
		}
	}
}

// drawn compares a picture with what is drawn today, or writes it anew.
func drawn(t *testing.T, name string, c *policy.Catalog, op *policy.Operator, opts *timeline.Options) {
	t.Helper()
	p, err := policy.Compile(c, op, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tl, err := timeline.Build(p, opts)
	if err != nil {
		t.Fatal(err)
	}
	var now bytes.Buffer
	if err := tl.WriteSVG(&now); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, now.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if readText(t, name) != now.String() {
		t.Errorf("%s is not what is drawn today; run go test . -update, and look at it", name)
	}
}

// generated compares what stands between the two marks of a text with what write writes, or puts it there.
func generated(t *testing.T, name, what string, write func(io.Writer) error) {
	t.Helper()
	begin, end := "<!-- "+what+": generated -->\n", "<!-- end of "+what+" -->"
	var now bytes.Buffer
	if err := write(&now); err != nil {
		t.Fatal(err)
	}
	text := readText(t, name)
	before, rest, hasBegin := strings.Cut(text, begin)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		t.Fatalf("%s has nothing between %q and %q", name, begin, end)
	}
	want := before + begin + now.String() + end + after
	if want == text {
		return
	}
	if !*update {
		t.Fatalf("%s: the part on %s is not what is written today; run go test . -update", name, what)
	}
	if err := os.WriteFile(name, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, name := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(readText(t, name), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	}
}

// fence is a fenced block of a text.
type fence struct {
	file string
	line int // of its first line, from 1
	kind string
	body []string
}

func fences(t *testing.T, name string) []fence {
	t.Helper()
	var all []fence
	var open *fence
	for i, line := range strings.Split(readText(t, name), "\n") {
		kind, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &fence{file: name, line: i + 2, kind: kind}
		case isFence:
			all, open = append(all, *open), nil
		case open != nil:
			open.body = append(open.body, line)
		}
	}
	if open != nil {
		t.Errorf("%s:%d: a fence without its end", name, open.line-1)
	}
	return all
}

// What the texts show of explain, config and version is what the program says, in a directory with the files that the
// texts show: those whose first line is a comment with their name. A line of three dots stands for any lines.
func TestExamplesAreTrue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "gracegate")
	if out, err := exec.Command("go", "build", "-o", program, "./cmd/gracegate").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	var consoles []fence
	for _, name := range documents(t) {
		for _, f := range fences(t, name) {
			file, named := strings.CutPrefix(f.body[0], "# ")
			switch {
			case f.kind == "yaml" && named && filepath.Ext(file) == ".yaml" && filepath.Base(file) == file:
				if err := os.WriteFile(filepath.Join(dir, file), []byte(strings.Join(f.body, "\n")+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			case f.kind == "console":
				consoles = append(consoles, f)
			}
		}
	}
	compared := 0
	for _, f := range consoles {
		compared += f.compare(t, program)
	}
	if compared < 5 {
		t.Errorf("%d examples were compared; does this test still find them?", compared)
	}
}

// compare runs the commands of a block and returns how many it ran.
func (f *fence) compare(t *testing.T, program string) (ran int) {
	t.Helper()
	exit := 0
	for i := 0; i < len(f.body); i++ {
		command, isCommand := strings.CutPrefix(f.body[i], "$ ")
		if !isCommand {
			continue
		}
		shown := f.body[i+1:]
		if n := slices.IndexFunc(shown, func(s string) bool { return strings.HasPrefix(s, "$ ") }); n >= 0 {
			shown = shown[:n]
		}
		var said string
		words := strings.Fields(command)
		switch {
		case command == "echo $?":
			said = strconv.Itoa(exit)
		case len(words) > 1 && words[0] == "./gracegate" && slices.Contains([]string{"explain", "config", "version"}, words[1]):
			ran++
			cmd := exec.Command(program, words[1:]...)
			cmd.Dir, cmd.Env = filepath.Dir(program), []string{"TZ=UTC"} // none of the settings of who runs this
			out, err := cmd.CombinedOutput()
			if failure, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
				t.Fatalf("%s:%d: %v", f.file, f.line+i, err)
			} else if exit = 0; ok {
				exit = failure.ExitCode()
			}
			said = string(out)
		default:
			continue
		}
		if !likeShown(shown, strings.Split(strings.TrimRight(said, "\n"), "\n")) {
			t.Errorf("%s:%d: %s\nshown:\n%s\nsaid:\n%s", f.file, f.line+i, command, strings.Join(shown, "\n"), said)
		}
	}
	return ran
}

// likeShown compares line by line; "..." stands for any lines, also none.
func likeShown(shown, said []string) bool {
	if len(shown) == 0 {
		return len(said) == 0
	}
	if shown[0] == "..." {
		for i := range len(said) + 1 {
			if likeShown(shown[1:], said[i:]) {
				return true
			}
		}
		return false
	}
	return len(said) > 0 && strings.TrimRight(said[0], " ") == shown[0] && likeShown(shown[1:], said[1:])
}

// The table of records has every member of the golden lines.
func TestRecordFieldsAreDocumented(t *testing.T) {
	t.Parallel()
	manual := readText(t, "docs/records.md")
	_, table, found := strings.Cut(manual, "\n## Fields\n")
	if !found {
		t.Fatal("records.md has no fields")
	}
	members := make(map[string]bool)
	for l := range strings.Lines(readText(t, "audit/testdata/lines.jsonl")) {
		var record map[string]any
		if err := json.Unmarshal([]byte(l), &record); err != nil {
			t.Fatal(err)
		}
		for name := range record {
			members[name] = true
		}
	}
	for name := range members {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("records.md does not tell of %s", name)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*`) \\|").FindAllStringSubmatch(table, -1) {
		for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(strings.Split(row[1], " | ")[0], -1) {
			if name := quoted[1]; !members[name] && name != "gracegate.simulated_clock" {
				t.Errorf("records.md tells of %s, which is in no golden line", name)
			}
		}
	}
}
