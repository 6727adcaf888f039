package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/instant"
)

// writeText prints an answer for people.
func (a *answer) writeText(w io.Writer) error {
	var b strings.Builder
	f := &a.facts
	if f.Method != "" {
		b.WriteString(f.Method + " ")
	}
	fmt.Fprintf(&b, "%s://%s%s\n", f.Scheme, host.Join(named(f), f.Port), f.Path)
	if f.Transparent {
		fmt.Fprintf(&b, "dialled   %s\n", f.Authority)
	}
	if a.Again {
		fmt.Fprintf(&b, "path      judged as %s, as a lenient server could read it\n", f.PathAgain)
	}
	if f.Hello == policy.HelloNoName {
		b.WriteString("sni       none\n")
	} else if !f.SNI.IsZero() && f.SNI != named(f) {
		fmt.Fprintf(&b, "sni       %s\n", f.SNI)
	}
	fmt.Fprintf(&b, "at        %s\n", instant.Format(a.At))
	if known := knownText(a.known); known != "" {
		fmt.Fprintf(&b, "known at  %s\n", known)
	}
	fmt.Fprintf(&b, "client    %s\n", a.clientText())
	if a.Vendor != "" {
		fmt.Fprintf(&b, "endpoint  %s: %s\n", a.Vendor, a.channelText())
	}
	fmt.Fprintf(&b, "\n%s\n", a.verdictText())
	if a.guard == "" {
		a.nextText(&b)
	}
	if len(a.Reasons) > 0 {
		b.WriteString("\nreasons, the decisive ones marked *\n")
	}
	for i := range a.Reasons {
		r := &a.Reasons[i]
		again := i > 0 && sameEndpoint(&a.Reasons[i-1], r)
		more := i+1 < len(a.Reasons) && sameEndpoint(r, &a.Reasons[i+1])
		writeReason(&b, r, a.guard != "", again, more)
	}
	fmt.Fprintf(&b, "\nrevision  %s\n", a.Revision())
	_, err := io.WriteString(w, b.String())
	return err
}

func (a *answer) clientText() string {
	parts := []string{}
	if a.facts.Client.IsValid() {
		parts = append(parts, a.facts.Client.String())
	}
	if a.facts.User != "" {
		parts = append(parts, "user "+a.facts.User)
	}
	if a.facts.MAC != "" {
		parts = append(parts, "device "+a.facts.MAC)
	}
	site := "default site"
	if a.Site != "" {
		site = "site " + a.Site
	}
	parts = append(parts, site)
	for _, p := range a.Persons {
		parts = append(parts, "person "+p)
	}
	if j := a.Jurisdictions(); len(j) > 0 {
		parts = append(parts, "bound by "+strings.Join(j, ", "))
	} else {
		parts = append(parts, "bound by none")
	}
	return strings.Join(parts, ", ")
}

func (a *answer) channelText() string { return strings.Join(channelWords(a.Channels), ", ") }

func (a *answer) verdictText() string {
	s := fmt.Sprintf("%s (%s)", strings.ToUpper(a.Verdict.String()), a.State)
	if a.guard != "" {
		return s + ": the " + a.guard + " guard: " + a.detail
	}
	if a.Need != policy.NeedNothing {
		s += ", needs to see the " + a.Need.String()
	}
	if a.Would != a.Verdict {
		s += ", would " + a.Would.String() + " if every restriction were enforced"
	}
	return s
}

// nextText says when the answer changes next and to what, in UTC and in the zone of the text that changes it.
func (a *answer) nextText(b *strings.Builder) {
	change, ok := a.NextChange()
	if !ok {
		b.WriteString("this does not change\n")
		return
	}
	block, blocks := a.NextBlock()
	if !blocks || !block.Equal(change) {
		then := a.policy.Explain(change, &a.facts)
		fmt.Fprintf(b, "changes at   %s to %s\n", a.inZones(&then), a.outcome(&then))
	}
	if blocks {
		then := a.policy.Explain(block, &a.facts)
		fmt.Fprintf(b, "blocked from %s", a.inZones(&then))
		if then.State != policy.Blocked {
			fmt.Fprintf(b, " (%s)", then.State)
		}
		b.WriteString("\n")
	}
}

