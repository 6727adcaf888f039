package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// dull has the figures of a report, worked out from the records one by one.
type dull struct {
	flows, blocked, cut, grace, waived, monitored, bytes int64

	blockedDevices, graceDevices map[string]bool
	states                       map[string]map[string]int64 // by device and channels, by state
	first, last, firstBlocked    map[string]time.Time
	hosts                        map[string]map[string]int64
	days                         map[string][4]int64
	outcomes                     map[string]int64
	passed                       map[string][3]int64 // flows, bytes to clients, cut; by restriction and channels
	ahead                        map[string]map[string]bool
}

func newDull(p *policy.Policy, records []*audit.Record, at time.Time) *dull {
	d := &dull{
		blockedDevices: map[string]bool{}, graceDevices: map[string]bool{}, states: map[string]map[string]int64{}, first: map[string]time.Time{},
		last: map[string]time.Time{}, firstBlocked: map[string]time.Time{}, hosts: map[string]map[string]int64{}, days: map[string][4]int64{},
		outcomes: map[string]int64{}, passed: map[string][3]int64{}, ahead: map[string]map[string]bool{},
	}
	for _, r := range records {
		d.add(p, r, at)
	}
	return d
}

// add reads a record as somebody would who has only the documentation.
func (d *dull) add(p *policy.Policy, r *audit.Record, at time.Time) {
	d.flows++
	device := r.MAC
	if device == "" {
		device = r.Client.Addr().String()
		if r.User != "" {
			device += " user " + r.User
		}
	}
	state, by := r.State.String(), strings.TrimSpace(r.Cause.Kind+" "+r.Cause.ID)
	if r.Guard != "" {
		state, by = "guarded", "guard "+r.Guard
	}
	d.outcomes[state+"/"+by]++
	if r.Guard != "" {
		return
	}
	channels := make([]string, len(r.Channels))
	for i, c := range r.Channels {
		channels[i] = c.String()
	}
	what := asked(r.Vendor, channels)
	today := d.days[date(r.PolicyTime)]
	switch state {
	case "blocked", "rule-blocked":
		d.blocked++
		today[0]++
		d.blockedDevices[device] = true
		if r.Ended == "cut" {
			d.cut++
			d.bytes += r.BytesOut
			d.graceDevices[device] = true
			was := d.passed[r.Cause.ID+"/"+what]
			d.passed[r.Cause.ID+"/"+what] = [3]int64{was[0], was[1] + r.BytesOut, was[2] + 1}
		}
	case "grace", "warn":
		d.grace++
		today[1]++
		d.bytes += r.BytesOut
		d.graceDevices[device] = true
		was := d.passed[r.Cause.ID+"/"+what]
		d.passed[r.Cause.ID+"/"+what] = [3]int64{was[0] + 1, was[1] + r.BytesOut, was[2]}
	case "waived":
		d.waived++
		today[2]++
	case "monitored":
		d.monitored++
		today[3]++
	}
	d.days[date(r.PolicyTime)] = today
	d.addAttempt(r, device+"/"+what, state)

	if state == "unmatched" || state == "out-of-scope" || state == "exempt" {
		return
	}
	key := audit.KeyOf(r)
	f := key.Facts()
	now := p.Decide(at, &f)
	if next, ok := now.NextBlock(); ok && now.Verdict == policy.Allow {
		key := next.Format(time.RFC3339) + "/" + what
		if d.ahead[key] == nil {
			d.ahead[key] = map[string]bool{}
		}
		d.ahead[key][device] = true
	}
}

func (d *dull) addAttempt(r *audit.Record, row, state string) {
	if r.Vendor == "" && state == "unmatched" {
		return
	}
	if d.states[row] == nil {
		d.states[row], d.hosts[row] = map[string]int64{}, map[string]int64{}
		d.first[row], d.last[row] = r.PolicyTime, r.PolicyTime
	}
	d.states[row][state]++
	d.hosts[row][r.Host.String()]++
	if r.PolicyTime.Before(d.first[row]) {
		d.first[row] = r.PolicyTime
	}
	if r.PolicyTime.After(d.last[row]) {
		d.last[row] = r.PolicyTime
	}
	if at, ok := d.firstBlocked[row]; r.Verdict == policy.Block && (!ok || r.PolicyTime.Before(at)) {
		d.firstBlocked[row] = r.PolicyTime
	}
}

