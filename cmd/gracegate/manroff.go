package main

import (
	"bytes"
	"fmt"
	"strings"
)

// manPage is a page of the manual. It is written in the macros of man(7) by ourselves: the generator that comes with cobra sets
// options as plain paragraphs, and has no place for files and the exit status.
type manPage struct {
	title    string
	section  int
	short    string
	date     string // may be empty
	sections []manSection
}

type manSection struct {
	heading string
	body    string // roff; may be empty
	entries []manEntry
}

// manEntry is something and what is said of it, as plain text.
type manEntry struct {
	head manHead
	text string
}

// manHead is a line in several fonts.
type manHead []manSpan

type manSpan struct{ text, font string }

const (
	plain  = `\fR`
	bold   = `\fB`
	italic = `\fI`
)

// add adds a section, unless it would be empty.
func (p *manPage) add(heading, body string, entries []manEntry) {
	if body != "" || len(entries) > 0 {
		p.sections = append(p.sections, manSection{heading, body, entries})
	}
}

func (p *manPage) roff() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %s %d \"%s\" \"gracegate %s\"\n", roffed(strings.ToUpper(p.title)), p.section, p.date, roffed(version()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roffed(p.title), roffed(strings.ToLower(p.short[:1])+p.short[1:]))
	for _, s := range p.sections {
		fmt.Fprintf(&b, ".SH %s\n", s.heading)
		if s.body != "" {
			fmt.Fprintln(&b, s.body)
		}
		for _, e := range s.entries {
			fmt.Fprintf(&b, ".TP\n%s\n%s\n", e.head.roff(), roffed(e.text))
		}
	}
	return b.Bytes()
}

func (h manHead) roff() string {
	var b strings.Builder
	for _, s := range h {
		b.WriteString(s.font + roffed(s.text))
	}
	return b.String() + plain
}

// manText writes paragraphs, which empty lines part. One that is indented stays as it is.
func manText(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		p = strings.Trim(p, "\n")
		if indent := p[:len(p)-len(strings.TrimLeft(p, " \t"))]; indent != "" {
			p = strings.ReplaceAll(strings.TrimPrefix(p, indent), "\n"+indent, "\n")
			paragraphs[i] = ".RS 4\n.nf\n" + roffed(p) + "\n.fi\n.RE"
		} else {
			paragraphs[i] = roffed(strings.TrimLeft(p, "# ")) // cobra has headings of Markdown in its help on completion
		}
	}
	return strings.Join(paragraphs, "\n.PP\n")
}

// roffed writes text so that it stands for itself: what is special is escaped, and no line is a request. A hyphen can be pasted
// into a shell.
func roffed(text string) string {
	text = special.Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return strings.ReplaceAll(text, "\n.", "\n\\&.")
}

var special = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `"`, `\(dq`, `^`, `\(ha`, `~`, `\(ti`)
