package lint

import (
	"time"

	"github.com/gracegate/gracegate/policy"
)

// sourceAge is the age from which on a source is told of.
const sourceAge = 365 * 24 * time.Hour

var oldSource = check{
	name: "source/old", severity: Info, about: "a restriction or endpoint whose source nobody has checked for a year, or that has none",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		look := func(pos policy.Pos, what string, src *policy.Source) {
			day, err := time.Parse(time.DateOnly, src.Checked)
			switch {
			case src.Grade == policy.GradeOperator:
			case src.URL == "" && src.Citation == "":
				found(pos, "add url and checked, so that a reader can follow it", "%s has a source that nobody can find: %q", what, src.Title)
			case err != nil:
				found(pos, "add checked: with the day", "%s has a source without the day on which it was checked: %q", what, src.Title)
			case s.Now.Sub(day) > sourceAge:
				found(pos, "read the source again, and update checked", "%s has a source that was last checked on %s: %q", what, src.Checked, src.Title)
			}
		}
		for _, r := range s.restrictions() {
			for at, src := range sources(r.Restriction) {
				look(r.at(at), r.ID, src)
			}
		}
		vendors := s.vendors()
		for i := range vendors {
			for j := range vendors[i].Endpoints {
				e := &vendors[i].Endpoints[j]
				if len(e.Sources) == 0 {
					found(e.Pos, "sources: [...] names where it is known from", "an endpoint of %s has no source", vendors[i].ID)
				}
				for k := range e.Sources {
					look(e.Pos, "an endpoint of "+vendors[i].ID, &e.Sources[k])
				}
			}
		}
	},
}
