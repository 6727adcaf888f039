package policy

import (
	"slices"
)

// What a reader of YAML cannot know alone: whether the parts name each other rightly. Zero values are passed over, since the
// reader has reported them already.

func checkEndpoints(v *Vendor, problems *Problems) {
	for i := range v.Endpoints {
		e := &v.Endpoints[i]
		if len(e.Sources) == 0 {
			problems.Add(e.Pos, "name at least one of the file's sources", "an endpoint of %s has no source", v.ID)
		}
		if e.Channels == 0 {
			problems.Add(e.Pos, "", "an endpoint of %s has no channel", v.ID)
		}
		if len(e.Hosts)+len(e.Zones) == 0 && (e.FromList != "" || len(e.Paths) == 0) {
			problems.Add(e.Pos, "", "an endpoint of %s has no name", v.ID)
		}
		if anyZero(e.Hosts) || anyZero(e.Zones) {
			problems.Add(e.Pos, "", "an endpoint of %s has an empty name", v.ID)
		}
	}
}

func checkRestrictions(c *Catalog, problems *Problems) {
	seen := map[string]Pos{}
	for i := range c.Restrictions {
		r := &c.Restrictions[i]
		if at, ok := seen[r.ID]; ok && r.ID != "" {
			problems.Add(r.Pos, "", "restriction %q is already defined at %s", r.ID, at)
		} else {
			seen[r.ID] = r.Pos
		}
		if len(r.Revisions) == 0 {
			problems.Add(r.Pos, "", "restriction %q has no revision", r.ID)
		}
		for j := range r.Revisions {
			rev := &r.Revisions[j]
			if j > 0 && !rev.Published.At.IsZero() && !rev.Published.At.After(r.Revisions[j-1].Published.At) {
				problems.Add(rev.Pos, "revisions are appended, each published after the one before it",
					"a revision of %q is not published after the one above it", r.ID)
			}
			for _, id := range rev.Vendors {
				c.needVendor(id, rev.Pos, problems)
			}
			if len(rev.Binds) == 0 {
				problems.Add(rev.Pos, "", "a revision of %q binds nobody", r.ID)
			}
			checkPhases(rev.Phases, problems)
		}
		checkStays(r, problems)
		for j := range r.Licences {
			l := &r.Licences[j]
			for _, id := range l.Vendors {
				c.needVendor(id, l.Pos, problems)
			}
			if !l.From.At.IsZero() && !l.Until.At.IsZero() && !l.From.At.Before(l.Until.At) {
				problems.Add(l.Pos, "", "licence %q ends at or before its start", l.ID)
			}
		}
	}
}

func checkStays(r *Restriction, problems *Problems) {
	ids := map[string]bool{}
	for i := range r.Stays {
		s := &r.Stays[i]
		switch {
		case s.Lifts != "" && !ids[s.Lifts]:
			problems.Add(s.Pos, "a lift stands after the stay that it ends", "no stay %q stands above in restriction %q", s.Lifts, r.ID)
		case s.Lifts == "" && s.ID != "" && ids[s.ID]:
			problems.Add(s.Pos, "", "stay %q stands twice in restriction %q", s.ID, r.ID)
		case s.Lifts == "" && s.Until != nil && !s.Until.At.IsZero() && !s.From.At.IsZero() && !s.From.At.Before(s.Until.At):
			problems.Add(s.Pos, "", "stay %q ends at or before its start", s.ID)
		}
		if s.Lifts == "" {
			ids[s.ID] = true
		}
	}
}

// checkPhases refuses a channel that two phases give an effect at one instant.
func checkPhases(phases []Phase, problems *Problems) {
	for i := range phases {
		for j := range i {
			both := phases[i].Channels & phases[j].Channels
			if both == 0 || phases[i].From.At.IsZero() || !phases[i].From.At.Equal(phases[j].From.At) {
				continue
			}
			problems.Add(phases[i].Pos, "", "channel %s has a second phase at %s, after the one at line %d",
				both.List()[0], phases[i].From.At.UTC().Format("2006-01-02T15:04:05.999999999Z07:00"), phases[j].Pos.Line)
		}
	}
}

func (c *Catalog) needVendor(id string, at Pos, problems *Problems) {
	if _, ok := c.vendorAt[id]; !ok && id != "" {
		problems.Add(at, Known(id, c.vendorIDs()), "unknown vendor %q", id)
	}
}

func (c *Catalog) vendorIDs() []string {
	ids := make([]string, 0, len(c.vendorAt))
	for id := range c.vendorAt {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
