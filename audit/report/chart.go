package report

import (
	"fmt"
	"strings"
	"time"
)

// chart is the trend as a picture: stacked bars over time, with a line for each deadline. Places across are in percent of the
// width and those down in pixels, so that it fits any page and its text keeps its size.
type chart struct {
	Height, Base float64 // of the whole, and where the bars stand
	Bars         []bar
	Grid         []gridLine
	Labels       []label
	Marks        []mark
	Describe     string
}

type bar struct {
	X, Width string
	Parts    []part
	Title    string
}

type part struct {
	Class     string
	Y, Height string
}

type gridLine struct {
	Y     float64
	Value string
}

type label struct {
	X, Anchor, Text string
	Minor           bool // left out where there is little room
}

type mark struct {
	X, Name string
	Y       float64 // of its name
	Anchor  string
	Line    string
}

const (
	chartTop  = 44.0 // room for the names of deadlines
	chartBase = 244.0
)

// Chart draws the trend.
func (r *Report) Chart() *chart {
	bins := r.Trend.Bins
	c := &chart{Height: chartBase + 24, Base: chartBase}
	most := int64(1)
	for i := range bins {
		most = max(most, bins[i].Sum())
	}
	step := niceStep(most)
	top := (most + step - 1) / step * step
	scale := (chartBase - chartTop) / float64(top)
	for v := int64(0); v <= top; v += step {
		c.Grid = append(c.Grid, gridLine{chartBase - float64(v)*scale, rounded(v)})
	}
	for i := range bins {
		c.Bars = append(c.Bars, newBar(&bins[i], i, len(bins), scale))
	}
	c.Labels = r.Trend.labels()
	for i := range r.Trend.Deadlines {
		if d := &r.Trend.Deadlines[i]; i > 0 && d.Instant.At.Equal(r.Trend.Deadlines[i-1].Instant.At) {
			c.Marks[len(c.Marks)-1].Line += "\n" + d.Line()
		} else {
			c.Marks = append(c.Marks, r.Trend.mark(d, len(c.Marks)))
		}
	}
	c.Describe = fmt.Sprintf("Attempts by time: blocked %s, passed in grace %s, waived %s, monitored %s. The table below has the figures.",
		count(r.Summary.Blocked), count(r.Summary.Grace), count(r.Summary.Waived), count(r.Summary.Monitored))
	return c
}

func newBar(b *Bin, i, n int, scale float64) bar {
	const gap = 0.16 // of the room for a bar
	room := 100 / float64(n)
	t := bar{X: percent((float64(i) + gap/2) * room), Width: percent((1 - gap) * room)}
	y := chartBase
	for _, p := range []struct {
		class string
		n     int64
	}{{"blocked", b.Blocked}, {"grace", b.Grace}, {"waived", b.Waived}, {"monitored", b.Monitored}} {
		if p.n == 0 {
			continue
		}
		height := max(float64(p.n)*scale, 1) // what there was is seen
		y -= height
		t.Parts = append(t.Parts, part{p.class, pixels(y), pixels(height)})
	}
	t.Title = fmt.Sprintf("%s: blocked %s, passed in grace %s, waived %s, monitored %s", b.Label(), count(b.Blocked), count(b.Grace), count(b.Waived), count(b.Monitored))
	return t
}

// niceStep is a round number of which at most five reach the top.
func niceStep(most int64) int64 {
	for power := int64(1); ; power *= 10 {
		for _, m := range []int64{1, 2, 5} {
			if step := m * power; step*5 >= most {
				return step
			}
		}
	}
}

// rounded shows a round number in the little room beside a chart.
func rounded(n int64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, " G"}, {1e6, " M"}, {1e3, " k"}} {
		if v := float64(n) / unit.size; n >= 10_000 && v >= 1 {
			return trimmed(fmt.Sprintf("%.1f", v)) + unit.name
		}
	}
	return count(n)
}

// Label is the day that a bin begins on.
func (b *Bin) Label() string {
	if b.Until.Sub(b.From) <= day {
		return date(b.From)
	}
	return date(b.From) + " to " + date(b.Until.Add(-1))
}

// labels names some bins by their days: about seven, of which every second can be left out.
func (t *Trend) labels() []label {
	n := len(t.Bins)
	each := (n + 6) / 7
	var list []label
	for i := 0; i < n; i += each {
		at := t.Bins[i].From
		l := label{X: percent((float64(i) + 0.5) * 100 / float64(n)), Anchor: "middle", Text: at.Format("2 Jan"), Minor: i/each%2 == 1}
		if i == 0 {
			l.X, l.Anchor, l.Text = "0%", "start", at.Format("2 Jan 2006")
			if n == 1 {
				l.X, l.Anchor = "50%", "middle"
			}
		}
		if i > 0 && n-i < (each+1)/2 { // it would run over the edge
			break
		}
		list = append(list, l)
	}
	return list
}

// place is where an instant is, from 0 to 1.
func (t *Trend) place(at time.Time) float64 {
	for i := range t.Bins {
		b := &t.Bins[i]
		if at.Before(b.Until) {
			inside := float64(at.Sub(b.From)) / float64(b.Until.Sub(b.From))
			return (float64(i) + min(max(inside, 0), 1)) / float64(len(t.Bins))
		}
	}
	return 1
}

// mark is the line of the n-th instant that has deadlines. Names that are close to each other stand on different heights.
func (t *Trend) mark(d *Deadline, n int) mark {
	at := t.place(d.Instant.At)
	m := mark{X: percent(at * 100), Name: letter(n), Anchor: "middle", Y: 12 + float64(n%3)*13, Line: d.Line()}
	if at < 0.02 {
		m.Anchor = "start"
	} else if at > 0.98 {
		m.Anchor = "end"
	}
	return m
}

// Name is what the i-th deadline is called in the chart: those of one instant are called the same.
func (t *Trend) Name(i int) string {
	n := 0
	for k := 1; k <= i; k++ {
		if !t.Deadlines[k].Instant.At.Equal(t.Deadlines[k-1].Instant.At) {
			n++
		}
	}
	return letter(n)
}

// letter counts from A to Z, then A1 and so on.
func letter(n int) string {
	name := string(rune('A' + n%26))
	if n >= 26 {
		name += fmt.Sprint(n / 26)
	}
	return name
}

func percent(v float64) string { return trimmed(fmt.Sprintf("%.3f", v)) + "%" }

func pixels(v float64) string { return trimmed(fmt.Sprintf("%.2f", v)) }

func trimmed(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }

const (
	sparkWidth  = 124
	sparkHeight = 26
)

// Spark is the path of a small chart of the attempts by bin: its place is [sparkWidth] by [sparkHeight].
func (a *Attempt) Spark() string {
	most := int64(1)
	for _, n := range a.Bins {
		most = max(most, n)
	}
	var b strings.Builder
	room := float64(sparkWidth) / float64(len(a.Bins))
	thick := max(room*0.8, 0.6)
	for i, n := range a.Bins {
		if n > 0 {
			height := max(float64(n)*sparkHeight/float64(most), 1)
			fmt.Fprintf(&b, "M%s %dv-%sh%sv%sz", pixels(float64(i)*room), sparkHeight, pixels(height), pixels(thick), pixels(height))
		}
	}
	return b.String()
}
