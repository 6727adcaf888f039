package report

import (
	"slices"
	"time"
)

// maxBins is how many bars a chart can have that can be told apart.
const maxBins = 124

const day = 24 * time.Hour

// newBins divides a period into days of UTC, or into as many days together as leave at most maxBins. The first and the last
// are cut to the period.
func newBins(since, until time.Time) ([]Bin, time.Duration) {
	start := since.Truncate(day)
	days := int((until.Sub(start) + day - 1) / day)
	width := time.Duration((days+maxBins-1)/maxBins) * day
	if width > day { // whole weeks compare better
		width = (width + 7*day - 1) / (7 * day) * (7 * day)
	}
	var bins []Bin
	for from := start; from.Before(until); from = from.Add(width) {
		bins = append(bins, Bin{From: later(from, since), Until: earlier(from.Add(width), until)})
	}
	return bins, width
}

// bin is the index of the bin that an hour of the period is in.
func (g *gatherer) bin(hour time.Time) int {
	return int(hour.Sub(g.since.Truncate(day)) / g.width)
}

// Busy are the bins in which any of the flows were seen.
func (t *Trend) Busy() []Bin {
	return slices.DeleteFunc(slices.Clone(t.Bins), func(b Bin) bool { return b.Sum() == 0 })
}

// Quiet says how many bins are none of these; empty: all are.
func (t *Trend) Quiet() string {
	n := int64(len(t.Bins) - len(t.Busy()))
	switch {
	case n == 0:
		return ""
	case t.Days == 1:
		return plural(n, "day without any is", "days without any are") + " left out."
	}
	return plural(n, "bar without any is", "bars without any are") + " left out."
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// trendOf says how attempts went from the first half of the period to the second.
func trendOf(halves [2]int64) string {
	switch first, second := halves[0], halves[1]; {
	case first == 0:
		return "new"
	case second == 0:
		return "stopped"
	case second*4 > first*5:
		return "rising"
	case second*5 < first*4:
		return "falling"
	}
	return "steady"
}
