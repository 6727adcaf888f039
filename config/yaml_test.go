package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Text that is hardly a settings file. What the YAML reader says of it is its own affair; that there is one mistake, or
// none, is ours.
func TestReadYAMLOddities(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"empty", "", ""},
		{"comments", "# nothing\n\n", ""},
		{"null", "~\n", ""},
		{"empty section", "limits:\nlog: {}\n", ""},
		{"JSON", `{"limits": {"idle": "5m"}}`, ""},
		{"byte order mark", "\ufefflimits: {idle: 5m}\n", ""},
		{"carriage returns", "limits:\r\n  idle: 5m\r\n", ""},
		{"tab in a value", "operator:\n  name: \"a\"\t# why\n", ""},
		{"not UTF-8", "operator: {name: \"\xff\"}\n", "f: is not YAML: invalid leading UTF-8 octet"},
		{"NUL", "operator: {name: \x00}\n", "f: is not YAML: control characters are not allowed"},
		{"unknown anchor", "limits: *x\n", "f: is not YAML: unknown anchor 'x' referenced"},
		{"merge key", "limits: &x {idle: 5m}\nlog: {<<: *x}\n", `f:2:7: unknown key "log.<<" (gracegate config prints all keys)`},
		{"other type", "operator: {name: !!binary YQ==}\n", "f:1:18: operator.name: wants text, not a value of type \"!!binary\" (put it in quotes)"},
		{"long value", "log: {level: " + strings.Repeat("é", 99) + "}\n", "f:1:14: log.level: " + strconv.QuoteToASCII(strings.Repeat("é", 50)) + "... is not debug, info, warn or error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, problems := readYAML("f", []byte(tt.text))
			if got := problems.Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// No text makes the reader panic; each problem is one line of printable ASCII and lies in the file; what it takes, it
// takes again.
func FuzzReadYAML(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	place := regexp.MustCompile(`^f:(\d+):\d+$`)
	f.Fuzz(func(t *testing.T, text []byte) {
		values, problems := readYAML("f", text)
		for _, p := range problems {
			if strings.ContainsFunc(p.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("not one line of ASCII: %q", p.Error())
			}
			if m := place.FindStringSubmatch(p.Where); m != nil {
				if line, _ := strconv.Atoi(m[1]); line < 1 || line > strings.Count(string(text), "\n")+strings.Count(string(text), "\r")+1 {
					t.Errorf("%s of %d bytes", p.Where, len(text))
				}
			}
		}
		c := Default()
		for key, n := range values {
			if problems := lookup(key).take(c, n, source{name: "f", isFile: true}); len(problems) > 0 {
				t.Errorf("taken, then refused: %v", problems)
			}
		}
		var printed strings.Builder
		if err := c.WriteYAML(&printed); err != nil {
			t.Fatal(err)
		}
		if _, problems := readYAML("printed", []byte(printed.String())); len(problems) > 0 {
			t.Errorf("printed, then refused: %v", problems)
		}
	})
}

func TestToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		mode       os.FileMode
		want, err  string
	}{
		{name: "plain", text: "secret\n", mode: 0o600, want: "secret"},
		{name: "read-only", text: "  secret", mode: 0o400, want: "secret"},
		{name: "group", text: "secret", mode: 0o640, err: "can be used by others: its mode is 0640 (chmod 600 it)"},
		{name: "world", text: "secret", mode: 0o604, err: "can be used by others: its mode is 0604 (chmod 600 it)"},
		{name: "empty", text: " \n", mode: 0o600, err: "is empty (put a random token into it)"},
		{name: "two lines", text: "secret\nother\n", mode: 0o600, err: "holds more than one word (it holds the token alone)"},
		{name: "large", text: strings.Repeat("x", 4097), mode: 0o600, err: "is larger than 4 KiB (it holds one line)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, tt.mode); err != nil {
				t.Fatal(err)
			}
			got, err := Admin{TokenFile: file}.Token()
			if got != tt.want || (err != nil) != (tt.err != "") {
				t.Fatalf("%q, %v", got, err)
			}
			if want := "admin.token-file: " + strconv.Quote(file) + " " + tt.err; err != nil && err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	if got, err := (Admin{}).Token(); got != "" || err != nil {
		t.Errorf("without a file: %q, %v", got, err)
	}
	for _, file := range []string{"/", "/nowhere"} {
		if _, err := (Admin{TokenFile: file}).Token(); err == nil {
			t.Errorf("%s gave a token", file)
		}
	}
}

// Load reports an unusable token file with all else, where it was named.
func TestLoadChecksTheToken(t *testing.T) {
	_, err := Load(parsed(t, "--admin-token-file=/nowhere", "--clock-rate=2"))
	want := Errors{
		{
			Where: "flag --admin-token-file", Key: "admin.token-file", Value: "/nowhere",
			Message: `"/nowhere" cannot be read: no such file or directory`,
		},
		{
			Where: "flag --clock-rate", Key: "clock.rate", Value: "2",
			Message: "2 needs clock.at: real time runs at 1", Hint: "set clock.at",
		},
	}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Error(diff)
	}
}
