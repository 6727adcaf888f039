package catalog

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// Markdown writes a catalogue as GitHub's Markdown, for people to read: a table of the restrictions, the timeline of each, and
// the vendors with their endpoints. Every fact has its source, and every instant that rests on an assumption says so. Beside the page, in
// the directory pictures, ID.svg is the picture of a restriction; where that is empty, there is none.
func Markdown(w io.Writer, c *policy.Catalog, pictures string) error {
	m := &markdown{Catalog: c, pictures: pictures}
	restrictions := slices.Clone(c.Restrictions)
	slices.SortFunc(restrictions, func(a, b policy.Restriction) int { return strings.Compare(a.ID, b.ID) })
	vendors := slices.Clone(c.Vendors)
	slices.SortFunc(vendors, func(a, b policy.Vendor) int { return strings.Compare(a.ID, b.ID) })

	m.overview(restrictions)
	for i := range restrictions {
		m.restriction(&restrictions[i])
	}
	m.printf("\n## Jurisdictions\n\n")
	m.head("Tag", "Who is bound")
	for _, j := range c.Jurisdictions {
		m.row(code(j.ID), plain(j.Name))
	}
	m.printf("\n## Vendors\n")
	for i := range vendors {
		m.vendor(&vendors[i])
	}
	_, err := io.WriteString(w, m.String())
	return err
}

// markdown is a page while it is written.
type markdown struct {
	*policy.Catalog
	strings.Builder
	pictures string
}

func (m *markdown) printf(format string, args ...any) { fmt.Fprintf(&m.Builder, format, args...) }

func (m *markdown) head(cells ...string) {
	m.row(cells...)
	m.row(slices.Repeat([]string{"---"}, len(cells))...)
}

func (m *markdown) row(cells ...string) { m.printf("| %s |\n", strings.Join(cells, " | ")) }

func (m *markdown) overview(restrictions []policy.Restriction) {
	m.printf("## Restrictions\n\n")
	m.head("Restriction, first and last instant", "Bound", "Strength", "Grade", "Verified")
	for i := range restrictions {
		r := &restrictions[i]
		span := ""
		if t := effectsOf(r); len(t) > 0 {
			span = "<br>" + day(t[0].at) + " to " + day(t[len(t)-1].at)
		}
		grade := ""
		if n := len(r.Revisions); n > 0 {
			grade = r.Revisions[n-1].Source.Grade.String()
		}
		verified := "no"
		if r.Verified {
			verified = "yes"
		}
		m.row(anchor(r.ID)+"<br>"+plain(r.Title)+span, strings.Join(bound(r), ", "), r.Strength.String(), grade, verified)
	}
}

// bound lists whom any text of a restriction binds.
func bound(r *policy.Restriction) (all []string) {
	return union(r, func(rev *policy.Revision) []string { return rev.Binds })
}

// union lists what any text of a restriction names, in the order in which it is first named.
func union(r *policy.Restriction, names func(*policy.Revision) []string) (all []string) {
	for i := range r.Revisions {
		for _, n := range names(&r.Revisions[i]) {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// plain makes text that Markdown shows as it is, also in the cell of a table.
func plain(s string) string {
	return strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", `\<`, "|", `\|`,
		"\n", " ").Replace(strings.TrimSpace(s))
}

func code(s string) string { return "`" + s + "`" }

func codes(list []string) []string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = code(s)
	}
	return quoted
}

// anchor is a link to the heading of a restriction or a vendor.
func anchor(id string) string { return fmt.Sprintf("[%s](#%s)", id, strings.ToLower(id)) }

func anchors(ids []string) string {
	links := make([]string, len(ids))
	for i, id := range ids {
		links[i] = anchor(id)
	}
	return strings.Join(links, ", ")
}

func channels(set policy.ChannelSet) string {
	if set == policy.AllChannels {
		return "all"
	}
	words := make([]string, 0, len(policy.ChannelWords))
	for _, c := range set.List() {
		words = append(words, c.String())
	}
	return strings.Join(words, ", ")
}

// link is a source as people look it up.
func link(s *policy.Source) string {
	text := plain(s.Title)
	if s.URL != "" {
		text = fmt.Sprintf("[%s](<%s>)", text, s.URL)
	}
	if s.Citation != "" {
		text += ", " + plain(s.Citation)
	}
	return text
}

// founded tells how well a source founds what rests on it, and when somebody last looked.
func founded(s *policy.Source) string { return fmt.Sprintf("%s, checked %s", s.Grade, s.Checked) }

// there shows an instant in the zone that its text speaks in.
func there(at policy.Instant) string { return at.At.In(zoneOf(at)).Format(time.RFC3339Nano) }

func utc(at policy.Instant) string { return at.At.UTC().Format(time.RFC3339Nano) }

func zoneOf(at policy.Instant) *time.Location {
	if at.Zone == nil {
		return time.UTC
	}
	return at.Zone
}

// day shows an instant by its date alone, there.
func day(at policy.Instant) string { return at.At.In(zoneOf(at)).Format(time.DateOnly) }
