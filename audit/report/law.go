package report

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// tellInstant gives an instant as a text has it; nil for none.
func tellInstant(in *policy.Instant) *Instant {
	if in == nil {
		return nil
	}
	t := zoned(in.At, in.Zone)
	t.Assumed = clean(in.Assumed)
	return &t
}

// zoned gives an instant in UTC and as clocks in a zone show it. An offset that RFC 3339 cannot tell, as long ago, is left out.
func zoned(at time.Time, zone *time.Location) Instant {
	t := Instant{At: at.UTC()}
	if zone == nil || zone.String() == "UTC" {
		return t
	}
	if local := at.In(zone); offsetOf(local)%60 == 0 {
		t.Local, t.Zone = local.Format(time.RFC3339Nano), clean(strings.TrimLeft(zone.String(), "+-0123456789:")) // no name is an offset
	}
	return t
}

func offsetOf(t time.Time) int {
	_, seconds := t.Zone()
	return seconds
}

// inWords gives an instant as a reason that speaks of this very instant has it; of several, one that states it. Without one it is
// in the zone of what decides.
func inWords(at time.Time, explained ...*policy.Explanation) Instant {
	var found *policy.Instant
	var zone *time.Location
	for _, e := range explained {
		for i := range e.Reasons {
			for _, in := range []*policy.Instant{e.Reasons[i].From, e.Reasons[i].Until} {
				switch {
				case in == nil:
				case in.At.Equal(at) && (found == nil || found.Assumed != "" && in.Assumed == ""):
					found = in
				case e.Reasons[i].Decisive && zone == nil:
					zone = in.Zone
				}
			}
		}
	}
	if found != nil {
		return *tellInstant(found)
	}
	return zoned(at, zone)
}

// blockedSince is since when what one flow of a row asked for is blocked; nil where no date decides, or where the policy as it
// is now does not block it then.
func (g *gatherer) blockedSince(r *row) *Instant {
	d := g.policy.Decide(r.ended.at, &r.ended.facts)
	at, ok := d.Since()
	if !ok || d.Verdict != policy.Block {
		return nil
	}
	by := d.Cause()
	key := endKey{at: at, vendor: r.vendor, channels: r.channels, by: Cause{by.Kind, by.ID}, blocks: true}
	told, ok := g.told[key]
	if !ok {
		e := g.policy.Explain(r.ended.at, &r.ended.facts)
		t := inWords(at, &e)
		told = &t
		g.told[key] = told
	}
	return told
}

// deadlines joins what ended at one instant by one cause.
func (g *gatherer) deadlines() []Deadline {
	type joined struct {
		endKey
		sample
	}
	byLaw := map[endKey]*joined{}
	byChannels := func(a, b endKey) int { return cmp.Compare(a.channels, b.channels) } // the sample is always the same one's
	for _, key := range slices.SortedStableFunc(maps.Keys(g.ends), byChannels) {
		law := key
		law.channels = 0
		j, ok := byLaw[law]
		if !ok {
			j = &joined{endKey: key, sample: g.ends[key].sample}
			byLaw[law] = j
		}
		j.channels |= key.channels
	}
	list := make([]Deadline, 0, len(byLaw))
	for _, j := range byLaw {
		e := g.policy.Explain(j.endKey.at, &j.facts)
		before := g.policy.Explain(j.endKey.at.Add(-1), &j.facts)
		list = append(list, Deadline{
			Instant: inWords(j.endKey.at, &e, &before), By: j.by.cleaned(), Vendor: clean(j.vendor), Channels: words(j.channels), Blocks: j.blocks,
		})
	}
	slices.SortFunc(list, func(a, b Deadline) int {
		return cmp.Or(
			a.Instant.At.Compare(b.Instant.At), a.By.compare(b.By), cmp.Compare(a.Vendor, b.Vendor),
			cmp.Compare(strconv.FormatBool(b.Blocks), strconv.FormatBool(a.Blocks)),
		)
	})
	return list
}

// passedIn asks for the phase that each group passed by, and joins the groups of one phase: its warning is a part of it.
func (g *gatherer) passedIn() []Passed {
	type phaseKey struct {
		restriction, revision string
		from, until           time.Time
		vendor                string
		channels              policy.ChannelSet
	}
	type joined struct {
		Passed
		members set
	}
	phases := map[phaseKey]*joined{}
	for _, key := range slices.SortedFunc(maps.Keys(g.passed), comparePassed) {
		group := g.passed[key]
		p := g.tellPassed(&key, group)
		pk := phaseKey{restriction: key.restriction, revision: p.Revision, vendor: key.vendor, channels: key.channels}
		if p.From != nil {
			pk.from = p.From.At
		}
		if p.Until != nil {
			pk.until = p.Until.At
		}
		j, ok := phases[pk]
		if !ok {
			j = &joined{Passed: p}
			phases[pk] = j
		}
		j.members.join(group.devices)
		j.Flows += group.flows
		j.Cut += group.cut
		j.BytesIn += group.in
		j.BytesOut += group.out
		if group.flows > 0 {
			if j.First == nil || group.first.Before(*j.First) {
				j.First = instantOf(group.first)
			}
			if j.Last == nil || group.last.After(*j.Last) {
				j.Last = instantOf(group.last)
			}
		}
	}
	list := make([]Passed, 0, len(phases))
	for _, j := range phases {
		j.Devices = j.members.len()
		list = append(list, j.Passed)
	}
	slices.SortFunc(list, func(a, b Passed) int {
		return cmp.Or(
			cmp.Compare(a.Restriction, b.Restriction), cmp.Compare(strconv.FormatBool(b.Known), strconv.FormatBool(a.Known)), cmp.Compare(a.Revision, b.Revision), compareInstants(a.From, b.From),
			compareInstants(a.Until, b.Until), cmp.Compare(a.Vendor, b.Vendor), slices.Compare(a.Channels, b.Channels),
		)
	})
	return list
}

