package timeline

import (
	_ "embed"
	"html/template"
	"io"
	"strconv"
	"time"

	"github.com/gracegate/gracegate/policy"
)

//go:embed picture.svg
var pictureText string

var pictureTemplate = template.Must(template.New("picture").Parse(pictureText))

// WriteSVG draws the timeline as a picture that stands alone: it fetches nothing, runs nothing, is light or dark as its reader wants
// it, and can be told apart without colours. The same timeline gives the same bytes.
func (t *Timeline) WriteSVG(w io.Writer) error {
	p := newPicture(t)
	p.draw()
	return pictureTemplate.Execute(w, p)
}

// picture is the drawing, in pixels from the upper left corner: lines under the areas, areas, lines over them, and texts.
type picture struct {
	*Timeline
	Title       string
	Describe    string
	Width       int
	Height      int
	Kinds       []kind // of states that occur
	Under, Over []line
	Areas       []area
	Texts       []text

	axis    axis
	y       float64 // where the next thing goes
	assumed []string
	zones   []string // in which dates are told
	has     struct{ would, stated, assumed, published, floor bool }
}

type line struct {
	Class          string
	X1, Y1, X2, Y2 number
}

type area struct{ Class, D, Title string }

// text begins at its place, or has it in its middle or at its end, as Anchor says. More is written small after it.
type text struct {
	Class, Anchor, Text, More string
	X, Y                      number
}

// number is printed with at most one decimal, so that pictures do not differ by rounding.
type number float64

func (n number) String() string { return strconv.FormatFloat(float64(int64(n*10+0.5))/10, 'f', -1, 64) }

// kind is how the states of a name are drawn: in a colour, with lines or dots that tell it apart without.
type kind struct{ Name, Colour, Lines, Dot, Means string }

// kinds are in the order of the legend.
var kinds = []kind{
	{"blocked", "blocked", "", "", "refused"},
	{"rule-blocked", "blocked", "M-2 2L2-2M0 8L8 0M6 10L10 6", "", "refused by the operator's rule"},
	{"warn", "warn", "M-2 2L2-2M0 8L8 0M6 10L10 6", "", "allowed, and soon refused"},
	{"grace", "grace", "", "", "allowed until a date"},
	{"notice", "notice", "M4 0V8", "", "announced, allowed"},
	{"after-floor", "after", "M2 0V8M6 0V8", "", "what comes after \"at least until\" is not known"},
	{"stayed", "stayed", "M0 4H8", "", "enforcement is suspended"},
	{"licensed", "licensed", "M0 4H8M4 0V8", "", "a licence permits it"},
	{"waived", "waived", "M0 2H8M0 6H8", "", "the operator's waiver"},
	{"monitored", "monitored", "M-2 6L2 10M0 0L8 8M6-2L10 2", "", "would be refused, were it enforced"},
	{"advice", "advice", "", "0.8", "advised against, allowed"},
	{"inseparable", "inseparable", "", "1.3", "cannot be told from corporate pages by name"},
	{"unseen", "unseen", "M-2 6L2 10M0 0L8 8M6-2L10 2M-2 2L2-2M0 8L8 0M6 10L10 6", "", "only the request could tell"},
	{"exempt", "exempt", "", "0.8", "exempt, allowed"},
	{"open", "open", "", "", "nothing is said against it"},
	{"out-of-scope", "neutral", "", "", "nobody here is bound"},
	{"never-block", "neutral", "", "", "never refused"},
	{"unmatched", "neutral", "", "", "in no catalogue"},
}

func kindOf(s policy.State) string {
	for i := range kinds {
		if kinds[i].Name == s.String() {
			return kinds[i].Name
		}
	}
	return "unseen" // clock, record and guards are no part of a policy over time
}

func (p *picture) text(class string, x, y float64, s string) {
	p.Texts = append(p.Texts, text{Class: class, X: number(x), Y: number(y), Text: s})
}

func (p *picture) under(class string, x1, y1, x2, y2 float64) {
	p.Under = append(p.Under, line{class, number(x1), number(y1), number(x2), number(y2)})
}

func (p *picture) over(class string, x1, y1, x2, y2 float64) {
	p.Over = append(p.Over, line{class, number(x1), number(y1), number(x2), number(y2)})
}

// day is an instant as the calendar of its text has it: its date, and the hour if that is not the first.
func (p *picture) day(in *policy.Instant) string {
	zone := time.UTC
	if in.Zone != nil {
		zone = in.Zone
	}
	at := in.At.In(zone)
	if name := zone.String(); !contains(p.zones, name) {
		p.zones = append(p.zones, name)
	}
	switch {
	case at.Nanosecond() != 0 || at.Second() != 0:
		return at.Format("2006-01-02 15:04:05")
	case at.Hour() != 0 || at.Minute() != 0:
		return at.Format("2006-01-02 15:04")
	}
	return at.Format(time.DateOnly)
}
