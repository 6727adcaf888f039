package report

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The picture says what the figures say: bars stand where their day is, as high as their flows, and a deadline where its
// instant is.
func TestChart(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	r := build(t, p, monthOptions(), sum(month(p, 60, 3)))
	c := r.Chart()
	top := c.Grid[len(c.Grid)-1]
	most := number(t, strings.ReplaceAll(top.Value, ",", ""))
	scale := (c.Base - top.Y) / most
	for i, bar := range c.Bars {
		b, y := &r.Trend.Bins[i], c.Base
		if left := number(t, bar.X); left < float64(i)*100/30 || left+number(t, bar.Width) > float64(i+1)*100/30 {
			t.Errorf("bar %d begins at %s", i, bar.X)
		}
		for _, part := range bar.Parts {
			n := map[string]int64{"blocked": b.Blocked, "grace": b.Grace, "waived": b.Waived, "monitored": b.Monitored}[part.Class]
			height := number(t, part.Height)
			if want := max(float64(n)*scale, 1); math.Abs(height-want) > 0.02 || math.Abs(y-height-number(t, part.Y)) > 0.05 {
				t.Errorf("bar %d, %s: %+v, want %.2f high on %.2f", i, part.Class, part, want, y)
			}
			y -= height
		}
	}
	if len(c.Marks) != 3 || c.Marks[1].Name != "B" {
		t.Fatalf("%+v", c.Marks)
	}
	if want := (14 + 4.0/24) * 100 / 30; math.Abs(number(t, c.Marks[1].X)-want) > 0.01 {
		t.Errorf("the deadline is at %s, want %.3f%%", c.Marks[1].X, want)
	}
}

// Deadlines of one instant have one line, which names them all.
func TestMarksOfOneInstant(t *testing.T) {
	t.Parallel()
	first, second := Instant{At: monthSince.Add(time.Hour)}, Instant{At: monthUntil.Add(-time.Hour)}
	r := &Report{Trend: Trend{Days: 30, Bins: []Bin{{From: monthSince, Until: monthUntil}}, Deadlines: []Deadline{
		{Instant: first, Vendor: "acme"}, {Instant: first, Vendor: "bear"}, {Instant: second, Vendor: "acme"},
	}}}
	marks := r.Chart().Marks
	if len(marks) != 2 || strings.Count(marks[0].Line, "\n") != 1 || marks[0].Anchor != "start" || marks[1].Anchor != "end" {
		t.Errorf("%+v", marks)
	}
	if names := r.Trend.Name(0) + r.Trend.Name(1) + r.Trend.Name(2); names != "AAB" {
		t.Error(names)
	}
	if letter(25)+letter(26)+letter(53) != "ZA1B2" {
		t.Error(letter(25), letter(26), letter(53))
	}
}

func TestTrendOf(t *testing.T) {
	t.Parallel()
	for want, list := range map[string][][2]int64{
		"new": {{0, 1}, {0, 0}}, "stopped": {{1, 0}}, "rising": {{4, 6}, {1, 2}}, "steady": {{4, 5}, {5, 4}, {7, 7}}, "falling": {{10, 7}, {3, 2}},
	} {
		for _, halves := range list {
			if got := trendOf(halves); got != want {
				t.Errorf("%v is %s, want %s", halves, got, want)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 bytes", 1: "1 byte", 1023: "1,023 bytes", 1024: "1.0 KiB", 5 << 20: "5.0 MiB", math.MaxInt64: "8.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 20: "20", 5000: "5,000", 10_000: "10 k", 500_000: "500 k", 2_500_000: "2.5 M", 1_000_000: "1 M", 20_000_000_000: "20 G"} {
		if got := rounded(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
