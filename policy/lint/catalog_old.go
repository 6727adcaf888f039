package lint

import (
	"time"

	"github.com/gracegate/gracegate/policy"
)

var oldCatalog = check{
	name: "catalog/old", severity: Warning, about: "a catalogue in which nobody has looked for longer than policy.max-age",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		newest := Checked(s.Policy.Catalog())
		if s.MaxAge == 0 || newest.IsZero() {
			return
		}
		if age := s.Now.Sub(newest); age > s.MaxAge {
			found(s.Policy.Operator().Pos, "update gracegate, or policy.catalog; policy.max-age says what is too old",
				"the newest source of the catalogue was checked on %s, %s ago", newest.Format(time.DateOnly), days(age))
		}
	},
}

// Checked is the day, at midnight UTC, on which somebody last checked a source of the catalogue; zero if no source says.
func Checked(c *policy.Catalog) (newest time.Time) {
	look := func(src *policy.Source) {
		if day, err := time.Parse(time.DateOnly, src.Checked); err == nil && day.After(newest) {
			newest = day
		}
	}
	for i := range c.Vendors {
		for j := range c.Vendors[i].Endpoints {
			for k := range c.Vendors[i].Endpoints[j].Sources {
				look(&c.Vendors[i].Endpoints[j].Sources[k])
			}
		}
	}
	for i := range c.Restrictions {
		for _, src := range sources(&c.Restrictions[i]) {
			look(src)
		}
	}
	return newest
}
