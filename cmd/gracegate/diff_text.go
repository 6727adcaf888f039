package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/instant"
)

// maxListed is how many of many things are named in text; JSON has them all.
const maxListed = 5

// writeText prints the difference so that it reads well in a pull request.
func (d *difference) writeText(w io.Writer) error {
	var b strings.Builder
	switch n := len(d.changes); n {
	case 0:
		b.WriteString("no decision differs\n")
	case 1:
		b.WriteString("1 change of decisions\n")
	default:
		fmt.Fprintf(&b, "%d changes of decisions\n", n)
	}
	if len(d.texts) > 0 {
		b.WriteString("\n")
	}
	for _, t := range d.texts {
		fmt.Fprintf(&b, "%s %s: %s\n", t.Kind, t.ID, t.Change)
	}
	all := policy.Askers(d.old, d.new)
	for i := range d.changes {
		d.writeChange(&b, &d.changes[i], all)
	}
	if d.corpus != nil {
		d.corpus.writeText(&b, d)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *difference) writeChange(b *strings.Builder, c *policy.Change, all []policy.Asker) {
	f := c.Destinations[0].Facts(&c.Askers[0])
	fmt.Fprintf(b, "\n%s\n", d.when(&c.Difference, &f))
	fmt.Fprintf(b, "  %s\n", outcomes(&c.Difference))
	for _, line := range destinationTexts(c.Destinations) {
		fmt.Fprintf(b, "  to   %s\n", line)
	}
	if len(c.Askers) == len(all) {
		b.WriteString("  for  every client\n")
		return
	}
	fmt.Fprintf(b, "  for  %s\n", some(c.Askers, askerText))
}

// when tells from when until when, in UTC and in the zone of the text that speaks of the instant.
func (d *difference) when(diff *policy.Difference, f *policy.Facts) string {
	show := func(at time.Time) string {
		for _, p := range []*policy.Policy{d.old, d.new} {
			for _, r := range p.Reasons(at, f) {
				for _, in := range []*policy.Instant{r.From, r.Until} {
					if in != nil && in.At.Equal(at) {
						return zoned(at, in.Zone)
					}
				}
			}
		}
		return instant.Format(at)
	}
	switch {
	case diff.From.IsZero() && diff.Until.IsZero():
		return "at any time"
	case diff.From.IsZero():
		return "until " + show(diff.Until)
	case diff.Until.IsZero():
		return "from " + show(diff.From) + " on"
	}
	return "from " + show(diff.From) + "\nuntil " + show(diff.Until)
}

func outcomes(diff *policy.Difference) string {
	return outcomeText(&diff.Old) + " -> " + outcomeText(&diff.New)
}

func outcomeText(d *policy.Decision) string {
	s := fmt.Sprintf("%s (%s", d.Verdict, d.State)
	if d.Need != policy.NeedNothing {
		s += ", needs to see the " + d.Need.String()
	}
	s += ")"
	if c := d.Cause(); c.ID != "" {
		s += " by " + c.Kind + " " + c.ID
	}
	return s
}

// destinationTexts has a line for each vendor: its channels, and where.
func destinationTexts(list []policy.Destination) (lines []string) {
	done := map[string]bool{}
	for i := range list {
		vendor := list[i].Vendor
		if done[vendor] {
			continue
		}
		done[vendor] = true
		var those []policy.Destination
		var channels []string
		for _, d := range list {
			if d.Vendor != vendor {
				continue
			}
			those = append(those, d)
			for _, c := range d.Channels {
				if !slices.Contains(channels, c.String()) {
					channels = append(channels, c.String())
				}
			}
		}
		names := some(those, destinationText)
		if vendor == "" {
			lines = append(lines, "what no endpoint matches: "+names)
		} else {
			lines = append(lines, fmt.Sprintf("%s (%s): %s", vendor, strings.Join(channels, ", "), names))
		}
	}
	return lines
}

func destinationText(d *policy.Destination) string {
	port := d.Port
	if port == 443 || port == 80 && d.Path != "" {
		port = 0
	}
	return host.Join(d.Host, port) + d.Path
}

func askerText(a *policy.Asker) string {
	site := "default site"
	if a.Site != "" {
		site = "site " + a.Site
	}
	parts := []string{site}
	for _, p := range a.Persons {
		parts = append(parts, "person "+p)
	}
	var who []string
	if a.Client.IsValid() {
		who = append(who, a.Client.String())
	}
	if a.User != "" {
		who = append(who, "user "+a.User)
	}
	if a.MAC != "" {
		who = append(who, "device "+a.MAC)
	}
	if len(who) > 0 {
		return fmt.Sprintf("%s (such as %s)", strings.Join(parts, ", "), strings.Join(who, ", "))
	}
	return strings.Join(parts, ", ")
}

// some names the first few, and counts the rest.
func some[T any](list []T, text func(*T) string) string {
	var parts []string
	for i := range list[:min(len(list), maxListed)] {
		parts = append(parts, text(&list[i]))
	}
	if more := len(list) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}
