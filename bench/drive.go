package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// driver is one run.
type driver struct {
	plan
	stage   *stage
	peers   []*peer
	chosen  []string // rows; empty is all
	tunnels int
	out     io.Writer
	long    *server // with very many names, once a row needs it
	short   *server
	inside  []*peer // those that take TLS apart, once a row needs them
}

func drive(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	d := driver{out: stdout}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rowList := flags.String("rows", "", "the `NAMES` of rows to measure, by comma; all if empty: "+strings.Join(rowNames(), ","))
	peerList := flags.String("peers", "", "the `NAMES` of peers, by comma; all if empty: squid,haproxy,tinyproxy,raw,goproxy,mitmproxy,direct; none for gracegate alone")
	flags.IntVar(&d.rounds, "rounds", 9, "the number of rounds")
	flags.DurationVar(&d.slice, "slice", 2*time.Second, "how long a peer is measured in a round")
	flags.IntVar(&d.tunnels, "tunnels", 9000, "the number of idle tunnels")
	binary := flags.String("gracegate", "", "the `BINARY` to measure, which run.sh builds")
	against := flags.String("against", "", "another `BINARY` of gracegate to measure beside it, as \"against\"")
	page := flags.String("out", "", "the `FILE` to write the results to, as docs/performance.md is")
	switch err := flags.Parse(args); {
	case err != nil:
		return err
	case d.rounds < 1, d.slice < 10*time.Millisecond, d.slice > time.Minute, flags.NArg() > 0:
		return errors.New("at least one round, slices of 10ms to 1m, and flags alone")
	}
	if d.chosen, err = chosen(*rowList, rowNames()); err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	wanted, err := chosen(*peerList, []string{"squid", "haproxy", "tinyproxy", "raw", "goproxy", "mitmproxy", "direct", "none"})
	if err != nil {
		return fmt.Errorf("-peers: %w", err)
	}
	if d.stage, err = newStage(ctx); err != nil {
		return err
	}
	defer d.stage.close()
	if err := d.gather(ctx, *binary, *against, wanted); err != nil {
		return err
	}
	began, load := time.Now(), loadAverage()
	measured, err := d.measureAll(ctx, wanted)
	if err != nil || *page == "" {
		return err
	}
	return writePage(*page, d.page(began, load, measured))
}

// chosen reads a list of names.
func chosen(list string, known []string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%q is none of %s", name, strings.Join(known, ", "))
		}
	}
	return names, nil
}

func (d *driver) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format, args...) }

// gather starts gracegate, the other binary, and the peers.
func (d *driver) gather(ctx context.Context, binary, against string, wanted []string) (err error) {
	for _, g := range [][2]string{{"gracegate", binary}, {"against", against}} {
		if g[1] == "" {
			continue
		}
		p, err := d.stage.startGracegate(ctx, g[0], g[1])
		if err != nil {
			return err
		}
		d.peers = append(d.peers, p)
	}
	others, err := d.stage.startPeers(ctx, wanted, d.say)
	d.peers = append(d.peers, others...)
	return err
}

// measured is all that a run has measured.
type measured struct {
	results []result
	tunnels []idleResult
	leaves  []leavesResult
}

// measureAll measures the rows one after the other, and prints each.
func (d *driver) measureAll(ctx context.Context, wanted []string) (m measured, err error) {
	asked := func(row string) bool { return len(d.chosen) == 0 || slices.Contains(d.chosen, row) }
	for _, r := range rows(d.stage.roots, d.stage.hello) {
		if !asked(r.name) {
			continue
		}
		entrants, err := d.entrants(ctx, r, wanted)
		if err != nil {
			return m, err
		}
		res, err := r.measure(ctx, d.stage, d.plan, entrants)
		if err != nil {
			return m, err
		}
		d.say("%s", res.text())
		m.results = append(m.results, res)
	}
	if asked(leavesRow) {
		if m.leaves, err = d.leaves(ctx, wanted); err != nil {
			return m, err
		}
	}
	if asked(idleRow) {
		m.tunnels, err = d.idle(ctx, wanted)
	}
	return m, err
}

// entrants are those whom a row measures.
func (d *driver) entrants(ctx context.Context, r row, wanted []string) ([]entrant, error) {
	if r.inside {
		return r.entrants(d.insiders(ctx, wanted), wanted), nil
	}
	if r.listed == nil {
		return r.entrants(d.peers, wanted), nil
	}
	if err := d.startListed(ctx); err != nil {
		return nil, err
	}
	return r.listed(d.long, d.short), nil
}

// startListed starts the two gateways of the rows about many names, if they do not run yet.
func (d *driver) startListed(ctx context.Context) (err error) {
	if d.long != nil {
		return nil
	}
	binary := d.peers[0].binary
	if d.short, err = d.stage.startListed(ctx, binary, 1); err != nil {
		return err
	}
	began := time.Now()
	d.long, err = d.stage.startListed(ctx, binary, manyNames)
	d.say("\ngracegate listens with %d names after %.1f s\n", manyNames, time.Since(began).Seconds())
	return err
}

// rowNames are the names that -rows takes.
func rowNames() []string {
	var names []string
	for _, r := range rows(nil, nil) {
		names = append(names, r.name)
	}
	return append(names, leavesRow, idleRow)
}
