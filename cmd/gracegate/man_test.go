package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The manual and README tell of the same exit codes.
func TestExitStatusIsThatOfReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(readme), "| code | when |")
	table, _, ended := strings.Cut(table, "\n\n")
	if !found || !ended {
		t.Fatal("README has no table of exit codes")
	}
	var there, here []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(table, -1) {
		there = append(there, row[1])
	}
	for _, e := range exitStatus {
		here = append(here, e.head[0].text)
	}
	if !slices.Equal(there, here) {
		t.Errorf("README tells of the codes %q, the manual of %q", there, here)
	}
}

// What roff would take for its own is shown as it is.
func TestRoffed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"--at":              `\-\-at`,
		`a\b`:               `a\eb`,
		".a\n.b":            "\\&.a\n\\&.b",
		"'quoted'":          `\(aqquoted\(aq`,
		`{"error"}`:         `{\(dqerror\(dq}`,
		"~/.local":          `\(ti/.local`,
		"https://a.example": "https://a.example",
	} {
		if got := roffed(text); got != want {
			t.Errorf("roffed(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestManText(t *testing.T) {
	t.Parallel()
	const text = "One\nparagraph.\n\n  indented\n    further\n\n#### And another:\n"
	const want = "One\nparagraph.\n.PP\n.RS 4\n.nf\nindented\n  further\n.fi\n.RE\n.PP\nAnd another:"
	if got := manText(text); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
