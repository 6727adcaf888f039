package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
	"github.com/gracegate/gracegate/policy/timeline"
)

// What a timeline is printed in. The other columns of the table are made to fit.
const (
	maxColumns   = 100
	channelWidth = 28 // the room for channels in the table
)

// writeTimeline prints a timeline for people.
func writeTimeline(w io.Writer, t *timeline.Timeline) error {
	s := &timelineText{Timeline: t}
	s.printf("%s\n", t.Title())
	s.printf("at        %s\n", instant.Format(t.At))
	if known := knownText(t.KnownAt); known != "" {
		s.printf("known at  %s\n", known)
	}
	if !t.From.IsZero() {
		s.printf("from      %s\n", instant.Format(t.From))
	}
	if !t.To.IsZero() {
		s.printf("to        %s\n", instant.Format(t.To))
	}
	s.printf("revision  %s\n", t.Revision)
	for i := range t.Sites {
		s.site(&t.Sites[i])
	}
	if len(s.assumed) > 0 || s.would {
		s.printf("\n")
	}
	if s.would {
		s.printf("(state) is what would hold, were the restriction enforced, or were an endpoint known\n")
	}
	for i, why := range s.assumed {
		s.wrapped(fmt.Sprintf("[%d] assumed: %s", i+1, why), "    ")
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// timelineText is the text while it is written.
type timelineText struct {
	*timeline.Timeline
	strings.Builder
	assumed []string
	would   bool // some state is in parentheses
}

func (s *timelineText) printf(format string, args ...any) { fmt.Fprintf(&s.Builder, format, args...) }

func (s *timelineText) site(site *timeline.Site) {
	s.printf("\n%s\n", site.Title())
	if len(site.Groups) == 0 {
		s.printf("\n  nothing is restricted\n")
	}
	for i := range site.Groups {
		s.group(&site.Groups[i])
	}
}

func (s *timelineText) group(g *timeline.Group) {
	s.printf("\n%s\n", g.Title())
	for i := range g.Restrictions {
		r := &g.Restrictions[i]
		s.wrapped("  modelled on "+r.Title+" ("+r.ID+")", "    ")
		if g.Hypothetical {
			s.printf("  NOT ENFORCED: %s\n", r.WhyNot())
		}
	}
	s.printf("\n  %-*s  %-14s  %-25s  %-8s  %s\n", channelWidth, "channel", "now", "until", "left", "then")
	for i := range g.Rows {
		s.now(g, &g.Rows[i])
	}
	if !slices.ContainsFunc(g.Rows, func(r timeline.Row) bool { return len(r.Spans) > 1 }) {
		return
	}
	s.printf("\n  phases of what changes, the present one marked >\n")
	for i := range g.Rows {
		if len(g.Rows[i].Spans) > 1 {
			s.phases(g, &g.Rows[i])
		}
	}
}

// wrapped prints text of any length in lines, those after the first indented.
func (s *timelineText) wrapped(text, indent string) {
	lead := text[:len(text)-len(strings.TrimLeft(text, " "))]
	for _, line := range wrapped(text, maxColumns-len(indent)) {
		s.printf("%s%s\n", lead, line)
		lead = indent
	}
}

// now prints what holds of a row at the present.
func (s *timelineText) now(g *timeline.Group, r *timeline.Row) {
	n := r.Now(s.At)
	cells := [4]string{s.state(g, r, &r.Spans[n]), "no end"}
	if n+1 < len(r.Spans) {
		end := r.Spans[n].Until
		cells[1], cells[2], cells[3] = instant.Format(end.At)+s.footnote(end), left(end.At.Sub(s.At)), s.state(g, r, &r.Spans[n+1])
	}
	for i, line := range wrapped(r.What(), channelWidth) {
		if i > 0 {
			cells = [4]string{}
		}
		s.line(fmt.Sprintf("  %-*s  %-14s  %-25s  %-8s  %s", channelWidth, line, cells[0], cells[1], cells[2], cells[3]))
	}
	if r.Only != "" && len(r.Channels) > 0 {
		s.printf("      only %s\n", r.Only)
	}
	if r.NotSeparable {
		s.printf("      no separable endpoint is known\n")
	}
}

func (s *timelineText) line(line string) { s.printf("%s\n", strings.TrimRight(line, " ")) }

// phases prints all that is said of a row, or what lies in the window.
func (s *timelineText) phases(g *timeline.Group, r *timeline.Row) {
	spans := s.Window(r)
	if len(spans) == 0 {
		return
	}
	title := "  " + r.What()
	if r.Only != "" && len(r.Channels) > 0 {
		title += ", only " + r.Only
	}
	s.wrapped(title, "    ")
	now := r.Now(s.At)
	for i := range spans {
		mark := " "
		if spans[i].From == r.Spans[now].From {
			mark = ">"
		}
		from := "always"
		if in := spans[i].From; in != nil {
			from = instant.Format(in.At)
			if in.Zone != nil && in.Zone != time.UTC {
				from = fmt.Sprintf("%-20s  %s", from, instant.FormatIn(in.At, in.Zone))
			}
			from += s.footnote(in)
		}
		s.line(fmt.Sprintf("    %s %-52s  %-14s  %s", mark, from, s.state(g, r, &spans[i]), by(&spans[i].By)))
	}
}

// footnote refers to why an instant is assumed.
func (s *timelineText) footnote(in *policy.Instant) string {
	if in.Assumed == "" {
		return ""
	}
	n := slices.Index(s.assumed, in.Assumed)
	if n < 0 {
		n = len(s.assumed)
		s.assumed = append(s.assumed, in.Assumed)
	}
	return fmt.Sprintf(" [%d]", n+1)
}

func by(c *policy.Cause) string {
	if c.Kind == "restriction" {
		return c.ID
	}
	return strings.Join(nonEmpty(c.Kind, c.ID), " ")
}

// state is the word for what holds; in parentheses, if it would hold.
func (s *timelineText) state(g *timeline.Group, r *timeline.Row, span *timeline.Span) string {
	if g.Hypothetical || !r.Known() {
		s.would = true
		return "(" + span.Label() + ")"
	}
	return span.Label()
}

// left is how much time there is, rounded down.
func left(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= day:
		return "1 day"
	case d >= time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
}

// wrapped breaks text between words, where it is wider than there is room. A word that is wider by itself stays whole.
func wrapped(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
