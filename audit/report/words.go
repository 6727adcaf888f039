package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// second shows when something was seen, in UTC and cut to the second, so that it never shows a deadline that it was before.
func second(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// String shows an instant in UTC and in the zone of its text, to the nanosecond if need be.
func (i *Instant) String() string {
	if i == nil {
		return ""
	}
	s := i.UTC()
	if local := i.InZone(); local != "" {
		s += " (" + local + ")"
	}
	return s
}

// UTC shows the instant in UTC.
func (i *Instant) UTC() string { return exactly(i.At.UTC(), "") + " UTC" }

// InZone shows the instant in the zone of its text, with the offset; it is empty where that is UTC.
func (i *Instant) InZone() string {
	if i.Local == "" {
		return ""
	}
	local, err := time.Parse(time.RFC3339Nano, i.Local)
	if err != nil {
		return i.Local
	}
	return strings.Join(notEmpty(exactly(local, " UTC-07:00"), i.Zone), ", ")
}

// RFC3339 is the instant for programs, in UTC.
func (i *Instant) RFC3339() string { return i.At.UTC().Format(time.RFC3339Nano) }

// exactly leaves out no second that counts.
func exactly(t time.Time, offset string) string {
	layout := "2006-01-02 15:04"
	if !t.Truncate(time.Minute).Equal(t) {
		layout = "2006-01-02 15:04:05.999999999"
	}
	return t.Format(layout + offset)
}

// count shows a number with its thousands apart.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// size shows bytes in the largest unit that leaves at least one.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return plural(n, "byte", "bytes")
	}
	value, unit := float64(n), -1
	for value >= 1<<10 && unit+1 < len(units) {
		value /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

// asked names what was asked for.
func asked(vendor string, channels []string) string {
	if vendor == "" {
		return "names that a rule or waiver lists"
	}
	return vendor + ": " + strings.Join(channels, ", ")
}

func (c Cause) String() string { return strings.TrimSpace(c.Kind + " " + c.ID) }

// Where tells where a device is, and what it is there, in parts.
func (d *Device) Where() []string {
	var list []string
	if d.Hostname != "" {
		list = append(list, "host name "+d.Hostname)
	}
	if d.MAC != "" && d.Address != "" {
		at := "last at " + d.Address
		if d.User != "" {
			at += " user " + d.User
		}
		list = append(list, at)
	}
	for _, s := range d.Sites {
		if s == "" {
			list = append(list, "default site")
		} else {
			list = append(list, "site "+s)
		}
	}
	for _, p := range d.Persons {
		list = append(list, "person "+p)
	}
	if d.Relay {
		list = append(list, d.Behind())
	}
	return list
}

// Beside is what a list of names tells of a device beside its own.
func (d *Device) Beside() string {
	list := notEmpty(d.Hostname)
	if d.Relay {
		list = append(list, d.Behind())
	}
	return strings.Join(list, "; ")
}

// Known is a device with what a list of names tells beside its own.
func (d *Device) Known() string {
	if more := d.Beside(); more != "" {
		return d.Name + " (" + more + ")"
	}
	return d.Name
}

// Behind says of a relay what is not known.
func (d *Device) Behind() string {
	s := "a relay"
	if len(d.Serves) > 0 {
		s += " for " + strings.Join(d.Serves, ", ")
	}
	return s + ": the devices behind it are unknown"
}

// StateList tells the attempts by state.
func (a *Attempt) StateList() string {
	parts := make([]string, len(a.States))
	for i, s := range a.States {
		parts[i] = s.State + " " + count(s.Flows)
	}
	return strings.Join(parts, ", ")
}

// Further tells how many hosts there were beside the first n.
func (a *Attempt) Further(n int) string {
	more := max(len(a.Hosts)-n, 0) + a.MoreHosts
	switch {
	case a.ManyHosts:
		return fmt.Sprintf("and more than %d others", more)
	case more > 0:
		return fmt.Sprintf("and %d more", more)
	}
	return ""
}

// Some are the first hosts.
func (a *Attempt) Some(n int) []Host { return a.Hosts[:min(n, len(a.Hosts))] }

// hostList names the first n hosts.
func (a *Attempt) hostList(n int) string {
	names := []string{}
	for _, h := range a.Some(n) {
		names = append(names, h.Name)
	}
	s := strings.Join(names, ", ")
	if further := a.Further(n); further != "" {
		s += " " + further
	}
	return s
}

// Line tells how far the record reaches.
func (s *Recorded) Line() string {
	if s == nil {
		return "no flow at all"
	}
	return fmt.Sprintf("flows from %s UTC until %s UTC", exactly(s.Since, ""), exactly(s.Until, ""))
}

// Nothing says that there is nothing to report, which is no good news; empty: there is.
func (r *Report) Nothing() string {
	if r.Summary.Flows > 0 {
		return ""
	}
	s := "The record has nothing for this period"
	if filter := r.Filter(); filter != "" {
		s += ", narrowed to " + filter
	}
	return s + ": that nobody asked is not known from it."
}

// simulatedClock is what a reader must know first of a record that was made on one.
const simulatedClock = "simulated: times are those of a policy clock that was set (clock.at), not those at which the traffic passed"

// SimulatedClock says that the clock was simulated; empty: it was not.
func (r *Report) SimulatedClock() string {
	if !r.Simulated {
		return ""
	}
	return simulatedClock
}

// Line tells in a line what is known of the record's integrity.
func (i *Integrity) Line() string {
	if i == nil {
		return "not verified: this report does not tell whether the record is complete"
	}
	s := "not verified for this report"
	switch {
	case i.Checked && !i.Verified: // the proof ends there, and counts nothing behind it
		return strings.Join(notEmpty("NOT intact", i.Problem), ": ")
	case i.Checked:
		s = "verified; " + plural(i.Records, "record", "records")
	}
	if i.Lost > 0 {
		s += ", " + count(i.Lost) + " known to be lost"
	}
	if i.Checkpoint == "" {
		return s + ", no checkpoint"
	}
	s += ", last checkpoint " + i.Checkpoint
	if !i.CheckpointAt.IsZero() {
		s += " of " + second(i.CheckpointAt)
	}
	return s
}

// Phase tells from when until when a phase holds.
func (p *Passed) Phase() string {
	if p.From == nil {
		return "not known to the policy as it is now"
	}
	s := "from " + p.From.String()
	if p.Until != nil {
		s += " until " + p.Until.String()
	}
	return s
}

// Text names the text of a phase.
func (p *Passed) Text() string {
	s := p.Restriction
	if p.Citation != "" {
		s += ", " + p.Citation
	}
	if published := p.Published(); published != "" {
		s += ", revision published " + published
	}
	return s
}

// Published is the day on which the revision was published, in the zone that UTC makes of it.
func (p *Passed) Published() string {
	at, err := time.Parse(time.RFC3339Nano, p.Revision)
	if err != nil {
		return ""
	}
	return exactly(at, "") + " UTC"
}

// Assumptions are what is not the texts' own about the bounds of a phase.
func (p *Passed) Assumptions() []string {
	var list []string
	if p.From != nil && p.From.Assumed != "" {
		list = append(list, "beginning assumed: "+p.From.Assumed)
	}
	if p.Until != nil && p.Until.Assumed != "" {
		list = append(list, "end assumed: "+p.Until.Assumed)
	}
	return list
}

// Filter tells what the report is narrowed to; empty: nothing.
func (r *Report) Filter() string {
	var parts []string
	if r.Vendor != "" {
		parts = append(parts, "vendor "+r.Vendor)
	}
	if r.Site != "" {
		parts = append(parts, "site "+r.Site)
	}
	return strings.Join(parts, ", ")
}

// PeriodLine tells the period.
func (r *Report) PeriodLine() string {
	return fmt.Sprintf("%s UTC until %s UTC", exactly(r.Period.Since, ""), exactly(r.Period.Until, ""))
}

// PolicyLine tells which policy was asked.
func (r *Report) PolicyLine() string {
	file := r.Policy.File
	if file == "" {
		file = "the built-in policy"
	}
	s := "revision " + r.Policy.Revision + ", " + file
	if r.Policy.KnownAt != "all" {
		s += ", as known at " + r.Policy.KnownAt
	}
	return s
}

// Line names a restriction with its source.
func (t *Restriction) Line() string {
	parts := []string{t.ID}
	for _, p := range []string{t.Title, t.Citation, t.URL} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	s := strings.Join(parts, "; ")
	if t.Mode != "" {
		s += " (" + t.Strength + ", mode " + t.Mode + ", source " + t.Grade + ")"
	}
	return s
}

// Line tells a deadline.
func (d *Deadline) Line() string {
	verb := "blocks"
	if !d.Blocks {
		verb = "would block"
	}
	s := fmt.Sprintf("%s: %s %s %s", &d.Instant, d.By, verb, asked(d.Vendor, d.Channels))
	if d.Instant.Assumed != "" {
		s += "; assumed: " + d.Instant.Assumed
	}
	return s
}

// Figure is one of the figures of the summary.
type Figure struct {
	Value, Name, More string
}

// Figures are the summary in words.
func (r *Report) Figures() []Figure {
	s := &r.Summary
	of := func(n int64, one, many string) string { // without the number
		if n == 1 {
			return one
		}
		return many
	}
	list := []Figure{
		{count(s.DevicesBlocked), of(s.DevicesBlocked, "device", "devices") + " asked for what is blocked", "of " + plural(s.Devices, "device", "devices") + " in the record"},
		{count(s.Blocked), of(s.Blocked, "attempt", "attempts") + " blocked", "of " + plural(s.Flows, "flow", "flows") + "; " + count(s.Cut) + " of them cut at a deadline"},
		{count(s.Grace), of(s.Grace, "flow", "flows") + " passed in a grace period", "by " + plural(s.DevicesGrace, "device", "devices") + ", " + size(s.BytesGrace) + " to them"},
		{count(s.Waived), of(s.Waived, "flow", "flows") + " passed by a waiver", ""},
		{count(s.Monitored), of(s.Monitored, "flow", "flows") + " monitored", "would be blocked, were the restriction enforced"},
	}
	if s.NextStop == nil {
		return append(list, Figure{"0", "devices at a next stop", "nothing that was seen and passes now is to be blocked"})
	}
	return append(list, Figure{count(s.DevicesAhead), of(s.DevicesAhead, "device", "devices") + " at the next stop", r.nextStop()})
}

// nextStop tells when something stops next, and what.
func (r *Report) nextStop() string {
	var what []string
	for i := range r.Ahead {
		if a := &r.Ahead[i]; a.Instant.At.Equal(r.Summary.NextStop.At) && !slices.Contains(what, asked(a.Vendor, a.Channels)) {
			what = append(what, asked(a.Vendor, a.Channels))
		}
	}
	s := r.Summary.NextStop.UTC() + ": " + strings.Join(what[:min(len(what), 2)], "; ")
	if more := len(what) - 2; more > 0 {
		s += fmt.Sprintf("; and %d more", more)
	}
	return s
}
