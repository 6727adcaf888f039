package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// plan is how a row is measured.
type plan struct {
	rounds int
	slice  time.Duration
}

// warming is how long a load runs before it is measured.
const warming = 100 * time.Millisecond

// sample is what one slice shows.
type sample struct {
	cpu   float64 // seconds per unit
	rate  float64 // units per second
	dials float64 // connections per unit
}

// result is what was measured in a row.
type result struct {
	row
	lines []line
}

// line is what was measured of one entrant.
type line struct {
	label   string
	samples []sample // one a round
	failure error    // why there are no more
}

// measure runs the rounds of a row, each with every entrant in turn; in each round another one begins.
func (r row) measure(ctx context.Context, st *stage, p plan, entrants []entrant) (result, error) {
	res := result{row: r, lines: make([]line, len(entrants))}
	for round := range p.rounds {
		for i := range entrants {
			i = (i + round) % len(entrants)
			e, l := entrants[i], &res.lines[i]
			l.label = e.label
			if l.failure != nil {
				continue
			}
			s, err := r.slice(ctx, p.slice, e)
			if ctx.Err() != nil {
				return res, ctx.Err()
			}
			if l.failure = err; err == nil {
				l.samples = append(l.samples, s)
			}
		}
		if err := st.shortenLogs(); err != nil {
			return res, err
		}
	}
	return res, nil
}

// slice measures one entrant once.
func (r row) slice(ctx context.Context, length time.Duration, e entrant) (s sample, err error) {
	l, ctx := startLoad(ctx, r.work.clients, time.Now().Add(warming+length+patience), r.work.step(e.target))
	defer func() {
		if failed := l.stop(); failed != nil {
			err = failed
		}
	}()
	if err := sleep(ctx, warming); err != nil {
		return s, err
	}
	cpu, err := e.server.cpu()
	if err != nil {
		return s, err
	}
	began, done, dials := time.Now(), l.done.Load(), l.dials.Load()
	if err := sleep(ctx, length); err != nil {
		return s, err
	}
	spent, err := e.server.cpu()
	if err != nil {
		return s, err
	}
	units := float64(l.done.Load()-done) / r.work.per
	if units == 0 {
		return s, fmt.Errorf("nothing was done in %v", length)
	}
	return sample{
		cpu:   float64(spent-cpu) / 1e9 / units,
		rate:  units / time.Since(began).Seconds(),
		dials: float64(l.dials.Load()-dials) / units,
	}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// spread is a median with the quartiles around it.
type spread struct{ low, median, high float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	values = slices.Sorted(slices.Values(values))
	at := func(q float64) float64 { // between the two values beside it
		x := q * float64(len(values)-1)
		i := int(x)
		j := min(i+1, len(values)-1)
		return values[i] + (x-float64(i))*(values[j]-values[i])
	}
	return spread{at(0.25), at(0.5), at(0.75)}
}

// medianOf is the median of something in the samples of a line.
func (l line) medianOf(what func(sample) float64) float64 {
	values := make([]float64, 0, len(l.samples))
	for _, s := range l.samples {
		values = append(values, what(s))
	}
	return spreadOf(values).median
}

// ratio is something of one line over the same of another, round by round.
func (l line) ratio(other line, what func(sample) float64) spread {
	values := make([]float64, 0, len(l.samples))
	for i := range min(len(l.samples), len(other.samples)) {
		values = append(values, what(l.samples[i])/what(other.samples[i]))
	}
	return spreadOf(values)
}

func cpuOf(s sample) float64   { return s.cpu }
func rateOf(s sample) float64  { return s.rate }
func dialsOf(s sample) float64 { return s.dials }
