package timeline

import (
	"strings"

	"github.com/gracegate/gracegate/policy"
)

// Title tells what it is a timeline of.
func (t *Timeline) Title() string {
	if t.Restriction != "" {
		return "what " + t.Restriction + " allows until when, enforced by itself"
	}
	return "what this network's policy allows until when"
}

// Title names the sites, and what binds their clients.
func (s *Site) Title() string {
	names := make([]string, len(s.Names))
	for i, name := range s.Names {
		names[i] = "site " + name
		if name == "" {
			names[i] = "default site"
		}
	}
	by := "none"
	if len(s.Jurisdictions) > 0 {
		by = strings.Join(s.Jurisdictions, ", ")
	}
	if len(names) == 0 {
		return "clients bound by " + by
	}
	return strings.Join(names, ", ") + ", bound by " + by
}

// Title names the vendor.
func (g *Group) Title() string {
	switch {
	case g.Vendor == "":
		return "what no endpoint matches"
	case g.Name == "" || g.Name == g.Vendor:
		return g.Vendor
	}
	return g.Name + " (" + g.Vendor + ")"
}

// WhyNot tells why a restriction is not enforced.
func (r *Restriction) WhyNot() string {
	switch {
	case r.Mode != policy.Enforce:
		return "mode " + r.Mode.String()
	case r.Strength == policy.AdviceOnly:
		return "it is advice"
	default:
		return "it is not verified"
	}
}

// What names the channels of a row, or what it is about where no endpoint matches.
func (r *Row) What() string {
	if len(r.Channels) == 0 {
		return r.Only
	}
	words := make([]string, len(r.Channels))
	for i, c := range r.Channels {
		words[i] = c.String()
	}
	return strings.Join(words, ", ")
}

// Label is the word for what holds. Where the state can go with either verdict, it tells that it blocks.
func (s *Span) Label() string {
	if s.Verdict == policy.Block && s.State != policy.Blocked && s.State != policy.RuleBlocked {
		return s.State.String() + ", block"
	}
	return s.State.String()
}
