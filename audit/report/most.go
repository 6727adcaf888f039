package report

import (
	"strings"
	"time"
)

// maxMost is how many devices are named in the summary.
const maxMost = 8

// Tried is what a device asked for that was blocked.
type Tried struct {
	Device      *Device
	Asked       []Asked
	Blocked     int64
	First, Last time.Time // of the blocked ones
}

// Asked is something that was asked for, and since when it is blocked; nil where no date decides.
type Asked struct {
	What  string
	Since *Instant
}

// Most are the devices with most blocked attempts.
func (r *Report) Most() []Tried {
	var list []Tried
	for _, attempts := range r.ByDevice() {
		t := Tried{Device: &attempts[0].Device}
		for i := range attempts {
			t.add(&attempts[i])
		}
		if t.Blocked == 0 || len(list) == maxMost {
			break
		}
		list = append(list, t)
	}
	return list
}

func (t *Tried) add(a *Attempt) {
	if a.Blocked == 0 {
		return
	}
	if t.Blocked == 0 {
		t.First, t.Last = *a.FirstBlocked, *a.LastBlocked
	}
	t.Asked = append(t.Asked, Asked{a.what(), a.BlockedSince})
	t.Blocked += a.Blocked
	t.First, t.Last = earlier(t.First, *a.FirstBlocked), later(t.Last, *a.LastBlocked)
}

// what is the endpoint of an attempt, or the names themselves where they are nobody's.
func (a *Attempt) what() string {
	if a.Vendor == "" {
		return a.hostList(2)
	}
	return asked(a.Vendor, a.Channels)
}

func (a Asked) String() string {
	if a.Since == nil {
		return a.What
	}
	return a.What + " (since " + a.Since.UTC() + ")"
}

// MostOf says that they are not all; empty: they are.
func (r *Report) MostOf() string {
	if n := r.Summary.DevicesBlocked; n > maxMost {
		return "These are " + count(maxMost) + " of " + count(n) + " devices. \"Who still tries\" has all."
	}
	return ""
}

func (r *Report) mostSection() section {
	s := section{
		title: "Who was blocked most", head: []string{"Device", "Asked for", "Blocked", "First blocked (UTC)", "Last blocked (UTC)"}, numbers: columns(2),
		none: "Nobody was blocked.", lines: notEmpty(r.MostOf()),
	}
	for _, t := range r.Most() {
		what := make([]string, len(t.Asked))
		for i, a := range t.Asked {
			what[i] = a.String()
		}
		s.rows = append(s.rows, []string{t.Device.Known(), strings.Join(what, "; "), count(t.Blocked), bare(t.First), bare(t.Last)})
	}
	return s
}
