package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown writes the report as GitHub's Markdown, with tables. Nothing in it can be taken for markup or a link.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", literal(r.Title))
	for _, l := range r.headLines() {
		fmt.Fprintf(&b, "- **%s**: %s\n", l[0], literal(l[1]))
	}
	for _, s := range r.sections() {
		fmt.Fprintf(&b, "\n## %s\n\n", s.title)
		for _, l := range s.lines {
			fmt.Fprintf(&b, "- %s\n", literal(l))
		}
		if len(s.lines) > 0 && len(s.rows) > 0 {
			b.WriteString("\n")
		}
		switch {
		case len(s.rows) > 0:
			writeMarkdownTable(&b, &s)
		case s.none != "":
			fmt.Fprintf(&b, "%s\n", s.none)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeMarkdownTable(b *strings.Builder, s *section) {
	fmt.Fprintf(b, "| %s |\n|", strings.Join(s.head, " | "))
	for i := range s.head {
		if s.numbers[i] {
			b.WriteString(" ---: |")
		} else {
			b.WriteString(" --- |")
		}
	}
	b.WriteString("\n")
	for _, row := range s.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = literal(cell)
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

// literal makes text that Markdown shows as it is: every sign that means something is escaped, and so is what would make a link
// of an address (CommonMark, section 2.4; GitHub's autolinks need "www.", "://" or "@").
func literal(s string) string {
	var b strings.Builder
	for i, r := range s {
		special := strings.ContainsRune("\\`*_[]<>#|~&@$", r)
		link := r == ':' && strings.HasPrefix(s[i:], "://") || r == '.' && i >= 3 && strings.EqualFold(s[i-3:i], "www")
		if special || link {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