// A month of 200 devices: every figure of the report is what the records say, counted one by one.
func TestReportEqualsDull(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	for seed := range uint64(3) {
		records := month(p, 200, seed)
		o := monthOptions()
		o.At = time.Date(2024, 9, 29, 3, 0, 0, 0, time.UTC).Add(time.Duration(seed) * 30 * 24 * time.Hour)
		r := build(t, p, o, sum(records))
		d := newDull(p, records, o.At)
		if d.cut == 0 || d.waived == 0 || d.monitored == 0 || len(d.blockedDevices) < 100 || seed < 2 && len(d.ahead) < 2 {
			t.Fatalf("seed %d: the month is too quiet: %+v", seed, r.Summary)
		}
		s := &r.Summary
		for name, pair := range map[string][2]int64{
			"flows": {s.Flows, d.flows}, "blocked": {s.Blocked, d.blocked}, "cut": {s.Cut, d.cut}, "grace": {s.Grace, d.grace},
			"waived": {s.Waived, d.waived}, "monitored": {s.Monitored, d.monitored}, "bytes": {s.BytesGrace, d.bytes},
			"devices": {s.Devices, 200}, "blocked devices": {s.DevicesBlocked, int64(len(d.blockedDevices))}, "grace devices": {s.DevicesGrace, int64(len(d.graceDevices))},
		} {
			if pair[0] != pair[1] {
				t.Errorf("seed %d: %s are %d, want %d", seed, name, pair[0], pair[1])
			}
		}
		if strings.Contains(strings.Join(r.Notes, "\n"), "decided then otherwise") {
			t.Errorf("seed %d: the policy has not changed, and yet %q", seed, r.Notes)
		}
		checkAttempts(t, r, d)
		checkRest(t, r, d)
	}
}

func checkAttempts(t *testing.T, r *Report, d *dull) {
	t.Helper()
	told := map[string]bool{}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		row := a.Device.Name + "/" + asked(a.Vendor, a.Channels)
		told[row] = true
		states, hosts := map[string]int64{}, map[string]int64{}
		for _, s := range a.States {
			states[s.State] = s.Flows
		}
		for _, h := range a.Hosts {
			hosts[h.Name] = h.Flows
		}
		if diff := cmp.Diff(d.states[row], states); diff != "" {
			t.Errorf("%s: states\n%s", row, diff)
		}
		if !a.First.Equal(d.first[row]) || !a.Last.Equal(d.last[row]) || a.MoreHosts+len(a.Hosts) != len(d.hosts[row]) {
			t.Errorf("%s: %s to %s, %d hosts; want %s to %s, %d", row, a.First, a.Last, a.MoreHosts+len(a.Hosts), d.first[row], d.last[row], len(d.hosts[row]))
		}
		for name, n := range hosts {
			if d.hosts[row][name] != n {
				t.Errorf("%s: %s %d times, want %d", row, name, n, d.hosts[row][name])
			}
		}
		if at, ok := d.firstBlocked[row]; ok != (a.FirstBlocked != nil) || ok && !at.Equal(*a.FirstBlocked) {
			t.Errorf("%s: first blocked %v, want %v", row, a.FirstBlocked, at)
		}
		if a.Halves[0]+a.Halves[1] != a.Flows || sumOf(a.Bins) != a.Flows {
			t.Errorf("%s: %d flows in halves %v and bins %v", row, a.Flows, a.Halves, a.Bins)
		}
	}
	for row, states := range d.states {
		matters := false
		for s := range states {
			matters = matters || s != "out-of-scope" && s != "exempt" && s != "unmatched"
		}
		if told[row] != matters {
			t.Errorf("%s: told %v, want %v", row, told[row], matters)
		}
	}
}

func sumOf(list []int64) (n int64) {
	for _, v := range list {
		n += v
	}
	return n
}

