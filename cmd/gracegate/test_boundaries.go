package main

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/instant"
)

// writeBoundaries writes the scenario file of every instant of the configured policy.
func writeBoundaries(cfg *config.Config, output string, stdout io.Writer) error {
	l := law{cfg: cfg}
	p, err := l.build(nil)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		b := bufio.NewWriter(w)
		if err := boundaries(b, p); err != nil {
			return err
		}
		return b.Flush()
	}
	if output == "-" {
		return failed(write(stdout), "")
	}
	return writeWhole(output, write)
}

// step is how far before and after an instant a case asks.
const step = time.Second

// boundaries writes a case just before, at and just after every instant that concerns a flow, for every kind of client and
// destination that the policy can tell apart; and the same as known when each text was published, and just before.
func boundaries(w io.Writer, p *policy.Policy) error {
	_, _ = fmt.Fprintf(w, "# What the policy says at each of its instants, and a second before and after it. Written by: gracegate test --boundaries\ncases:\n")
	b := &boundaryWriter{out: w, askers: p.Askers(), destinations: p.Destinations()}
	b.horizon(p, "", nil)
	for _, at := range p.Publications() {
		before, err := p.WithHorizon(policy.Horizon{At: at.Add(-step)})
		if err != nil {
			return err
		}
		known, err := p.WithHorizon(policy.Horizon{At: at})
		if err != nil {
			return err
		}
		b.horizon(before, instant.Format(at.Add(-step)), known)
		b.horizon(known, instant.Format(at), before)
	}
	if b.cases == 0 && b.err == nil {
		return invalid(fmt.Errorf("the policy has no instants: nothing in it begins or ends"), "restrictions that are off have none")
	}
	return b.err
}

type boundaryWriter struct {
	out          io.Writer
	askers       []policy.Asker
	destinations []policy.Destination
	cases        int
	err          error
}

// horizon writes the cases as known at one instant; with another policy those flows alone of which the two say different things.
func (b *boundaryWriter) horizon(p *policy.Policy, knownAt string, other *policy.Policy) {
	for d := range b.destinations {
		for a := range b.askers {
			f := b.destinations[d].Facts(&b.askers[a])
			times := p.Boundaries(&f)
			if other != nil { // at the instants of both: what is not published yet must have no effect at its own
				times = slices.Concat(times, other.Boundaries(&f))
				slices.SortFunc(times, time.Time.Compare)
				if times = slices.Compact(times); !weighedOtherwise(p, other, &f, times) {
					continue
				}
			}
			b.flow(p, knownAt, &b.destinations[d], &b.askers[a], times)
		}
	}
}

func weighedOtherwise(p, other *policy.Policy, f *policy.Facts, times []time.Time) bool {
	for _, at := range times {
		if strings.Join(weighed(p.Reasons(at, f)), "\n") != strings.Join(weighed(other.Reasons(at, f)), "\n") {
			return true
		}
	}
	return false
}

// flow writes the cases of one flow.
func (b *boundaryWriter) flow(p *policy.Policy, knownAt string, d *policy.Destination, a *policy.Asker, times []time.Time) {
	f := d.Facts(a)
	for _, at := range times {
		for _, t := range []time.Time{at.Add(-step), at, at.Add(step)} {
			b.write(p, knownAt, d, a, &f, t)
		}
	}
}

func (b *boundaryWriter) write(p *policy.Policy, knownAt string, d *policy.Destination, a *policy.Asker, f *policy.Facts, at time.Time) {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+": "+value)
		}
	}
	add("at", instant.Format(at))
	add("as-known-at", knownAt)
	if a.Client.IsValid() {
		add("client", quoted(a.Client.String()))
	}
	if a.User != "" {
		add("user", quoted(a.User))
	}
	if a.MAC != "" {
		add("mac", quoted(a.MAC))
	}
	port := d.Port
	switch {
	case d.Path == "":
		if port == 443 {
			port = 0
		}
		add("host", quoted(host.Join(d.Host, port)))
	case d.Port == 80:
		add("url", quoted("http://"+host.Join(d.Host, 0)+escapedPath(d.Path)))
	default:
		if port == 443 {
			port = 0
		}
		add("url", quoted("https://"+host.Join(d.Host, port)+escapedPath(d.Path)))
		add("intercepted", "true")
	}
	e := p.Explain(at, f)
	var reasons []string
	for _, line := range weighed(e.Reasons) {
		reasons = append(reasons, quoted(line))
	}
	_, err := fmt.Fprintf(b.out, "  - {%s,\n     expect: {verdict: %s, state: %s, reasons: [%s]}}\n",
		strings.Join(parts, ", "), e.Verdict, e.State, strings.Join(reasons, ",\n       "))
	if b.cases++; err != nil && b.err == nil {
		b.err = err
	}
}

// quoted writes a text as YAML that every reader takes for one.
func quoted(s string) string { return strconv.Quote(s) }

// escapedPath writes a path as a URL has it.
func escapedPath(path string) string { return (&url.URL{Path: path}).EscapedPath() }
