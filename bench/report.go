package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// table is what is printed, and written to the page.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// text is the table for a terminal.
func (t *table) text() string {
	var b strings.Builder
	for _, cells := range append([][]string{t.head}, t.rows...) {
		for i, cell := range cells {
			fmt.Fprintf(&b, "  %-*s", t.width(i), cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// width is that of the widest cell of a column.
func (t *table) width(column int) (width int) {
	for _, cells := range append([][]string{t.head}, t.rows...) {
		if column < len(cells) {
			width = max(width, utf8.RuneCountInString(cells[column]))
		}
	}
	return width
}

// markdown is the table for the page.
func (t *table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat(" --- |", len(t.head)))
	for _, cells := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String() + "\n"
}

// table shows a row: CPU per unit and units per second of each line, and the ratios of the first line to it. If there is a
// line of the same without policy, it has its ratios too.
func (r result) table() *table {
	t := &table{head: []string{"", "CPU per " + r.work.unit, r.lines[0].label + " / this", r.work.unit + "s per second", r.lines[0].label + " / this"}}
	free := r.line(r.lines[0].label + ungoverned)
	if free != nil {
		t.head = append(t.head, "CPU, ungoverned / this")
	}
	for i, l := range r.lines {
		if len(l.samples) == 0 {
			t.add(l.label, failed(l.failure))
			continue
		}
		cells := []string{l.label + r.note(l), amount(l.medianOf(cpuOf)), "", rate(l.medianOf(rateOf)), ""}
		if i > 0 && len(r.lines[0].samples) > 0 {
			cells[2], cells[4] = r.lines[0].ratio(l, cpuOf).String(), fmt.Sprintf("%.2f", r.lines[0].ratio(l, rateOf).median)
		}
		if free != nil && i > 0 && l.label != free.label {
			cells = append(cells, free.ratio(l, cpuOf).String())
		}
		t.add(cells...)
	}
	return t
}

// failed tells on one line what failed.
func failed(err error) string { return "failed: " + strings.Join(strings.Fields(err.Error()), " ") }

func (r result) line(label string) *line {
	for i := range r.lines {
		if r.lines[i].label == label {
			return &r.lines[i]
		}
	}
	return nil
}

// note tells what is different about an entrant.
func (r result) note(l line) (note string) {
	if r.work.keeps && l.medianOf(dialsOf) > 0.5 {
		note = ", a connection each"
	}
	if r.work.resumes {
		note += fmt.Sprintf(", %.0f %% resumed", 100*l.medianOf(resumedOf))
	}
	if l.failure != nil {
		note += fmt.Sprintf(", after %d rounds %s", len(l.samples), failed(l.failure))
	}
	return note
}

// text is what is printed of a row when it has been measured.
func (r result) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: %s\n%s", r.name, r.title, r.table().text())
	for _, reach := range []bool{true, false} {
		if told := r.judge(reach); told != "" {
			fmt.Fprintf(&b, "  %s\n", told)
		}
	}
	return b.String()
}

// judge tells about the aim that is to be reached, or the one to go for.
func (r result) judge(reach bool) string {
	for _, a := range r.aims {
		if a.reach != reach {
			continue
		}
		told := fmt.Sprintf("%g of %s", a.ratio, a.peer)
		l := r.line(a.peer)
		if l == nil || len(l.samples) == 0 || len(r.lines[0].samples) == 0 {
			return told + ": not measured"
		}
		return fmt.Sprintf("%s: %.2f, %s", told, r.lines[0].ratio(*l, cpuOf).median, yes(r.lines[0].ratio(*l, cpuOf).median <= a.ratio))
	}
	return ""
}

func yes(reached bool) string {
	if reached {
		return "reached"
	}
	return "not reached"
}

// amount writes seconds of CPU as people read them.
func amount(seconds float64) string {
	if seconds < 10e-3 {
		return fmt.Sprintf("%.1f µs", seconds*1e6)
	}
	return fmt.Sprintf("%.0f ms", seconds*1e3)
}

// rate writes units per second.
func rate(r float64) string {
	if r < 100 {
		return fmt.Sprintf("%.2f", r)
	}
	return fmt.Sprintf("%.0f", r)
}

func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.low, s.high)
}

// idleTable shows what idle tunnels cost.
func idleTable(results []idleResult) *table {
	t := &table{head: []string{"", "tunnels", "fresh: RSS each", "descriptors each", fmt.Sprintf("after %.1f MB: RSS each", idleBlob/1e6), "descriptors each"}}
	for _, r := range results {
		cells := []string{r.label, fmt.Sprint(r.tunnels)}
		for _, w := range []*perTunnel{r.fresh, r.after} {
			if w != nil {
				cells = append(cells, fmt.Sprintf("%.1f KiB", w.resident/1024), fmt.Sprintf("%.2f", w.descriptors))
			}
		}
		if r.failure != nil {
			cells = append(cells, failed(r.failure))
		}
		t.add(cells...)
	}
	return t
}

// judgeIdle tells whether the first result has at most so many KiB a tunnel, and two descriptors.
func judgeIdle(results []idleResult, kib float64) string {
	told := fmt.Sprintf("%g KiB and 2 descriptors", kib)
	if len(results) == 0 || results[0].failure != nil {
		return told + ": not measured"
	}
	resident := max(results[0].fresh.resident, results[0].after.resident) / 1024
	descriptors := max(results[0].fresh.descriptors, results[0].after.descriptors)
	return fmt.Sprintf("%s: %.1f KiB and %.2f, %s", told, resident, descriptors, yes(resident <= kib && descriptors < 2.05))
}
