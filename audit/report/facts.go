package report

import (
	"net/url"
	"strings"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// factsOf gives the facts that a decision about what was seen rested on. The clock was trusted and the record worked: what was
// refused because they did not is decided again as if they had.
func factsOf(s *audit.Seen) policy.Facts {
	f := policy.Facts{
		Client: s.Client, User: s.User, MAC: s.MAC, Stage: policy.StageAuthority, Method: s.Method, Scheme: s.Scheme,
		Authority: s.Host, Port: s.Port, SNI: s.SNI, Hello: s.Hello, ECH: s.ECH,
	}
	switch {
	case s.Kind != "tunnel":
		f.Stage, f.Path = policy.StageRequest, s.Path
		f.Inner = s.Host
		if s.Scheme == "https" && !s.SNI.IsZero() { // decrypted: a request for another host than its hello's is refused
			f.Inner = s.SNI
		}
		f.PathAgain = readAgain(s.Path)
	case s.Hello != policy.HelloUnseen:
		f.Stage = policy.StageHello
	}
	return f
}

// readAgain is how a more lenient server could read a path that was read once: see policy.ReadPath, to which it is given as
// a client would have to write it.
func readAgain(path string) string {
	if !strings.ContainsAny(path, `%\;`) {
		return ""
	}
	same, again, ok := policy.ReadPath((&url.URL{Path: path}).EscapedPath())
	if !ok || same != path {
		return ""
	}
	return again
}

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
