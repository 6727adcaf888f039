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

// patienceWithNames is how long a share of names may take the slowest.
const patienceWithNames = 5 * time.Minute

// warming is how long a load runs before it is measured.
const warming = 100 * time.Millisecond

// sample is what one slice shows.
type sample struct {
	cpu     float64 // seconds per unit
	rate    float64 // units per second
	dials   float64 // connections per unit
	resumed float64 // handshakes per unit
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
			if l.label = e.label; round == 0 {
				l.failure = e.failure
			}
			if l.failure != nil {
				continue
			}
			measure := r.slice
			if r.work.names > 0 {
				e.target.from, e.target.till = r.work.names*round/p.rounds, r.work.names*(round+1)/p.rounds
				measure = r.share
			}
			s, err := measure(ctx, p.slice, e)
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
	before, err := read(l, e.server)
	if err != nil {
		return s, err
	}
	if err := sleep(ctx, length); err != nil {
		return s, err
	}
	behind, err := read(l, e.server)
	if err != nil {
		return s, err
	}
	return r.sample(before, behind)
}

// share measures one entrant with its share of the names, however long that takes.
func (r row) share(ctx context.Context, _ time.Duration, e entrant) (s sample, err error) {
	before, err := read(new(load), e.server)
	if err != nil {
		return s, err
	}
	l, ctx := startLoad(ctx, r.work.clients, time.Now().Add(patienceWithNames), r.work.step(e.target))
	if err := l.finish(ctx); err != nil {
		return s, err
	}
	behind, err := read(l, e.server)
	if err != nil {
		return s, err
	}
	return r.sample(before, behind)
}

// reading is what a load has done, and what its server has taken, at a time.
type reading struct {
	at                        time.Time
	cpu, done, dials, resumed int64
}

func read(l *load, s *server) (reading, error) {
	cpu, err := s.cpu()
	return reading{time.Now(), cpu, l.done.Load(), l.dials.Load(), l.resumed.Load()}, err
}

// sample is what lies between two readings.
func (r row) sample(before, behind reading) (sample, error) {
	units := float64(behind.done-before.done) / r.work.per
	if units == 0 {
		return sample{}, fmt.Errorf("nothing was done in %v", behind.at.Sub(before.at))
	}
	return sample{
		cpu:     float64(behind.cpu-before.cpu) / 1e9 / units,
		rate:    units / behind.at.Sub(before.at).Seconds(),
		dials:   float64(behind.dials-before.dials) / units,
		resumed: float64(behind.resumed-before.resumed) / units,
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

func cpuOf(s sample) float64     { return s.cpu }
func rateOf(s sample) float64    { return s.rate }
func dialsOf(s sample) float64   { return s.dials }
func resumedOf(s sample) float64 { return s.resumed }