func checkRest(t *testing.T, r *Report, d *dull) {
	t.Helper()
	days, outcomes, passed, ahead := map[string][4]int64{}, map[string]int64{}, map[string][3]int64{}, map[string]map[string]bool{}
	for i := range r.Trend.Bins {
		b := &r.Trend.Bins[i]
		days[date(b.From)] = [4]int64{b.Blocked, b.Grace, b.Waived, b.Monitored}
	}
	for _, o := range r.Outcomes {
		outcomes[o.State+"/"+o.By.String()] = o.Flows
	}
	for i := range r.Passed {
		p := &r.Passed[i]
		if !p.Known || p.From == nil || p.Until == nil || p.Revision == "" {
			t.Errorf("no text for %+v", p)
		}
		passed[p.Restriction+"/"+asked(p.Vendor, p.Channels)] = [3]int64{p.Flows, p.BytesOut, p.Cut}
	}
	for i := range r.Ahead {
		a := &r.Ahead[i]
		key := a.Instant.RFC3339() + "/" + asked(a.Vendor, a.Channels)
		if ahead[key] == nil {
			ahead[key] = map[string]bool{}
		}
		for _, dev := range a.Devices {
			ahead[key][dev.Name] = true
		}
	}
	for name, diff := range map[string]string{
		"days": cmp.Diff(d.days, days), "outcomes": cmp.Diff(d.outcomes, outcomes), "passed": cmp.Diff(d.passed, passed), "ahead": cmp.Diff(d.ahead, ahead),
	} {
		if diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// What is asked of the policy is asked at the instant of the report: the same month, told a second before and at the deadline.
func TestAheadMovesWithTheInstant(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	all := sum(month(p, 30, 5))
	o := monthOptions()
	o.At = time.Date(2024, 9, 29, 3, 59, 59, 999999999, time.UTC)
	before := build(t, p, o, all)
	if next := before.Summary.NextStop; next == nil || next.String() != "2024-09-29 04:00 UTC (2024-09-29 00:00 UTC-04:00, America/New_York)" {
		t.Errorf("next stop before the deadline: %v", next)
	}
	o.At = o.At.Add(1)
	if next := build(t, p, o, all).Summary.NextStop; next == nil || next.UTC() != "2024-11-30 00:00 UTC" {
		t.Errorf("next stop at the deadline: %v", next)
	}
}

func TestRelay(t *testing.T) {
	t.Parallel()
	r := smallReport(t)
	for i := range r.Attempts {
		if d := &r.Attempts[i].Device; d.Address == "10.20.5.5" {
			if !d.Relay || !slices.Equal(d.Serves, []string{"boston", "berlin"}) || !strings.Contains(strings.Join(d.Where(), ";"), "the devices behind it are unknown") {
				t.Errorf("%+v", d)
			}
			return
		}
	}
	t.Error("the relay is not in the report")
}

// The record is what counts, though the policy would say otherwise by now.
func TestAnotherPolicyThen(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	f := tunnelTo("s01.upd.acme.example")
	f.Client = netip.MustParseAddr("10.10.0.1")
	rec := record(p, time.Date(2024, 9, 20, 12, 0, 0, 0, time.UTC), "tunnel", f)
	rec.Cause.ID, rec.BytesOut = "us-order-0", 77
	r := build(t, p, monthOptions(), sum([]*audit.Record{rec}))
	if r.Summary.Grace != 1 || len(r.Passed) != 1 || r.Passed[0].Known || r.Passed[0].Restriction != "us-order-0" || r.Passed[0].BytesOut != 77 {
		t.Errorf("%+v %+v", r.Summary, r.Passed)
	}
	if !strings.Contains(strings.Join(r.Notes, "\n"), "1 flow was decided then otherwise") {
		t.Errorf("%q", r.Notes)
	}
	if len(r.Restrictions) < 1 || r.Restrictions[0].ID != "us-order-0" || r.Restrictions[0].Title != "" {
		t.Errorf("%+v", r.Restrictions)
	}
}

// What the record cannot tell is said at the head: a clock that was no real one, and nothing at all; and where it begins too late.
func TestTellsHowFarTheRecordGoes(t *testing.T) {
	t.Parallel()
	p, hour := testPolicy(t), time.Date(2024, 9, 20, 7, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		simulated bool
		recorded  *Recorded
		seen      []audit.Seen
		has, not  string
	}{
		{true, nil, nil, "clock        simulated: ", "The record begins"},
		{false, nil, nil, "recorded     no flow at all", "simulated"},
		{false, nil, nil, "- The record has nothing for this period, narrowed to vendor acme: that nobody asked is not known from it.", "simulated"},
		{false, &Recorded{hour, monthUntil}, sum(smallRecords(p)), "- The record begins in the hour of 2024-09-20 07:00 UTC.", "The record has nothing"},
		{false, &Recorded{hour, monthUntil}, nil, "recorded     flows from 2024-09-20 07:00 UTC until 2024-10-15 00:00 UTC", "no flow at all"},
		{false, &Recorded{monthSince, monthUntil}, sum(smallRecords(p)), "recorded     flows from 2024-09-15 00:00 UTC", "The record begins"},
	} {
		o := monthOptions()
		o.Simulated, o.Recorded, o.Vendor = row.simulated, row.recorded, "acme"
		got := written(t, build(t, p, o, row.seen), "txt")
		if !strings.Contains(got, row.has) || strings.Contains(got, row.not) {
			t.Errorf("it lacks %q or has %q:\n%s", row.has, row.not, got)
		}
	}
}

// The summary names those who were blocked most, with what and since when; the days of the trend in which nothing was are left out.
func TestAtAGlance(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	r := build(t, p, monthOptions(), sum(month(p, 200, 5)))
	most := r.Most()
	if len(most) != maxMost || !strings.Contains(r.MostOf(), " of "+count(r.Summary.DevicesBlocked)+" devices") {
		t.Fatalf("%d devices, %s", len(most), r.MostOf())
	}
	for i, m := range most {
		var blocked int64
		for j := range r.Attempts {
			a := &r.Attempts[j]
			if a.Device.Name != m.Device.Name || a.Blocked == 0 {
				continue
			}
			blocked += a.Blocked
			if m.First.After(*a.FirstBlocked) || m.Last.Before(*a.LastBlocked) || !slices.Contains(m.Asked, Asked{a.what(), a.BlockedSince}) {
				t.Errorf("%+v lacks %+v", m, a)
			}
		}
		if blocked != m.Blocked || i > 0 && most[i-1].Blocked < blocked {
			t.Errorf("%s has %d of %d", m.Device.Name, m.Blocked, blocked)
		}
	}
	small := smallReport(t)
	if most := small.Most(); len(most) != 3 || small.MostOf() != "" || most[0].Asked[1].String() != "games.example (since 2024-09-20 00:00 UTC)" {
		t.Errorf("%+v %s", most, small.MostOf())
	}
	if busy, quiet := small.Trend.Busy(), small.Trend.Quiet(); len(busy) != 8 || quiet != "22 days without any are left out." {
		t.Error(len(busy), quiet)
	}
}

func TestHours(t *testing.T) {
	t.Parallel()
	india := time.FixedZone("", 5*3600+1800)
	for _, row := range []struct{ since, until, wantSince, wantUntil time.Time }{
		{monthSince, monthUntil, monthSince, monthUntil},
		{monthSince.Add(1), monthUntil.Add(1), monthSince, monthUntil.Add(time.Hour)},
		{time.Date(2024, 9, 29, 0, 0, 0, 0, india), time.Date(2024, 9, 30, 0, 0, 0, 0, india), time.Date(2024, 9, 28, 18, 0, 0, 0, time.UTC), time.Date(2024, 9, 29, 19, 0, 0, 0, time.UTC)},
	} {
		o := Options{Since: row.since, Until: row.until}
		if since, until := o.Hours(); since != row.wantSince || until != row.wantUntil {
			t.Errorf("%s to %s: %s to %s", row.since, row.until, since, until)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	all := sum(month(p, 2, 1))
	for want, change := range map[string]func(*Options){
		"the period is empty":                           func(o *Options) { o.Until = o.Since },
		"the period is longer than a hundred years":     func(o *Options) { o.Since = o.Since.AddDate(-200, 0, 0) },
		"which is not in the period":                    func(o *Options) { o.Since = o.Since.AddDate(0, 0, 20) },
		"the record could not be read: the disk is wet": nil,
	} {
		o, seen := monthOptions(), each(all)
		if change != nil {
			change(o)
		} else {
			seen = func(yield func(audit.Seen, error) bool) { yield(audit.Seen{}, errors.New("the disk is wet")) }
		}
		if _, err := Build(p, o, seen); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	all[0].State = states
	if _, err := Build(p, monthOptions(), each(all)); err == nil || !strings.Contains(err.Error(), "does not know") {
		t.Errorf("an unknown state: %v", err)
	}
}

func TestBins(t *testing.T) {
	t.Parallel()
	start := time.Date(2024, 2, 28, 5, 0, 0, 0, time.UTC)
	for _, hours := range []int{1, 19, 20, 24 * 30, 24 * 123, 24 * 124, 24 * 125, 24 * 400, 24 * 4000} {
		until := start.Add(time.Duration(hours) * time.Hour)
		g := newGatherer(testPolicy(t), &Options{Since: start, Until: until})
		if len(g.bins) == 0 || len(g.bins) > maxBins {
			t.Fatalf("%d hours: %d bins", hours, len(g.bins))
		}
		for at := start; at.Before(until); at = at.Add(time.Hour) {
			b := g.bins[g.bin(at)]
			if at.Before(b.From) || !at.Before(b.Until) {
				t.Fatalf("%d hours: %s is in %s to %s", hours, at, b.From, b.Until)
			}
		}
		if !g.bins[0].From.Equal(start) || !g.bins[len(g.bins)-1].Until.Equal(until) {
			t.Errorf("%d hours: from %s until %s", hours, g.bins[0].From, g.bins[len(g.bins)-1].Until)
		}
	}
}

// formats are the ways to write a report.
var formats = map[string]func(*Report, io.Writer) error{
	"txt": (*Report).WriteText, "md": (*Report).WriteMarkdown, "csv": (*Report).WriteCSV, "json": (*Report).WriteJSON, "html": (*Report).WriteHTML,
}

func written(tb testing.TB, r *Report, format string) string {
	tb.Helper()
	var b bytes.Buffer
	if err := formats[format](r, &b); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// The same input gives the same bytes, whatever order maps are gone through in.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	all := sum(month(p, 40, 9))
	first := map[string]string{}
	for range 5 {
		r := build(t, testPolicy(t), monthOptions(), all)
		for format := range formats {
			text := written(t, r, format)
			if first[format] == "" {
				first[format] = text
			}
			if diff := cmp.Diff(first[format], text); diff != "" {
				t.Fatalf("%s differs: %s", format, diff)
			}
		}
	}
}

// A table for people is cut, and says so; one for programs is not.
func TestManyRows(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	var list []*audit.Record
	for i := range maxRows + 10 {
		f := tunnelTo("s01.upd.acme.example")
		f.Client = netip.AddrFrom4([4]byte{10, 10, byte(i / 256), byte(i % 256)})
		list = append(list, record(p, monthSince.Add(time.Minute), "tunnel", f))
	}
	r := build(t, p, monthOptions(), sum(list))
	const note = "These are 2,000 of 2,010 rows."
	for format := range formats {
		text := written(t, r, format)
		last := strings.Count(text, "10.10.7.217") > 0 // the last of them all
		if people := format == "txt" || format == "md" || format == "html"; people != strings.Contains(text, note) || people == last {
			t.Errorf("%s: notes it %v, has the last device %v", format, strings.Contains(text, note), last)
		}
	}
}

// A device that asks for names without end takes no memory without end, and the report says that there were more.
func TestManyHosts(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	var list []*audit.Record
	for i := range countedHosts + 50 {
		f := tunnelTo(fmt.Sprintf("n%d.upd.acme.example", i))
		f.Client = netip.MustParseAddr("10.10.0.1")
		list = append(list, record(p, monthSince.Add(time.Minute), "tunnel", f))
	}
	r := build(t, p, monthOptions(), sum(list))
	a := &r.Attempts[0]
	if len(r.Attempts) != 1 || a.Flows != countedHosts+50 || len(a.Hosts) != maxHosts || !a.ManyHosts || a.Further(3) != "and more than 253 others" {
		t.Errorf("%+v %s", a, a.Further(3))
	}
}
