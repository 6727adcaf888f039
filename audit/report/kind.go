package report

import (
	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// nameOf is the host that a person would look for: where an address was asked for, the name in the hello tells more.
func nameOf(s *audit.Seen) host.Name {
	if s.Host.IsAddr() && !s.SNI.IsZero() {
		return s.SNI
	}
	return s.Host
}

// kind is what an attempt counts as.
type kind uint8

const (
	other kind = iota
	blocked
	grace
	waived
	monitored
)

func kindOf(s *audit.Seen) kind {
	switch {
	case s.Verdict == policy.Block:
		if s.Category == "restriction" || s.Category == "rule" {
			return blocked
		}
	case s.State == policy.Grace || s.State == policy.Warn:
		return grace
	case s.State == policy.Waived:
		return waived
	case s.State == policy.Monitored:
		return monitored
	}
	return other
}

func (c *Counts) add(k kind, n int64) {
	switch k {
	case blocked:
		c.Blocked += n
	case grace:
		c.Grace += n
	case waived:
		c.Waived += n
	case monitored:
		c.Monitored += n
	case other:
	}
}

// Sum is the number of flows in all four.
func (c *Counts) Sum() int64 { return c.Blocked + c.Grace + c.Waived + c.Monitored }

// dated tells whether a state is one that the dated law brings about: what passes for good (out of scope, exempt, never
// blocked, open) is no attempt at what ended or will.
func dated(s policy.State) bool {
	return s >= policy.Waived && s <= policy.Blocked && s != policy.Unseen
}
