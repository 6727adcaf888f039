package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// corpus is requests that were made, and what differs for them.
type corpus struct {
	requests int // with those that are alike
	seen     map[policy.Facts]*request
	order    []*request
	changed  []*request // those for which anything differs, in the order of the corpus
}

// request is one request, and how often it was made.
type request struct {
	facts       policy.Facts
	times       []time.Time // when it was made; none where the corpus does not tell
	count       int
	differences []policy.Difference
	then        int // how many of the times a difference holds at
}

// readCorpus reads files of requests; - is standard input.
func readCorpus(names []string, stdin io.Reader) (*corpus, error) {
	c := &corpus{seen: map[policy.Facts]*request{}}
	for _, name := range names {
		if name == "-" {
			if err := c.read("standard input", stdin); err != nil {
				return nil, err
			}
			continue
		}
		f, err := os.Open(name)
		if err == nil {
			err = errors.Join(c.read(name, f), f.Close())
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// read takes the lines of a file.
func (c *corpus) read(name string, in io.Reader) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 64<<10), maxLine)
	for n := 1; scan.Scan(); n++ {
		line := bytes.TrimSpace(scan.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := c.add(line); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := scan.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s has a line longer than %d bytes", name, maxLine)
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, cause(err))
	}
	return nil
}

// add takes a line: a record by its dataset, also as audit export writes it, and else a question.
func (c *corpus) add(line []byte) error {
	var export struct {
		Version json.RawMessage `json:"gracegate_export"` // of the head
		Record  json.RawMessage `json:"record"`           // of each line behind that
	}
	if err := json.Unmarshal(line, &export); err == nil && export.Version != nil {
		return nil
	}
	if bytes.Contains(line, []byte(`"event.dataset"`)) {
		if export.Record != nil {
			line = export.Record
		}
		r, _, err := audit.Parse(line)
		if err != nil {
			return err
		}
		if audit.Counts(&r) { // the others are no flow of their own, such as the start of a tunnel
			key := audit.KeyOf(&r)
			c.count(key.Facts(), r.PolicyTime)
		}
		return nil
	}
	var q question
	if err := q.read(line); err != nil {
		return err
	}
	if q.AsKnownAt != "" {
		return errors.New(`"as-known-at" of a question is that of the policy here: diff --as-known-at`)
	}
	facts, err := q.facts()
	if err != nil {
		return err
	}
	at, err := instantOr("at", q.At, time.Time{})
	if err != nil {
		return err
	}
	c.count(facts, at)
	return nil
}

func (c *corpus) count(f policy.Facts, at time.Time) {
	c.requests++
	f.Client = host.ClientAddr(f.Client)
	r := c.seen[f]
	if r == nil {
		r = &request{facts: f}
		c.seen[f] = r
		c.order = append(c.order, r)
	}
	r.count++
	if !at.IsZero() {
		r.times = append(r.times, at)
	}
}

// compare asks both policies about every request.
func (c *corpus) compare(old, new *policy.Policy) {
	for _, r := range c.order {
		if r.differences = policy.Compare(old, new, &r.facts); len(r.differences) == 0 {
			continue
		}
		for _, at := range r.times {
			if slices.ContainsFunc(r.differences, func(d policy.Difference) bool {
				return !at.Before(d.From) && (d.Until.IsZero() || at.Before(d.Until))
			}) {
				r.then++
			}
		}
		c.changed = append(c.changed, r)
	}
}

// tally counts the requests for which anything differs, their clients, and the requests for which it did when they were made.
func (c *corpus) tally() (requests, clients, then int) {
	who := map[string]bool{}
	for _, r := range c.changed {
		requests += r.count
		then += r.then
		who[requestClient(&r.facts)] = true
	}
	return requests, len(who), then
}

func requestClient(f *policy.Facts) string {
	client := ""
	if f.Client != (netip.Addr{}) {
		client = f.Client.String()
	}
	return strings.TrimSpace(strings.Join([]string{client, f.User, f.MAC}, " "))
}

func (c *corpus) writeText(b *strings.Builder, d *difference) {
	requests, clients, then := c.tally()
	fmt.Fprintf(b, "\ncorpus: requests %d, kinds of request %d\n", c.requests, len(c.order))
	if len(c.changed) == 0 {
		b.WriteString("  none is decided otherwise at any time\n")
		return
	}
	fmt.Fprintf(b, "  decided otherwise at some time: requests %d, kinds %d, clients %d\n", requests, len(c.changed), clients)
	fmt.Fprintf(b, "  decided otherwise when they were made: requests %d\n", then)
	for _, r := range c.changed[:min(len(c.changed), maxListed*4)] {
		f := &r.facts
		who := requestClient(f)
		if who == "" {
			who = "a client of the default site"
		}
		fmt.Fprintf(b, "\n%s to %s%s, requests %d\n", who, host.Join(f.Authority, f.Port), f.Path, r.count)
		for i := range r.differences {
			diff := &r.differences[i]
			fmt.Fprintf(b, "  %s: %s\n", strings.ReplaceAll(d.when(diff, f), "\n", " "), outcomes(diff))
		}
	}
	if more := len(c.changed) - maxListed*4; more > 0 {
		fmt.Fprintf(b, "\nand %d more\n", more)
	}
}

type corpusJSON struct {
	Requests  int           `json:"requests"`
	Distinct  int           `json:"distinct"`
	Different int           `json:"different"` // requests that are decided otherwise at some time
	Then      int           `json:"then"`      // of these, the ones that were when they were made
	Clients   int           `json:"clients"`
	Changed   []requestJSON `json:"changed"`
}

type requestJSON struct {
	Client      *string          `json:"client"`
	User        *string          `json:"user"`
	MAC         *string          `json:"mac"`
	Host        string           `json:"host"`
	Port        uint16           `json:"port"`
	Path        *string          `json:"path"`
	Count       int              `json:"count"`
	Differences []differenceSpan `json:"differences"`
}

type differenceSpan struct {
	From  *string     `json:"from"`
	Until *string     `json:"until"`
	Old   outcomeJSON `json:"old"`
	New   outcomeJSON `json:"new"`
}

func (c *corpus) json() *corpusJSON {
	requests, clients, then := c.tally()
	j := &corpusJSON{Requests: c.requests, Distinct: len(c.order), Different: requests, Then: then, Clients: clients, Changed: []requestJSON{}}
	for _, r := range c.changed {
		f := &r.facts
		line := requestJSON{
			Client: addressOrNull(f.Client), User: orNull(f.User), MAC: orNull(f.MAC), Host: f.Authority.String(), Port: f.Port, Path: orNull(f.Path),
			Count: r.count,
		}
		for i := range r.differences {
			diff := &r.differences[i]
			line.Differences = append(line.Differences, differenceSpan{instantOrNull(diff.From), instantOrNull(diff.Until), outcomeOf(&diff.Old), outcomeOf(&diff.New)})
		}
		j.Changed = append(j.Changed, line)
	}
	return j
}
