package main

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/gracegate/gracegate/policy/lint"
)

// checkPage is the page of a check, relative to the root of the source.
func checkPage(check string) string {
	return "docs/lint/" + strings.ReplaceAll(check, "/", "-") + ".md"
}

func listChecks(w io.Writer) error {
	for _, c := range lint.Checks() {
		if _, err := fmt.Fprintf(w, "%-26s %-8s %s\n", c.Name, c.Severity, c.About); err != nil {
			return err
		}
	}
	return nil
}

// writeText shows each finding with the line that it is about.
func (f *findings) writeText(w io.Writer) error {
	var b strings.Builder
	count := map[lint.Severity]int{}
	for i := range f.list {
		x := &f.list[i]
		count[x.Severity]++
		fmt.Fprintf(&b, "%s: %s [%s]\n", x.Severity, x.Message, x.Check)
		if at := x.Pos.String(); at != "" {
			fmt.Fprintf(&b, "  --> %s\n", at)
		}
		f.excerpt(&b, x)
		fmt.Fprintf(&b, "  hint: %s\n  see:  %s\n\n", x.Hint, checkPage(x.Check))
	}
	fmt.Fprintf(&b, "%s, %s, %s\n", counted(count[lint.Error], "error", "errors"), counted(count[lint.Warning], "warning", "warnings"), counted(count[lint.Info], "note", "notes"))
	_, err := io.WriteString(w, b.String())
	return err
}

// excerpt shows the line of a finding, with carets below what begins at its column.
func (f *findings) excerpt(b *strings.Builder, x *lint.Finding) {
	line := f.texts.line(x.Pos, x.Pos.Line)
	if line == "" || x.Pos.Column < 1 {
		return
	}
	text := []rune(line)
	at := min(x.Pos.Column-1, len(text))
	end := len([]rune(strings.TrimRight(line, " ")))
	if i := strings.Index(string(text[at:]), " #"); i >= 0 { // a comment is not meant
		end = at + utf8.RuneCountInString(strings.TrimRight(string(text[at:])[:i], " "))
	}
	number := fmt.Sprint(x.Pos.Line)
	pad := strings.Repeat(" ", len(number))
	fmt.Fprintf(b, "  %s |\n  %s | %s\n  %s | %s%s\n", pad, number, strings.ReplaceAll(line, "\t", " "),
		pad, strings.Repeat(" ", at), strings.Repeat("^", max(end-at, 1)))
}

type findingJSON struct {
	Check    string  `json:"check"`
	Severity string  `json:"severity"`
	File     *string `json:"file"`
	Line     int     `json:"line"`
	Column   int     `json:"column"`
	Message  string  `json:"message"`
	Hint     string  `json:"hint"`
	Page     string  `json:"page"`
}

func (f *findings) writeJSON(w io.Writer) error {
	list := []findingJSON{}
	for _, x := range f.list {
		list = append(list, findingJSON{
			x.Check, string(x.Severity), orNull(x.Pos.File), x.Pos.Line, x.Pos.Column, x.Message, x.Hint, checkPage(x.Check),
		})
	}
	return writeJSON(w, list)
}

// What is needed of SARIF 2.1.0 (OASIS, 27 March 2020).
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Columns string        `json:"columnKind"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID    string       `json:"id"`
		Short sarifMessage `json:"shortDescription"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		File   sarifFile    `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	}
	sarifFile struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		Line   int `json:"startLine"`
		Column int `json:"startColumn,omitempty"`
	}
)

// fileURI is a reference to a file as RFC 3986 has it: what is relative stays so.
func fileURI(name string) string {
	name = strings.ReplaceAll(name, `\`, "/")
	if path.IsAbs(name) {
		return (&url.URL{Scheme: "file", Path: name}).String()
	}
	return (&url.URL{Path: name}).String()
}

func (f *findings) writeSARIF(w io.Writer) error {
	run := sarifRun{
		Tool:    sarifTool{sarifDriver{Name: "gracegate lint", Version: version(), Rules: []sarifRule{}}},
		Columns: "unicodeCodePoints", Results: []sarifResult{},
	}
	for _, c := range lint.Checks() {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{c.Name, sarifMessage{c.About}})
	}
	levels := map[lint.Severity]string{lint.Error: "error", lint.Warning: "warning", lint.Info: "note"}
	for _, x := range f.list {
		result := sarifResult{RuleID: x.Check, Level: levels[x.Severity], Message: sarifMessage{x.Message + ": " + x.Hint}}
		if x.Pos.File != "" {
			at := sarifPhysical{File: sarifFile{fileURI(x.Pos.File)}}
			if x.Pos.Line > 0 {
				at.Region = &sarifRegion{x.Pos.Line, x.Pos.Column}
			}
			result.Locations = []sarifLocation{{at}}
		}
		run.Results = append(run.Results, result)
	}
	return writeJSON(w, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}
