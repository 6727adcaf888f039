package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// WriteText writes the report for a terminal. A table that would be wider than any terminal is written as a block of lines for
// each row.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Title)
	for _, l := range r.headLines() {
		fmt.Fprintf(&b, "%-12s %s\n", l[0], l[1])
	}
	for _, s := range r.sections() {
		fmt.Fprintf(&b, "\n%s\n%s\n", s.title, strings.Repeat("-", len(s.title)))
		for _, l := range s.lines {
			fmt.Fprintf(&b, "- %s\n", l)
		}
		if len(s.lines) > 0 && len(s.rows) > 0 {
			b.WriteString("\n")
		}
		switch {
		case len(s.rows) == 0 && s.none != "":
			fmt.Fprintln(&b, s.none)
		case len(s.rows) == 0:
		case width(&s) > maxWidth:
			writeBlocks(&b, &s)
		default:
			writeAligned(&b, &s)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const maxWidth = 130

// widths are those of the columns, in runes: what has no glyph is spelled out by now.
func widths(s *section) []int {
	list := make([]int, len(s.head))
	for i, h := range s.head {
		list[i] = utf8.RuneCountInString(h)
	}
	for _, row := range s.rows {
		for i, cell := range row {
			list[i] = max(list[i], utf8.RuneCountInString(cell))
		}
	}
	return list
}

func width(s *section) int {
	total := 0
	for _, n := range widths(s) {
		total += n + 2
	}
	return total
}

func writeAligned(b *strings.Builder, s *section) {
	list := widths(s)
	for _, row := range append([][]string{s.head}, s.rows...) {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", list[i]-utf8.RuneCountInString(cell))
			if s.numbers[i] {
				line.WriteString(pad + cell + "  ")
			} else {
				line.WriteString(cell + pad + "  ")
			}
		}
		fmt.Fprintln(b, strings.TrimRight(line.String(), " "))
	}
}

// writeBlocks gives each row its first cell as a title, and a line for each of the others that is not empty.
func writeBlocks(b *strings.Builder, s *section) {
	name := 0
	for _, h := range s.head {
		name = max(name, len(h))
	}
	for i, row := range s.rows {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintln(b, row[0])
		for j := 1; j < len(row); j++ {
			if row[j] != "" {
				fmt.Fprintf(b, "  %-*s  %s\n", name, strings.ToLower(s.head[j][:1])+s.head[j][1:], row[j])
			}
		}
	}
}
