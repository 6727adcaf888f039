// Package report tells from the record who still asks for what ended, what passed in its grace period and under which text,
// what stops next and whom it will hit.
//
// [Build] reads the sums of what was seen once, in order, and asks the policy about each: what it said at that instant, and
// what it will say. A [Report] is then written as text, Markdown, CSV, JSON or a page of HTML that stands alone. The same
// input gives the same bytes.
//
// The package reads no clock and no database, and does not verify the record: who calls it hands in an instant, the sums,
// and what is known of the record's integrity. What a stranger chose (a user name, say) is made one harmless line here.
package report

import (
	"time"
)

// Options are what a report is about. Instants may be in any zone.
type Options struct {
	At           time.Time // of the report: "ahead" is ahead of it
	Since, Until time.Time // the period asked for; what is read is [Options.Hours]
	Vendor, Site string    // what the rows are narrowed to; empty: everything

	Operator   Operator
	Gateway    string // its name
	Software   string // that makes the report, with its version
	PolicyFile string // empty: the built-in policy

	Simulated bool       // the record was made on a simulated clock
	Recorded  *Recorded  // nil: the record has no flow
	Integrity *Integrity // of the record; nil: it was not verified
	Uncounted int64      // records that were written, and are not in what is read: a gateway that runs counts them within seconds
}

// Hours is the period that a report covers, since included and until not: that asked for, widened to whole hours of UTC, since
// the record is summed up by the hour.
func (o *Options) Hours() (since, until time.Time) {
	since, until = o.Since.UTC().Truncate(time.Hour), o.Until.UTC().Truncate(time.Hour)
	if until.Before(o.Until) {
		until = until.Add(time.Hour)
	}
	return since, until
}

// Operator is who answers for the gateway. Each part may be empty.
type Operator struct {
	Name    string `json:"name"`
	Contact string `json:"contact"`
	URL     string `json:"url"`
}

// Recorded is from the first to the last hour that the record has any flow of, half-open.
type Recorded struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// Integrity is what a verification of the record found.
type Integrity struct {
	Checked      bool      `json:"checked"`  // for this report; otherwise only the checkpoint is known
	Verified     bool      `json:"verified"` // and is whole
	Problem      string    `json:"problem"`  // what is wrong, if it is not
	Records      int64     `json:"records"`
	Lost         int64     `json:"lost"`       // records that are known not to have been written
	Checkpoint   string    `json:"checkpoint"` // the last one; empty: none
	CheckpointAt time.Time `json:"checkpoint_at,omitzero"`
}

// Report is what is told. Its JSON form is documented in docs/report.md; instants are UTC. Texts are one harmless line each.
type Report struct {
	Title        string        `json:"title"`
	MadeAt       time.Time     `json:"made_at"`
	Period       Period        `json:"period"`
	Vendor       string        `json:"vendor"` // narrowed to it; empty: all
	Site         string        `json:"site"`   // likewise
	Operator     Operator      `json:"operator"`
	Gateway      string        `json:"gateway"`
	Software     string        `json:"software"`
	Policy       Policy        `json:"policy"`
	Simulated    bool          `json:"simulated_clock"`
	Recorded     *Recorded     `json:"recorded"`
	Integrity    *Integrity    `json:"integrity"`
	Restrictions []Restriction `json:"restrictions"`

	Summary  Summary   `json:"summary"`
	Attempts []Attempt `json:"attempts"`
	Trend    Trend     `json:"trend"`
	Passed   []Passed  `json:"passed_in_grace"`
	Ahead    []Stop    `json:"ahead"`
	Waivers  []Waiver  `json:"waivers"`
	Outcomes []Outcome `json:"outcomes"`
	Notes    []string  `json:"notes"`

	uncounted int64
}

