package timeline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

// texts marks when the texts of a group's restrictions were published.
func (p *picture) texts(g *Group) {
	var dates lanes
	top := p.y
	for i := range g.Restrictions {
		r := &g.Restrictions[i]
		for j := range r.Texts {
			in := &r.Texts[j].Published
			if !p.axis.holds(in.At) {
				continue
			}
			label := p.dated(in)
			if len(g.Restrictions) > 1 {
				label += " " + r.ID
			}
			x := p.axis.x(in.At)
			from, _ := p.room(label, x-5, x+5)
			y := top + float64(dates.place(min(from, x-5), max(from+float64(len(label))*letterSmall, x+5)+6))*laneHeight
			p.publication(x, y+1, r.Texts[j].Source.Title)
			p.text("date", from, y+9, label)
		}
	}
	if len(dates) > 0 {
		p.text("small", margin, top+9, "text published")
		p.y = top + float64(len(dates))*laneHeight + 6
	}
}

// room finds where a label may begin on the right of a mark from x1 to x2, or on its left. If there is room for neither, it is where it may
// begin under the mark.
func (p *picture) room(label string, x1, x2 float64) (from float64, beside bool) {
	width := float64(len(label)) * letterSmall
	left, right, most := x1-6-width, x2+4, p.axis.right+12-width
	switch {
	case right <= most:
		return right, true
	case left >= p.axis.left+2:
		return left, true
	}
	return max(min(x1, most), p.axis.left+2), false
}

// publication is a triangle that points down at an instant.
func (p *picture) publication(x, y float64, title string) {
	p.has.published = true
	p.Areas = append(p.Areas, area{"published", fmt.Sprintf("M%s %sh9l-4.5 8z", number(x-4.5), number(y)), title})
}

// mark draws a stay, a licence or a floor in a line of its own.
func (p *picture) mark(g *Group, m *Mark) {
	until, label := p.axis.to, m.ID
	if end, word := m.end(g); end != nil {
		until, label = end.At, label+word+p.dated(end)
	}
	if m.Kind == "lift" || until.Before(p.axis.from) || m.From.At.After(p.axis.to) || m.Kind == "floor" && !p.axis.holds(m.From.At) {
		return
	}
	top := p.y
	p.text("small", margin, top+9, m.Kind+of(m))
	x1, x2 := p.axis.x(m.From.At), p.axis.x(until)
	if m.Kind == "floor" {
		x2 = x1 + 7
		p.flag(x1, top, 11, m.title())
		label = "at least until " + p.dated(&m.From)
	} else {
		p.bar(m, x1, x2, top)
	}
	if m.Published != nil && p.axis.holds(m.Published.At) {
		x := p.axis.x(m.Published.At)
		p.publication(x, top+1, "published "+p.exact(m.Published))
		x1, x2 = min(x1, x-5), max(x2, x+5)
	}
	from, beside := p.room(label, x1, x2)
	if !beside {
		p.y += laneHeight
	}
	p.text("date", from, p.y+9, label)
	p.y += 15
}

// end is when a mark ends, by itself or since it is lifted.
func (m *Mark) end(g *Group) (end *policy.Instant, word string) {
	end, word = m.Until, " until "
	for i := range g.Marks {
		l := &g.Marks[i]
		if m.Kind == "stay" && l.Kind == "lift" && l.ID == m.ID && l.Restriction == m.Restriction && (end == nil || l.From.At.Before(end.At)) {
			end, word = &l.From, " until lifted "
		}
	}
	return end, word
}

func (p *picture) flag(x, y, height float64, title string) {
	p.has.floor = true
	p.Areas = append(p.Areas, area{"floor", fmt.Sprintf("M%s %sv%sM%s %sh7l-2 3 2 3h-7", number(x), number(y), number(height), number(x), number(y)), title})
}

// bar is how long a stay or licence lasts.
func (p *picture) bar(m *Mark, x1, x2, top float64) {
	class := map[string]string{"stay": "stayed", "licence": "licensed"}[m.Kind]
	p.use(class)
	p.Areas = append(p.Areas, area{
		"bar " + class, fmt.Sprintf("M%s %sH%sV%sH%sZ", number(x1), number(top+1), number(x2), number(top+10), number(x1)), m.title(),
	})
}

// of tells which channels a mark is about, where that is not all.
func of(m *Mark) string {
	if m.Channels == policy.AllChannels || m.Channels == 0 {
		return ""
	}
	words := make([]string, 0, 4)
	for _, c := range m.Channels.List() {
		words = append(words, c.String())
	}
	if len(words) > 3 {
		words = append(words[:2], fmt.Sprintf("%d more", len(words)-2))
	}
	return ": " + strings.Join(words, ", ")
}

func (m *Mark) title() string {
	s := strings.TrimSpace(m.Kind + " " + m.ID)
	if m.Condition != "" {
		s += ", only " + m.Condition
	}
	if m.Source != nil {
		s += "; " + m.Source.Title
	}
	return s
}

// legend tells what the states and marks that occur look like, and mean.
func (p *picture) legend() {
	slices.SortFunc(p.Kinds, func(a, b kind) int { return rank(a.Name) - rank(b.Name) })
	var e entries
	for _, k := range p.Kinds {
		x, y := e.next(p)
		p.Areas = append(p.Areas, area{"band " + k.Name, fmt.Sprintf("M%s %sh26v14h-26z", number(x), number(y)), ""})
		p.Texts = append(p.Texts, text{Text: k.Name, More: k.Means, X: number(x + 34), Y: number(y + 11)})
	}
	entry := func(occurs bool, means string, draw func(x, y float64)) {
		if occurs {
			x, y := e.next(p)
			draw(x, y)
			p.text("small", x+34, y+11, means)
		}
	}
	entry(p.has.stated, "begins here, by its text", func(x, y float64) { p.over("stated", x+13, y, x+13, y+14) })
	entry(p.has.assumed, "begins here; hour or zone are assumed", func(x, y float64) { p.over("assumed", x+13, y, x+13, y+14) })
	entry(p.has.published, "published", func(x, y float64) { p.publication(x+13, y+4, "") })
	entry(p.has.floor, "floor: allowed at least until here", func(x, y float64) { p.flag(x+10, y, 13, "") })
	entry(p.has.would, "would hold: not enforced, or no endpoint is known", func(x, y float64) {
		p.Areas = append(p.Areas, area{"band would blank", fmt.Sprintf("M%s %sh26v14h-26z", number(x), number(y)), ""})
	})
	p.y += float64(e.rows()) * 21
}

func rank(name string) int {
	return slices.IndexFunc(kinds, func(k kind) bool { return k.Name == name })
}

// entries count those of the legend, which stand in two columns.
type entries int

func (e *entries) next(p *picture) (x, y float64) {
	n := *e
	*e++
	return margin + float64(n%2)*480, p.y + float64(n/2)*21
}

func (e *entries) rows() int { return (int(*e) + 1) / 2 }

// notes tell what is assumed, and how dates are meant.
func (p *picture) notes() {
	p.y += 18
	revision := ""
	if p.Revision != "" {
		revision = " Policy revision " + p.Revision + "."
	}
	for i, why := range p.assumed {
		p.paragraph("small", margin, fmt.Sprintf("[%d] assumed: %s", i+1, why), 165, 14)
	}
	p.paragraph("small", margin, "Dates are by the calendar of the zone of their text ("+strings.Join(p.zones, ", ")+
		"). What begins on a date begins at 00:00 there, unless an hour is shown. The scale is in UTC.", 165, 14)
	p.paragraph("small", margin, "This shows what a network's policy does; it is no statement about the law."+revision, 165, 14)
}