// outcome is what the answer will be then.
func (a *answer) outcome(then *policy.Explanation) string {
	s := fmt.Sprintf("%s (%s)", then.Verdict, then.State)
	switch {
	case then.Need != policy.NeedNothing:
		s += ", needs to see the " + then.Need.String()
	case then.Verdict == a.Verdict && then.State == a.State:
		s += ", needs to see no more"
	}
	return s
}

// inZones shows the instant of what will be in UTC, and in the zone of a source that speaks of this instant, or of the one
// that is decisive until then.
func (a *answer) inZones(then *policy.Explanation) string {
	for _, reasons := range [][]policy.Reason{a.Reasons, then.Reasons} {
		for i := range reasons {
			for _, in := range []*policy.Instant{reasons[i].From, reasons[i].Until} {
				if in != nil && in.At.Equal(then.At) {
					return zoned(then.At, in.Zone)
				}
			}
		}
	}
	for i := range a.Reasons {
		for _, in := range []*policy.Instant{a.Reasons[i].From, a.Reasons[i].Until} {
			if in != nil && a.Reasons[i].Decisive {
				return zoned(then.At, in.Zone)
			}
		}
	}
	return zoned(then.At, nil)
}

func zoned(at time.Time, zone *time.Location) string {
	s := instant.Format(at)
	if zone == nil || zone == time.UTC {
		return s
	}
	return fmt.Sprintf("%s (%s)", s, instant.FormatIn(at, zone))
}

// sameEndpoint tells two reasons that differ in nothing but which source of an endpoint they cite.
func sameEndpoint(r, next *policy.Reason) bool {
	return r.Kind == "endpoint" && next.Kind == "endpoint" && r.ID == next.ID && r.Vendor == next.Vendor && r.Pos == next.Pos
}

// writeReason prints a reason. One that says again what the one before it said adds its source alone; the place in the file
// stands below the last of them.
func writeReason(b *strings.Builder, r *policy.Reason, overruled, again, more bool) {
	if !again {
		writeFinding(b, r, overruled)
	}
	if s := r.Source; s != nil {
		fmt.Fprintf(b, "    source %s (%s)\n", strings.Join(nonEmpty(s.Title, s.Citation, s.URL), ", "), s.Grade)
		if s.Note != "" {
			fmt.Fprintf(b, "           note: %s\n", s.Note)
		}
	}
	if at := r.Pos.String(); at != "" && !more {
		fmt.Fprintf(b, "    file   %s\n", at)
	}
}

// writeFinding prints what a reason says, and for how long.
func writeFinding(b *strings.Builder, r *policy.Reason, overruled bool) {
	mark := " "
	if r.Decisive && !overruled {
		mark = "*"
	}
	what := []string{r.Kind}
	for _, part := range []string{r.Restriction, r.ID, r.Vendor, r.Channel} {
		if part != "" {
			what = append(what, part)
		}
	}
	line := fmt.Sprintf("%s %s", mark, strings.Join(what, " "))
	if r.Effect != "" {
		line += ": " + r.Effect
	}
	if r.Mode != "" && r.Mode != policy.Enforce.String() {
		line += " (mode " + r.Mode + ")"
	}
	fmt.Fprintln(b, line)
	for _, span := range []struct {
		word string
		in   *policy.Instant
	}{{"from ", r.From}, {"until", r.Until}} {
		if span.in == nil {
			continue
		}
		fmt.Fprintf(b, "    %s  %s\n", span.word, zoned(span.in.At, span.in.Zone))
		if span.in.Assumed != "" {
			fmt.Fprintf(b, "           assumed: %s\n", span.in.Assumed)
		}
	}
	if r.Condition != "" {
		fmt.Fprintf(b, "    only   %s\n", r.Condition)
	}
}

func nonEmpty(list ...string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}