func comparePassed(a, b passedKey) int {
	return cmp.Or(
		cmp.Compare(a.restriction, b.restriction), cmp.Compare(strconv.FormatBool(a.known), strconv.FormatBool(b.known)), a.from.Compare(b.from), a.until.Compare(b.until),
		cmp.Compare(a.vendor, b.vendor), cmp.Compare(a.channels, b.channels),
	)
}

func compareInstants(a, b *Instant) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return a.At.Compare(b.At)
}

// tellPassed finds the text and the phase that a group passed by.
func (g *gatherer) tellPassed(key *passedKey, group *group) Passed {
	p := Passed{Restriction: clean(key.restriction), Vendor: clean(key.vendor), Channels: words(key.channels)}
	if !key.known {
		return p
	}
	e := g.policy.Explain(group.at, &group.facts)
	for i := range e.Reasons {
		r := &e.Reasons[i]
		if !r.Decisive || r.Restriction != key.restriction {
			continue
		}
		p.Known, p.From, p.Until = true, tellInstant(r.From), tellInstant(r.Until)
		if r.Source != nil {
			p.Citation, p.URL = clean(r.Source.Citation), clean(r.Source.URL)
		}
		p.Revision = g.published(key.restriction, r.From)
		break
	}
	return p
}

// published is when the revision was published that has this very beginning of a phase: RFC 3339, or empty.
func (g *gatherer) published(restriction string, from *policy.Instant) string {
	r := g.restriction(restriction)
	if r == nil || from == nil {
		return ""
	}
	for i := range r.Revisions {
		rev := &r.Revisions[i]
		for j := range rev.Phases {
			if &rev.Phases[j].From == from {
				return rev.Published.At.UTC().Format(time.RFC3339Nano)
			}
		}
	}
	return ""
}

func (g *gatherer) restriction(id string) *policy.Restriction {
	all := g.policy.Catalog().Restrictions
	if i := slices.IndexFunc(all, func(r policy.Restriction) bool { return r.ID == id }); i >= 0 {
		return &all[i]
	}
	return nil
}

// stops are what will be blocked next, the first first.
func (g *gatherer) stops() []Stop {
	list := make([]Stop, 0, len(g.ahead))
	for _, key := range slices.SortedFunc(maps.Keys(g.ahead), compareAhead) {
		group := g.ahead[key]
		now, then := g.policy.Explain(g.at, &group.facts), g.policy.Explain(key.at, &group.facts)
		s := Stop{
			Instant: inWords(key.at, &now, &then), By: key.by.cleaned(), Title: clean(then.Cause().Title),
			Vendor: clean(key.vendor), Channels: words(key.channels), Now: key.now.String(), NowBy: key.nowBy.cleaned(), Flows: group.flows,
			Devices: []Device{},
		}
		for _, d := range g.inOrder(group.devices) {
			s.Devices = append(s.Devices, g.tellDevice(d))
		}
		list = append(list, s)
	}
	return list
}

// inOrder are the devices of a set, by their keys.
func (g *gatherer) inOrder(s set) []*device {
	var list []*device
	for _, d := range g.devices {
		if s.has(d.number) {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, compareDevices)
	return list
}

func compareAhead(a, b aheadKey) int {
	return cmp.Or(
		a.at.Compare(b.at), a.by.compare(b.by), cmp.Compare(a.vendor, b.vendor), cmp.Compare(a.channels, b.channels),
		cmp.Compare(b.now, a.now), a.nowBy.compare(b.nowBy),
	)
}

// restrictions are the instruments that the report speaks of, as they are known now.
func (g *gatherer) restrictions(r *Report) []Restriction {
	named := map[string]bool{}
	note := func(c Cause) {
		if c.Kind == "restriction" {
			named[c.ID] = true
		}
	}
	for i := range r.Outcomes {
		note(r.Outcomes[i].By)
	}
	for i := range r.Ahead {
		note(r.Ahead[i].By)
	}
	for i := range r.Trend.Deadlines {
		note(r.Trend.Deadlines[i].By)
	}
	list := make([]Restriction, 0, len(named))
	for _, id := range slices.Sorted(maps.Keys(named)) {
		t := Restriction{ID: id}
		if in := g.restriction(id); in != nil {
			mode, _ := g.policy.Mode(id)
			t.Title, t.Strength, t.Mode = clean(in.Title), in.Strength.String(), mode.String()
			if n := len(in.Revisions); n > 0 {
				s := &in.Revisions[n-1].Source
				t.Citation, t.URL, t.Grade = clean(s.Citation), clean(s.URL), s.Grade.String()
			}
		}
		list = append(list, t)
	}
	return list
}
