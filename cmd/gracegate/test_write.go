package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// writeText tells people what failed, and sums up.
func (t *tester) writeText(w io.Writer) error {
	var b strings.Builder
	for _, s := range t.cases {
		if len(s.wrong) == 0 {
			continue
		}
		fmt.Fprintf(&b, "FAIL %s: %s\n", s.Pos, s.label())
		if s.Name != "" {
			fmt.Fprintf(&b, "     %s\n", s.asked())
		}
		for _, wrong := range s.wrong {
			fmt.Fprintf(&b, "     %s\n", wrong)
		}
		for _, line := range weighed(s.got.Reasons) {
			fmt.Fprintf(&b, "       %s\n", line)
		}
	}
	if t.coverage || t.minCoverage > 0 {
		t.covered.writeText(&b)
	}
	fmt.Fprintf(&b, "%d passed, %d failed\n", len(t.cases)-t.failures(), t.failures())
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTAP writes the Test Anything Protocol, version 14 (testanything.org).
func (t *tester) writeTAP(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TAP version 14\n1..%d\n", len(t.cases))
	escape := strings.NewReplacer("\\", "\\\\", "#", "\\#")
	for i, s := range t.cases {
		if len(s.wrong) == 0 {
			fmt.Fprintf(&b, "ok %d - %s\n", i+1, escape.Replace(s.label()))
			continue
		}
		fmt.Fprintf(&b, "not ok %d - %s\n  ---\n  at: %q\n  wrong:\n", i+1, escape.Replace(s.label()), s.Pos)
		for _, wrong := range s.wrong {
			fmt.Fprintf(&b, "    - %q\n", wrong)
		}
		b.WriteString("  ...\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// What readers of JUnit's XML agree on.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"` // the file
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (t *tester) writeJUnit(w io.Writer) error {
	all := junitSuites{Tests: len(t.cases), Failures: t.failures()}
	for _, s := range t.cases {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != s.Pos.File {
			all.Suites = append(all.Suites, junitSuite{Name: s.Pos.File})
		}
		suite := &all.Suites[len(all.Suites)-1]
		c := junitCase{Name: s.label(), Class: s.Pos.File, File: s.Pos.File, Line: s.Pos.Line}
		suite.Tests++
		if len(s.wrong) > 0 {
			suite.Failures++
			c.Failure = &junitFailure{
				Message: strings.Join(s.wrong, "; "),
				Text:    s.asked() + "\n" + strings.Join(weighed(s.got.Reasons), "\n"),
			}
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
