package policy

import (
	"time"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

// PortRange is a range of ports in the form in which it is matched.
type PortRange = match.PortRange

// Pattern is a path pattern in the form in which it is matched.
type Pattern = match.Pattern

// ParsePattern reads a path pattern: see match.ParsePattern.
func ParsePattern(s string) (Pattern, error) { return match.ParsePattern(s) }

// Source is where a fact comes from.
type Source struct {
	ID       string // within its file; empty for a source written in place
	Title    string
	Citation string // as lawyers cite it, "89 FR 52434"
	URL      string
	Checked  string // the day somebody last looked, 2006-01-02
	Grade    Grade
	Note     string
}

// Instant is a point in time as a legal text gives it. At is UTC. Zone is the zone that the text speaks in, for showing it
// again. Assumed says why the hour or zone is not the source's own; it is empty where the source states both.
type Instant struct {
	At      time.Time
	Zone    *time.Location
	Assumed string
}

// Vendor is who distributes, and the endpoints that its software talks to.
type Vendor struct {
	ID, Name  string
	Endpoints []Endpoint
	Pos       Pos
}

// Endpoint is a set of hosts or zones that serve the same channels. One with Paths and no Hosts and Zones is a
// fingerprint: it tells a request by its path alone, and counts only where no endpoint matched the name.
type Endpoint struct {
	Hosts, Zones []host.Name // given up by NewCatalog where they came from a list
	Ports        []PortRange // none: every port
	Paths        []Pattern   // none: every path
	Channels     ChannelSet
	Pinned       bool // clients check the certificate themselves: never intercepted
	LowTrust     bool // a fingerprint of low confidence: monitored, and blocked only by an operator's rule
	Sources      []Source
	FromList     string // the name of the list file, if the names came from one
	Pos          Pos
}

// Restriction is one legal instrument.
type Restriction struct {
	ID, Title string
	Strength  Strength
	Verified  bool
	Zone      *time.Location
	Note      string     // what no other field can say, for people
	Revisions []Revision // by publication
	Stays     []Stay
	Licences  []Licence
	Pos       Pos
}

// Revision is the whole text of a restriction as published at an instant.
type Revision struct {
	Published Instant
	Source    Source
	Binds     []string // jurisdictions
	Vendors   []string
	Exempt    ChannelSet
	ExemptPos Pos
	Phases    []Phase
	Floors    []Floor
	Pos       Pos
}

// Phase holds from an instant until the next phase that names the same channel.
type Phase struct {
	From     Instant
	Effect   Effect
	Channels ChannelSet
	Source   *Source // nil: the revision's
	Pos      Pos
}

// Floor is a permission "until at least": what comes after it is unknown.
type Floor struct {
	AtLeastUntil Instant
	Channels     ChannelSet
	Source       *Source
	Pos          Pos
}

// Stay suspends enforcement of all channels, or of some, in [From, Until). It was published at a third instant, perhaps later
// than From: it then reaches back. With Lifts set it ends the named stay at From instead.
type Stay struct {
	ID        string
	Lifts     string
	Published Instant
	From      Instant
	Until     *Instant // nil: open-ended
	Channels  ChannelSet
	Source    Source
	Pos       Pos
}

// Licence is a positive permission inside a prohibition, in [From, Until). Condition tells a cohort in words that no
// network element can check; it is shown, never judged.
type Licence struct {
	ID          string
	Published   Instant
	From, Until Instant
	Channels    ChannelSet
	Vendors     []string
	Condition   string
	Source      Source
	Pos         Pos
}

// Jurisdiction is an opaque tag for who is bound.
type Jurisdiction struct {
	ID, Name string
	Pos      Pos
}