// Period is what a report covers, half-open, in whole hours, and what it was asked to.
type Period struct {
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`
	AskedSince time.Time `json:"asked_since"`
	AskedUntil time.Time `json:"asked_until"`
}

// Widened tells whether it covers more than was asked for.
func (p *Period) Widened() bool {
	return !p.Since.Equal(p.AskedSince) || !p.Until.Equal(p.AskedUntil)
}

// Policy is the one that was asked.
type Policy struct {
	Revision  string `json:"revision"`
	File      string `json:"file"`      // empty: the built-in policy
	Catalogue string `json:"catalogue"` // its digest
	KnownAt   string `json:"known_at"`  // all, clock, or an instant
}

// Restriction is an instrument that the report speaks of.
type Restriction struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Citation string `json:"citation"`
	URL      string `json:"url"`
	Grade    string `json:"grade"`
	Strength string `json:"strength"`
	Mode     string `json:"mode"`
}

// Counts are flows by what matters most. What is none of these is in [Report.Outcomes].
type Counts struct {
	Blocked   int64 `json:"blocked"`         // by a restriction or a rule
	Grace     int64 `json:"passed_in_grace"` // in state grace or warn
	Waived    int64 `json:"waived"`
	Monitored int64 `json:"monitored"` // would be blocked, were the restriction enforced
}

// Summary has the figures of the whole.
type Summary struct {
	Flows          int64    `json:"flows"` // all that the record has for the period
	Devices        int64    `json:"devices"`
	Counts                  // attempts
	Cut            int64    `json:"cut"`             // of those blocked: let through, and cut at the deadline
	DevicesBlocked int64    `json:"devices_blocked"` // with an attempt that was blocked
	DevicesGrace   int64    `json:"devices_passed_in_grace"`
	BytesGrace     int64    `json:"bytes_passed_in_grace"` // to clients
	NextStop       *Instant `json:"next_stop"`
	DevicesAhead   int64    `json:"devices_at_next_stop"`
}

// Instant is a point in time as the text that names it puts it.
type Instant struct {
	At      time.Time `json:"at"`
	Local   string    `json:"local"`   // in the zone of the text; empty where that is UTC, or the text has none
	Zone    string    `json:"zone"`    // likewise, and where the text has only an offset
	Assumed string    `json:"assumed"` // why hour or zone are not the text's own; empty where they are
}

// Device is who asked: known by its MAC, else by its address, and its user where there is one.
type Device struct {
	Name     string   `json:"name"`
	MAC      string   `json:"mac"`
	Hostname string   `json:"hostname"` // the last that was known
	Address  string   `json:"address"`  // the last, of a device that is known by its MAC
	User     string   `json:"user"`     // likewise
	Sites    []string `json:"sites"`    // as recorded; "" is the default site
	Persons  []string `json:"persons"`  // of the policy as it is now
	Relay    bool     `json:"relay"`    // it fetches for others, who are unknown
	Serves   []string `json:"serves"`   // the sites that a relay fetches for
}

// Attempt is what one device asked for at one kind of endpoint.
type Attempt struct {
	Device   Device    `json:"device"`
	Vendor   string    `json:"vendor"` // empty: names that the operator's rules and waivers list
	Channels []string  `json:"channels"`
	First    time.Time `json:"first_seen"`
	Last     time.Time `json:"last_seen"`
	Flows    int64     `json:"attempts"`
	Counts
	Cut          int64      `json:"cut"`
	States       []State    `json:"states"` // in which they were, the strictest first
	FirstBlocked *time.Time `json:"first_blocked"`
	LastBlocked  *time.Time `json:"last_blocked"`
	BlockedSince *Instant   `json:"blocked_since"` // the deadline that the last blocked attempt was after
	Trend        string     `json:"trend"`         // new, rising, steady, falling or stopped
	Halves       [2]int64   `json:"halves"`        // attempts in each half of the period
	Bins         []int64    `json:"bins"`          // attempts, as in Trend
	Waivers      []string   `json:"waivers"`
	Hosts        []Host     `json:"hosts"` // those asked for most, at most [maxHosts]
	MoreHosts    int        `json:"more_hosts"`
	ManyHosts    bool       `json:"many_hosts"` // there were more than were counted
	BytesIn      int64      `json:"bytes_in"`   // from the client
	BytesOut     int64      `json:"bytes_out"`

	device int // by which attempts of one device are told
}

// State is how many flows were in a state of the policy.
type State struct {
	State string `json:"state"`
	Flows int64  `json:"flows"`
}

// Host is how many flows were for a name.
type Host struct {
	Name  string `json:"name"`
	Flows int64  `json:"flows"`
}

// Trend is the period in bins of equal length, in order, the last of which may be cut short.
type Trend struct {
	Days      int        `json:"days"` // of a bin
	Bins      []Bin      `json:"bins"`
	Deadlines []Deadline `json:"deadlines"` // in the period, for what was seen in it
}

// Bin is a part of the period. It begins at midnight UTC, but for the first.
type Bin struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	Counts
}

// Deadline is an instant from which something that was asked for is blocked, or would be.
type Deadline struct {
	Instant  Instant  `json:"instant"`
	By       Cause    `json:"by"`
	Vendor   string   `json:"vendor"`
	Channels []string `json:"channels"`
	Blocks   bool     `json:"blocks"` // false: it is monitored
}

// Cause is what decided: a restriction, a rule, a waiver, a setting or a guard.
type Cause struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// Passed is what went through in a phase of a text.
type Passed struct {
	Restriction string     `json:"restriction"`
	Known       bool       `json:"known"` // false: the policy as it is now has no such phase
	Revision    string     `json:"revision"`
	Citation    string     `json:"citation"`
	URL         string     `json:"url"`
	From        *Instant   `json:"from"`
	Until       *Instant   `json:"until"`
	Vendor      string     `json:"vendor"`
	Channels    []string   `json:"channels"`
	Flows       int64      `json:"flows"` // whole
	Cut         int64      `json:"cut"`   // begun in it, and cut at its end
	Devices     int64      `json:"devices"`
	BytesIn     int64      `json:"bytes_in"`
	BytesOut    int64      `json:"bytes_out"`
	First       *time.Time `json:"first"` // of the whole ones
	Last        *time.Time `json:"last"`
}

// Stop is what will be blocked from an instant on, and whom that hits.
type Stop struct {
	Instant  Instant  `json:"instant"`
	By       Cause    `json:"by"` // what blocks then
	Title    string   `json:"title"`
	Vendor   string   `json:"vendor"`
	Channels []string `json:"channels"`
	Now      string   `json:"state_now"` // at the instant of the report
	NowBy    Cause    `json:"state_now_by"`
	Flows    int64    `json:"flows"` // seen in the period
	Devices  []Device `json:"devices"`
}

// Waiver is an exception of the operator's that was used, or held in the period.
type Waiver struct {
	ID      string     `json:"id"`
	Known   bool       `json:"known"` // false: it is no more in the policy
	Owner   string     `json:"owner"`
	Reason  string     `json:"reason"`
	Until   *Instant   `json:"until"`
	Flows   int64      `json:"flows"`
	Devices int64      `json:"devices"`
	Last    *time.Time `json:"last_use"`
}

// Outcome is how many flows came to the same, for the same reason.
type Outcome struct {
	Verdict string `json:"verdict"`
	State   string `json:"state"`
	By      Cause  `json:"by"`
	Flows   int64  `json:"flows"`
	Devices int64  `json:"devices"`
}
