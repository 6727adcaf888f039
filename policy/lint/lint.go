// Package lint looks for what is valid in a policy and yet most likely not meant: a waiver that changes nothing, a rule that
// never decides, a date that somebody assumed.
//
// Each check is a file here and a page in docs/lint. What depends on decisions is asked of the one decision function, over every
// kind of client and destination that the policy can tell apart. The package reads no clock and no file: the present instant is an argument.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// Severity is how much a finding matters.
type Severity string

// The severities. An error is a policy that does not do what it says; a warning is worth a look; the rest is good to know.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// Finding is one thing that a check found.
type Finding struct {
	Check    string // the name of the check, and of its page
	Severity Severity
	Pos      policy.Pos
	Message  string
	Hint     string // what to do
}

// Subject is what is linted.
type Subject struct {
	Policy *policy.Policy
	Now    time.Time
	MaxAge time.Duration // of the catalogue's newest check; 0 is no limit
	// Catalog has the catalogue itself linted too: otherwise only what the operator wrote is.
	Catalog bool

	causes map[cause]bool
}

// check is one thing to look for.
type check struct {
	name     string
	severity Severity
	about    string // for the list of checks
	find     func(s *Subject, found func(pos policy.Pos, hint, format string, args ...any))
}

// checks are all of them, by name.
var checks = []check{
	oldCatalog, pinnedEndpoint, redundantEndpoint, nearFloor, unlistedHost, assumedInstant, bindsNobody, loosensOnly, neverBlocked, shadowedRule,
	overlappingSites, oldSource, expiredWaiver, idleWaiver, longWaiver, publicSuffix,
}

// Check describes a check.
type Check struct {
	Name     string
	Severity Severity
	About    string
}

// Checks lists all checks by name.
func Checks() []Check {
	list := make([]Check, len(checks))
	for i, c := range checks {
		list[i] = Check{c.name, c.severity, c.about}
	}
	return list
}

// Run runs the checks that want is true for, and returns what they find by place, and then by check.
func Run(s *Subject, want func(check string) bool) []Finding {
	var list []Finding
	for i := range checks {
		c := &checks[i]
		if !want(c.name) {
			continue
		}
		c.find(s, func(pos policy.Pos, hint, format string, args ...any) {
			list = append(list, Finding{c.name, c.severity, pos, fmt.Sprintf(format, args...), hint})
		})
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column),
			strings.Compare(a.Check, b.Check), strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(list)
}

// days are the whole days of a duration.
func days(d time.Duration) string {
	n := int(d.Hours() / 24)
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}
