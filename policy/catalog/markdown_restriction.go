package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

func (m *markdown) restriction(r *policy.Restriction) {
	m.printf("\n### %s\n\n%s.\n\n", r.ID, strings.TrimSuffix(plain(r.Title), "."))
	who := bound(r)
	for i, id := range who {
		who[i] = code(id)
		if name := m.jurisdiction(id); name != "" {
			who[i] += " (" + plain(name) + ")"
		}
	}
	verified := "verified"
	if !r.Verified {
		verified = "not verified"
	}
	m.printf("- Strength: %s, %s.\n- Bound: %s.\n", r.Strength, verified, strings.Join(who, "; "))
	vendors := union(r, func(rev *policy.Revision) []string { return rev.Vendors })
	m.printf("- Vendors: %s.\n", anchors(vendors))
	if exempt := exemptOf(r); exempt != 0 {
		m.printf("- Exempt: %s.\n", channels(exempt))
	}
	for _, id := range vendors {
		if lacking := named(r) &^ m.Separable(id); lacking != 0 {
			m.printf("- No separable endpoint of %s is known for: %s.\n", anchor(id), channels(lacking))
		}
	}
	if r.Zone != nil {
		m.printf("- Zone: %s.\n", r.Zone)
	}
	if r.Note != "" {
		m.printf("\n%s\n", plain(r.Note))
	}
	if m.pictures != "" {
		m.printf("\n![What %s allows until when](%s/%s.svg)\n", r.ID, m.pictures, r.ID)
	}
	m.timeline(r)
}

func (m *markdown) jurisdiction(id string) string {
	for _, j := range m.Jurisdictions {
		if j.ID == id {
			return j.Name
		}
	}
	return ""
}

func exemptOf(r *policy.Restriction) (all policy.ChannelSet) {
	for i := range r.Revisions {
		all |= r.Revisions[i].Exempt
	}
	return all
}

// named are the channels that any phase of a restriction names.
func named(r *policy.Restriction) (all policy.ChannelSet) {
	for i := range r.Revisions {
		for _, p := range r.Revisions[i].Phases {
			all |= p.Channels
		}
	}
	return all
}

// timeline writes all that begins or ends, in order, and below it what is assumed and where it comes from.
func (m *markdown) timeline(r *policy.Restriction) {
	m.printf("\n")
	m.head("Instant", "What", "Channels", "Published", "Source")
	var cites citations
	for _, e := range timelineOf(r) {
		what := e.what
		if n := cites.assumption(e.at.Assumed); n > 0 {
			what += fmt.Sprintf(" (%s)", letter(n))
		}
		m.row(there(e.at)+"<br>"+utc(e.at), what, inLines(e.channels), e.published, strconv.Itoa(cites.source(e.source)))
	}
	if len(cites.assumed) > 0 {
		m.printf("\nAssumed:\n\n")
		for i, text := range cites.assumed {
			m.printf("- (%s) %s\n", letter(i+1), plain(text))
		}
	}
	m.conditions(r)
	m.printf("\nSources:\n\n")
	for i := range cites.sources {
		s := &cites.sources[i]
		m.printf("%d. %s; %s", i+1, link(s), founded(s))
		if s.Note != "" {
			m.printf("; %s", plain(s.Note))
		}
		m.printf("\n")
	}
}

// inLines is channels with a break after every second one, so that a table leaves room for the instants.
func inLines(set policy.ChannelSet) string {
	words := strings.SplitAfter(channels(set), ", ")
	var lines []string
	for pair := range slices.Chunk(words, 2) {
		lines = append(lines, strings.TrimSpace(strings.Join(pair, "")))
	}
	return strings.Join(lines, "<br>")
}

// conditions tells whom each licence is for.
func (m *markdown) conditions(r *policy.Restriction) {
	if len(r.Licences) == 0 {
		return
	}
	m.printf("\nLicences:\n\n")
	for i := range r.Licences {
		l := &r.Licences[i]
		m.printf("- %s", code(l.ID))
		if len(l.Vendors) > 0 {
			m.printf(", for %s", anchors(l.Vendors))
		}
		if l.Condition != "" {
			m.printf(": %s", plain(l.Condition))
		}
		m.printf("\n")
	}
}

// letter counts a to z, then aa, ab... from one.
func letter(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	n--
	last := letters[n%len(letters):][:1]
	if n < len(letters) {
		return last
	}
	return letter(n/len(letters)) + last
}

// citations numbers sources and assumptions in the order in which they are first referred to.
type citations struct {
	sources []policy.Source
	assumed []string
}

func (c *citations) source(s *policy.Source) int {
	i := slices.Index(c.sources, *s)
	if i < 0 {
		i = len(c.sources)
		c.sources = append(c.sources, *s)
	}
	return i + 1
}

// assumption returns 0 for none.
func (c *citations) assumption(text string) int {
	if text == "" {
		return 0
	}
	i := slices.Index(c.assumed, text)
	if i < 0 {
		i = len(c.assumed)
		c.assumed = append(c.assumed, text)
	}
	return i + 1
}
