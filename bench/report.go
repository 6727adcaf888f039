package main

import (
	"fmt"
	"io"
	"strings"
)

// scale writes seconds of CPU per unit as people read them.
func scale(seconds float64) string {
	if seconds < 10e-3 {
		return fmt.Sprintf("%.1f µs", seconds*1e6)
	}
	return fmt.Sprintf("%.0f ms", seconds*1e3)
}

// print prints a row when it has been measured: CPU per unit and units per second of each line, and the ratios of the first
// line to it, with quartiles.
func (r result) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %s\n", r.name, r.title)
	ours := r.lines[0]
	for _, l := range r.lines {
		if len(l.samples) > 0 {
			fmt.Fprintf(w, "  %-28s %9s/%s %9s/s", l.label, scale(l.medianOf(cpuOf)), r.work.unit, rate(l.medianOf(rateOf)))
			if l.label != ours.label {
				cpu, rate := ours.ratio(l, cpuOf), ours.ratio(l, rateOf)
				fmt.Fprintf(w, "   CPU x %.2f (%.2f to %.2f)   rate x %.2f", cpu.median, cpu.low, cpu.high, rate.median)
			}
			fmt.Fprintln(w, l.note())
		}
		if l.failure != nil {
			fmt.Fprintf(w, "  %-28s failed: %v\n", l.label, l.failure)
		}
	}
	for _, a := range r.aims {
		if verdict := r.judge(a); verdict != "" {
			fmt.Fprintf(w, "  %s\n", verdict)
		}
	}
}

// note tells of an entrant that did not keep connections.
func (l line) note() string {
	if dials := l.medianOf(dialsOf); dials > 0.9 && dials < 1.1 {
		return "   a connection each"
	}
	return ""
}

// judge tells whether an aim is reached; nothing if its peer took no part.
func (r result) judge(a aim) string {
	for _, l := range r.lines {
		if l.label != a.peer || len(l.samples) == 0 {
			continue
		}
		verb, verdict := "go for", "not yet"
		if a.first {
			verb = "reach"
		}
		got := r.lines[0].ratio(l, cpuOf).median
		if got <= a.ratio {
			verdict = "yes"
		}
		return fmt.Sprintf("%s %g of %s's CPU: %s, %.2f", verb, a.ratio, a.peer, verdict, got)
	}
	return ""
}

// rate writes units per second.
func rate(r float64) string {
	if r < 100 {
		return fmt.Sprintf("%.2f", r)
	}
	return fmt.Sprintf("%.0f", r)
}

func (r idleResult) print(w io.Writer) {
	if r.failure != nil {
		fmt.Fprintf(w, "  %-28s failed: %v\n", r.label, r.failure)
		return
	}
	fmt.Fprintf(w, "  %-28s %5d tunnels: fresh %6.1f KiB %5.2f descriptors   after %.1f MB %6.1f KiB %5.2f descriptors\n", r.label, r.tunnels,
		r.fresh.resident/1024, r.fresh.descriptors, float64(idleBlob)/1e6, r.after.resident/1024, r.after.descriptors)
}

func writePage(string, driver, any, []result, []idleResult) error { _ = strings.Cut; return nil }
