package timeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// The measures of a picture, in pixels. Widths of letters are those of a wide face, since no font is brought along.
const (
	pictureWidth = 1000
	margin       = 24
	plotLeft     = 240
	plotRight    = pictureWidth - margin - 12
	bandHeight   = 24
	laneHeight   = 13 // of dates below a band
	letterSmall  = 5.9
	letter       = 7.1
)

func newPicture(t *Timeline) *picture {
	p := &picture{Timeline: t, Title: "W" + strings.TrimPrefix(t.Title(), "w"), Width: pictureWidth}
	from, to := t.span()
	p.axis = axis{from, to, plotLeft, plotRight}
	var vendors []string
	for i := range t.Sites {
		for j := range t.Sites[i].Groups {
			if title := t.Sites[i].Groups[j].Title(); !contains(vendors, title) {
				vendors = append(vendors, title)
			}
		}
	}
	p.Describe = "Bands over time, one for each set of channels that are treated alike, of: " + strings.Join(vendors, "; ") + "."
	return p
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// draw puts everything in its place from the top down.
func (p *picture) draw() {
	p.text("title", margin, 40, p.Title)
	p.y = 62
	p.head()
	p.y += 34
	top := p.y
	for i := range p.Sites {
		p.site(&p.Sites[i])
	}
	bottom := p.y
	for _, t := range p.axis.ticks() {
		p.under("grid", t.x, top, t.x, bottom)
		p.Texts = append(p.Texts,
			text{Class: "tick", Anchor: "middle", Text: t.name, X: number(t.x), Y: number(top - 6)},
			text{Class: "tick", Anchor: "middle", Text: t.name, X: number(t.x), Y: number(bottom + 14)})
	}
	p.over("rule", plotLeft, top, plotRight, top)
	p.over("rule", plotLeft, bottom, plotRight, bottom)
	p.present(top, bottom)
	p.y = bottom + 42
	p.legend()
	p.notes()
	p.Height = int(p.y) + margin - 8
}

// head tells whose policy it is, and as of when.
func (p *picture) head() {
	const layout = "2006-01-02 15:04 UTC"
	var parts []string
	if len(p.Sites) == 1 {
		parts = append(parts, p.Sites[0].Title())
	}
	if !p.At.IsZero() {
		parts = append(parts, "at "+p.At.UTC().Format(layout))
	}
	if !p.KnownAt.At.IsZero() {
		parts = append(parts, "as known at "+p.KnownAt.At.UTC().Format(layout))
	}
	p.paragraph("quiet", margin, strings.Join(parts, "; "), 125, 17)
}

// paragraph writes lines of at most so many letters.
func (p *picture) paragraph(class string, x float64, s string, most int, height float64) {
	for _, l := range wrap(s, most) {
		p.text(class, x, p.y, l)
		p.y += height
	}
}

// wrap breaks text between words.
func wrap(s string, most int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(s) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) <= most:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}

// present is the line of today.
func (p *picture) present(top, bottom float64) {
	if !p.axis.holds(p.At) {
		return
	}
	x := p.axis.x(p.At)
	p.over("now", x, top-16, x, bottom)
	t := text{Class: "nowtext", Anchor: "middle", Text: "now, " + p.At.UTC().Format(time.DateOnly), X: number(x), Y: number(top - 21)}
	const half = 45
	switch {
	case x < plotLeft+half:
		t.Anchor = ""
	case x > plotRight-half:
		t.Anchor = "end"
	}
	p.Texts = append(p.Texts, t)
}

func (p *picture) site(s *Site) {
	if len(p.Sites) > 1 {
		p.y += 30
		p.paragraph("site backed", margin, s.Title(), 100, 20)
		p.y -= 14
	}
	if len(s.Groups) == 0 {
		p.y += 30
		p.text("quiet", margin, p.y, "nothing is restricted")
		p.y += 14
	}
	for i := range s.Groups {
		p.group(&s.Groups[i])
	}
}

func (p *picture) group(g *Group) {
	p.y += 34
	p.text("vendor backed", margin, p.y, g.Title())
	p.y += 18
	for i := range g.Restrictions {
		r := &g.Restrictions[i]
		title := "modelled on " + r.Title + " (" + r.ID + ")"
		if cite := r.Texts[len(r.Texts)-1].Source.Citation; cite != "" {
			title += ", " + cite
		}
		p.paragraph("quiet backed", margin, title, 125, 16)
		if g.Hypothetical {
			p.text("warning backed", margin, p.y, "NOT ENFORCED: "+r.WhyNot()+". This is what it would do by itself.")
			p.y += 16
		}
	}
	p.y -= 2
	for i := range g.Rows {
		p.row(g, &g.Rows[i])
	}
	p.texts(g)
	for i := range g.Marks {
		p.mark(g, &g.Marks[i])
	}
	p.y += 8
}

