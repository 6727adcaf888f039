package policy

import (
	"net/netip"
	"slices"
)

// Check tells every mistake of a policy file that only shows beside the catalogue. Zero values are passed over, so that it can
// also look at a file of which a part could not be read.
func Check(c *Catalog, op *Operator) Problems {
	var problems Problems
	ck := &operatorCheck{catalog: c, op: op, problems: &problems}
	ck.vendors()
	ck.sites()
	ck.persons()
	ck.restrictions()
	ck.rules()
	ck.waivers()
	return problems
}

type operatorCheck struct {
	catalog  *Catalog
	op       *Operator
	problems *Problems
	siteIDs  []string
	own      []string // the operator's vendors
}

// once reports an id that stands among those before it, and adds it to them.
func (ck *operatorCheck) once(ids *[]string, kind, id string, at Pos) {
	if id != "" && slices.Contains(*ids, id) {
		ck.problems.Add(at, "", "%s %q stands twice", kind, id)
	}
	*ids = append(*ids, id)
}

func (ck *operatorCheck) vendors() {
	for i := range ck.op.Vendors {
		v := &ck.op.Vendors[i]
		ck.once(&ck.own, "vendor", v.ID, v.Pos)
		checkEndpoints(v, ck.problems)
	}
}

func (ck *operatorCheck) sites() {
	networks := map[netip.Prefix]string{}
	for i := range ck.op.Sites {
		s := &ck.op.Sites[i]
		ck.once(&ck.siteIDs, "site", s.Name, s.Pos)
		for _, n := range s.Networks {
			if other, ok := networks[n]; ok && n.IsValid() {
				ck.problems.Add(s.Pos, "", "network %s is in site %q, and again in site %q", n, other, s.Name)
			}
			networks[n] = s.Name
		}
		ck.jurisdictions(s.Jurisdictions, s.Pos)
		if s.Relay && len(s.Serves)+len(s.Jurisdictions) == 0 {
			ck.problems.Add(s.Pos, "add serves: with the sites that it fetches for", "site %q is a relay, and nothing says for whom", s.Name)
		}
		if len(s.Serves) > 0 && !s.Relay {
			ck.problems.Add(s.Pos, "add relay: true", "site %q serves others but is no relay", s.Name)
		}
	}
	for i := range ck.op.Sites {
		ck.sitesNamed(ck.op.Sites[i].Serves, ck.op.Sites[i].Pos)
	}
	ck.jurisdictions(ck.op.DefaultSite.Jurisdictions, ck.op.DefaultSite.Pos)
}

func (ck *operatorCheck) persons() {
	var names []string
	for i := range ck.op.Persons {
		p := &ck.op.Persons[i]
		ck.once(&names, "person", p.Name, p.Pos)
		if p.Clients.Empty() {
			ck.problems.Add(p.Pos, "add users or clients", "person %q picks nobody", p.Name)
		}
		ck.jurisdictions(p.Jurisdictions, p.Pos)
	}
}

func (ck *operatorCheck) jurisdictions(ids []string, at Pos) {
	for _, id := range ids {
		if id != "" && !ck.catalog.jurisdictionKnown(id) {
			known := make([]string, len(ck.catalog.Jurisdictions))
			for i := range ck.catalog.Jurisdictions {
				known[i] = ck.catalog.Jurisdictions[i].ID
			}
			ck.problems.Add(at, Known(id, known), "unknown jurisdiction %q", id)
		}
	}
}

func (ck *operatorCheck) sitesNamed(ids []string, at Pos) {
	for _, id := range ids {
		if id != "" && !slices.Contains(ck.siteIDs, id) {
			ck.problems.Add(at, Known(id, ck.siteIDs), "unknown site %q", id)
		}
	}
}

func (ck *operatorCheck) restrictions() {
	var listed, known []string
	for i := range ck.catalog.Restrictions {
		known = append(known, ck.catalog.Restrictions[i].ID)
	}
	for _, l := range ck.op.Restrictions {
		if l.ID != "" && slices.Contains(listed, l.ID) {
			ck.problems.Add(l.Pos, "", "restriction %q is listed twice", l.ID)
		}
		listed = append(listed, l.ID)
		if l.ID != "" && !slices.Contains(known, l.ID) {
			ck.problems.Add(l.Pos, Known(l.ID, known), "unknown restriction %q", l.ID)
		}
	}
}

func (ck *operatorCheck) rules() {
	var ids []string
	for i := range ck.op.Rules {
		r := &ck.op.Rules[i]
		ck.once(&ids, "rule", r.ID, r.Pos)
		ck.target(&r.Target, "rule", r.ID, r.Pos)
		ck.sitesNamed(r.Sites, r.Pos)
		checkPhases(r.Phases, ck.problems)
	}
}

func (ck *operatorCheck) waivers() {
	var ids []string
	for i := range ck.op.Waivers {
		w := &ck.op.Waivers[i]
		ck.once(&ids, "waiver", w.ID, w.Pos)
		ck.target(&w.Target, "waiver", w.ID, w.Pos)
		ck.sitesNamed(w.Sites, w.Pos)
		if w.From != nil && !w.Until.At.IsZero() && !w.From.At.Before(w.Until.At) {
			ck.problems.Add(w.Pos, "", "waiver %q ends at or before its start", w.ID)
		}
	}
}

func (ck *operatorCheck) target(t *Target, kind, id string, at Pos) {
	named := len(t.Hosts)+len(t.Zones) > 0
	switch {
	case t.Vendor == "" && !named && id != "":
		ck.problems.Add(at, "add vendor and channels, or hosts, or zones", "%s %q picks no traffic", kind, id)
	case t.Vendor != "" && named:
		ck.problems.Add(at, "use one or the other", "%s %q has a vendor and also hosts or zones", kind, id)
	case t.Vendor == "" && t.Channels != 0:
		ck.problems.Add(at, "channels go with vendor", "%s %q has channels and no vendor", kind, id)
	case t.Vendor != "":
		if !slices.Contains(ck.own, t.Vendor) {
			ck.catalog.needVendor(t.Vendor, at, ck.problems)
		}
	}
}
