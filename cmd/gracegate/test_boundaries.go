package main

import (
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
	"github.com/gracegate/gracegate/policy/source"
)

// writeBoundaries writes the scenario file of every instant of the configured policy.
func writeBoundaries(cfg *config.Config, to output, stdout io.Writer) error {
	p, err := loadPolicy(cfg)
	if err != nil {
		return err
	}
	return to.write(stdout, func(w io.Writer) error { return boundaries(w, p) })
}

// step is how far before and after an instant a case asks.
const step = time.Second

// boundaries writes a case just before, at and just after every instant that concerns a flow, for every destination that the policy
// can tell apart, and a client for each way in which it treats clients there; and the same as known when each text was published,
// and just before.
func boundaries(w io.Writer, p *policy.Policy) error {
	_, _ = fmt.Fprintf(w, "# What the policy says at each of its instants, and a second before and after it. Written by: gracegate test --boundaries\ncases:\n")
	b := &boundaryWriter{out: w, flows: flowsOf(p)}
	for i := range b.flows {
		b.flow(p, "", &b.flows[i], b.flows[i].times)
	}
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
	out   io.Writer
	flows []flow
	cases int
	size  int // bytes
	err   error
}

// flow is a client of a destination.
type flow struct {
	to    *policy.Destination
	who   *policy.Asker
	first bool        // of the clients there whom the same jurisdictions bind
	times []time.Time // to ask at
}

// flowsOf returns, for each destination, a client for each way in which the policy treats clients there. The first of those whom the
// same jurisdictions bind is asked at the instants of the law, all at those of the rules and waivers that count for them.
func flowsOf(p *policy.Policy) (list []flow) {
	askers, destinations := p.Askers(), p.Destinations()
	for d := range destinations {
		bound, seen := map[string]bool{}, map[string]bool{}
		for a := range askers {
			f := flow{to: &destinations[d], who: &askers[a]}
			facts := f.facts()
			c := p.Concern(&facts)
			if seen[c.Bound+c.Texts] {
				continue
			}
			seen[c.Bound+c.Texts] = true
			f.times = c.Own
			if !bound[c.Bound] {
				bound[c.Bound], f.first = true, true
				f.times = instantsOf(&c)
			}
			list = append(list, f)
		}
	}
	return list
}

// instantsOf returns the instants of some concerns, in order.
func instantsOf(concerns ...*policy.Concern) (list []time.Time) {
	for _, c := range concerns {
		list = slices.Concat(list, c.Law, c.Own)
	}
	slices.SortFunc(list, time.Time.Compare)
	return slices.CompactFunc(list, time.Time.Equal)
}

func (f *flow) facts() policy.Facts { return f.to.Facts(f.who) }

// horizon writes the cases as known at one instant, of those flows of which that policy and another say different things. They are
// asked at the instants of both: what is not published yet must have no effect at its own.
func (b *boundaryWriter) horizon(p *policy.Policy, knownAt string, other *policy.Policy) {
	for i := range b.flows {
		if !b.flows[i].first { // the operator's own texts are known at any horizon
			continue
		}
		f := b.flows[i].facts()
		mine, theirs := p.Concern(&f), other.Concern(&f)
		if times := instantsOf(&mine, &theirs); weighedOtherwise(p, other, &f, times) {
			b.flow(p, knownAt, &b.flows[i], times)
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
func (b *boundaryWriter) flow(p *policy.Policy, knownAt string, f *flow, times []time.Time) {
	facts := f.facts()
	for _, at := range times {
		if b.err != nil {
			return
		}
		for _, t := range []time.Time{at.Add(-step), at, at.Add(step)} {
			b.write(f.question(t, knownAt), p.Explain(t, &facts))
		}
	}
}

// question writes what a case asks.
func (f *flow) question(at time.Time, knownAt string) string {
	d, a := f.to, f.who
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
	return strings.Join(parts, ", ")
}

func (b *boundaryWriter) write(question string, e policy.Explanation) {
	var reasons []string
	for _, line := range weighed(e.Reasons) {
		reasons = append(reasons, quoted(line))
	}
	n, err := fmt.Fprintf(b.out, "  - {%s,\n     expect: {verdict: %s, state: %s, reasons: [%s]}}\n",
		question, e.Verdict, e.State, strings.Join(reasons, ",\n       "))
	b.cases++
	if b.size += n; err == nil && b.size > source.MaxScenarios {
		err = invalid(fmt.Errorf("the cases take more than the %d MiB of a scenario file", source.MaxScenarios>>20), "each waiver has cases of its own: leave out those that are over")
	}
	if b.err == nil {
		b.err = err
	}
}

// quoted writes a text as YAML that every reader takes for one.
func quoted(s string) string { return strconv.Quote(s) }

// escapedPath writes a path as a URL has it.
func escapedPath(path string) string { return (&url.URL{Path: path}).EscapedPath() }