// row draws a label on the left, bands on the right, and the dates of what begins below them.
func (p *picture) row(g *Group, r *Row) {
	top := p.y
	y := top + 16
	for _, l := range wrap(r.What(), 28) {
		p.text("", margin, y, l)
		y += 15
	}
	small := func(s string) {
		for _, l := range wrap(s, 34) {
			p.text("small", margin, y-1, l)
			y += 12
		}
	}
	if r.Only != "" && len(r.Channels) > 0 {
		small("only " + r.Only)
	}
	if r.NotSeparable {
		small("no separable endpoint is known")
	}
	lanes := p.bands(g, r, top)
	p.y = max(y-4, top+bandHeight+4+float64(lanes)*laneHeight) + 9
}

// bands draws the phases of a row and returns how many lines of dates are below them.
func (p *picture) bands(g *Group, r *Row, top float64) int {
	would := g.Hypothetical || !r.Known()
	var dates lanes
	for _, s := range r.window(p.axis.from, p.axis.to) {
		x1, x2 := p.axis.left, p.axis.right
		if s.From != nil {
			x1 = p.axis.x(s.From.At)
		}
		if s.Until != nil {
			x2 = p.axis.x(s.Until.At)
		}
		class := kindOf(s.State)
		p.use(class)
		p.band(class, would, x1, x2, top, p.describe(r, &s))
		label := s.Label()
		inside := float64(len(label))*letter+10 <= x2-x1
		if inside {
			class := "label on-" + class
			if would {
				class += " wouldlabel"
			}
			p.text(class, x1+6, top+16.5, label)
		}
		if s.From == nil || s.From.At.Before(p.axis.from) {
			continue
		}
		p.boundary(s.From, x1, top)
		date := p.dated(s.From)
		if !inside {
			date += " " + label
		}
		p.date(&dates, date, x1, top+bandHeight)
	}
	p.has.would = p.has.would || would
	return len(dates)
}

// band draws one, pointed where it goes on beyond the picture.
func (p *picture) band(class string, would bool, x1, x2, top float64, title string) {
	class = "band " + class
	if would {
		class += " would"
	}
	bottom, middle := top+bandHeight, top+bandHeight/2
	d := fmt.Sprintf("M%s %sH%s", number(x1), number(top), number(x2))
	if x2 >= p.axis.right {
		d += fmt.Sprintf("L%s %s", number(x2+9), number(middle))
	}
	d += fmt.Sprintf("L%s %sH%s", number(x2), number(bottom), number(x1))
	if x1 <= p.axis.left {
		d += fmt.Sprintf("L%s %s", number(x1-9), number(middle))
	}
	p.Areas = append(p.Areas, area{class, d + "Z", title})
}

// boundary marks where a band begins: dashed, where that is assumed.
func (p *picture) boundary(in *policy.Instant, x, top float64) {
	if in.Assumed == "" {
		p.has.stated = true
		p.over("stated", x, top-2, x, top+bandHeight+2)
		return
	}
	p.has.assumed = true
	p.over("assumed", x, top-2, x, top+bandHeight+2)
}

// dated is an instant with a reference to why it is assumed.
func (p *picture) dated(in *policy.Instant) string {
	date := p.day(in)
	if in.Assumed == "" {
		return date
	}
	n := slices.Index(p.assumed, in.Assumed)
	if n < 0 {
		n = len(p.assumed)
		p.assumed = append(p.assumed, in.Assumed)
	}
	return fmt.Sprintf("%s [%d]", date, n+1)
}

// lanes are lines of short texts, by where each ends.
type lanes []float64

// place finds the first line that has room from x1 to x2.
func (l *lanes) place(x1, x2 float64) int {
	for i := range *l {
		if (*l)[i] <= x1 {
			(*l)[i] = x2
			return i
		}
	}
	*l = append(*l, x2)
	return len(*l) - 1
}

// date writes one below a band, in a line where it does not run into another.
func (p *picture) date(dates *lanes, s string, x, bottom float64) {
	width := float64(len(s)) * letterSmall
	from := min(x, p.axis.right+12-width)
	lane := float64(dates.place(from, from+width+8))
	y := bottom + 11 + lane*laneHeight
	if lane > 0 || from < x {
		p.over("lead", x, bottom+2, x, y-8)
	}
	p.text("date", from, y, s)
}

func (p *picture) describe(r *Row, s *Span) string {
	title := r.What() + ": " + s.Label()
	if s.From != nil {
		title += ", from " + p.exact(s.From)
	}
	if s.Until != nil {
		title += ", until " + p.exact(s.Until)
	}
	return title
}

func (p *picture) exact(in *policy.Instant) string { return in.At.UTC().Format(time.RFC3339Nano) }

// use notes that a kind of state is in the picture.
func (p *picture) use(name string) {
	if !slices.ContainsFunc(p.Kinds, func(k kind) bool { return k.Name == name }) {
		p.Kinds = append(p.Kinds, kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.Name == name })])
	}
}
