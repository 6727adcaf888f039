package main

import (
	"context"
	"fmt"
	"time"
)

// leavesRow is the name of the row about the memory that leaves take.
const leavesRow = "intercept-memory"

// leafWarmth is how many connections to the warm name a peer has had before memory is looked at: by then its garbage is what it will be.
const leafWarmth = 3000

// leavesMost is how much gracegate may take for all names, in MiB.
const leavesMost = 60

// leavesResult is what a peer's memory is, in bytes: when it has done nothing, when it has done much with one name, and with all names.
type leavesResult struct {
	label            string
	fresh, warm, all float64
	failure          error
}

// each is what a name takes.
func (r leavesResult) each() float64 { return (r.all - r.warm) / leafNames }

const leavesTitle = "memory for the leaves of 10,000 names"

// leaves measures each peer that keeps leaves without a bound that is below the number of names, in a process of its own.
func (d *driver) leaves(ctx context.Context, wanted []string) ([]leavesResult, error) {
	var all []leavesResult
	for _, p := range d.insiders(ctx, wanted) {
		if !p.leaves {
			continue
		}
		r := d.leavesOf(ctx, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		all = append(all, r)
		if err := d.stage.shortenLogs(); err != nil {
			return nil, err
		}
	}
	d.say("\n%s: %s\n%s  %s\n", leavesRow, leavesTitle, leavesTable(all).text(), judgeLeaves(all))
	return all, nil
}

func (d *driver) leavesOf(ctx context.Context, p *peer) leavesResult {
	r := leavesResult{label: p.name, failure: p.failure}
	if p.failure != nil {
		return r
	}
	s, err := d.stage.launch(ctx, p)
	if err != nil {
		r.failure = err
		return r
	}
	defer s.stop()
	for _, phase := range []struct {
		resident   *float64
		from, till int
	}{{&r.fresh, 0, 0}, {&r.warm, -leafWarmth, 0}, {&r.all, 0, leafNames}} {
		t := target{proxy: s.address, roots: p.roots, from: phase.from, till: phase.till}
		w := eachInside(16, 1<<10)
		l, loading := startLoad(ctx, w.clients, time.Now().Add(patienceWithNames), w.step(t))
		if r.failure = l.finish(loading); r.failure != nil {
			return r
		}
		now, err := weigh(ctx, s, 1)
		if err != nil {
			r.failure = err
			return r
		}
		*phase.resident = now.resident
	}
	return r
}

// leavesTable shows what leaves take.
func leavesTable(results []leavesResult) *table {
	t := &table{head: []string{"", "RSS at first", "with 1 name", "with 10,000 names", "more for all", "for each"}}
	for _, r := range results {
		cells := []string{r.label}
		if r.failure != nil {
			cells = append(cells, failed(r.failure))
		} else {
			for _, bytes := range []float64{r.fresh, r.warm, r.all, r.all - r.warm} {
				cells = append(cells, fmt.Sprintf("%.1f MiB", bytes/(1<<20)))
			}
			cells = append(cells, fmt.Sprintf("%.1f KiB", r.each()/1024))
		}
		t.add(cells...)
	}
	return t
}

// judgeLeaves tells whether the first result takes little enough for all names.
func judgeLeaves(results []leavesResult) string {
	told := fmt.Sprintf("%d MiB", leavesMost)
	if len(results) == 0 || results[0].failure != nil {
		return told + ": not measured"
	}
	more := (results[0].all - results[0].warm) / (1 << 20)
	return fmt.Sprintf("%s: %.1f MiB, %s", told, more, yes(more <= leavesMost))
}
