package timeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// Options choose what is told.
type Options struct {
	At       time.Time // the present; zero: a picture without one
	From, To time.Time // the window; zero: no bound
	Vendors  []string  // none: all of which the policy says something
	Sites    []string  // none: all; the empty one is the default site

	// Restriction has this one alone, as if it were enforced by itself, for clients whom any text of it binds: no sites, no rules, no
	// waivers, no other restriction. Empty: it is what the policy does.
	Restriction string
}

// Build asks a policy what it says over all time. Sites for which it says the same are joined. One that no client can be in, since
// smaller networks fill it, is left out.
func Build(p *policy.Policy, opts *Options) (*Timeline, error) {
	var err error
	if opts.Restriction != "" {
		if p, err = alone(p, opts.Restriction); err != nil {
			return nil, err
		}
	}
	b := &builder{policy: p, vendors: opts.Vendors, alone: map[string]*subject{}}
	if b.inForce, err = newSubject(p, ""); err != nil {
		return nil, err
	}
	t := &Timeline{At: opts.At, From: opts.From, To: opts.To, KnownAt: p.KnownAt(), Revision: p.Revision(), Restriction: opts.Restriction}
	sites := opts.Sites
	if len(sites) == 0 || opts.Restriction != "" {
		sites = []string{""}
		for i := range p.Operator().Sites {
			sites = append(sites, p.Operator().Sites[i].Name)
		}
	}
	known := map[string]int{}
	for _, name := range sites {
		asker, ok := p.AskerOf(name)
		if !ok {
			continue
		}
		site, err := b.site(&asker)
		if err != nil {
			return nil, err
		}
		key := site.key()
		i, ok := known[key]
		if !ok {
			i = len(t.Sites)
			known[key] = i
			t.Sites = append(t.Sites, site)
		}
		if opts.Restriction == "" && !slices.Contains(t.Sites[i].Names, name) {
			t.Sites[i].Names = append(t.Sites[i].Names, name)
		}
	}
	return t, nil
}

// alone is a policy that enforces one restriction and nothing else, for clients whom any text of it binds.
func alone(p *policy.Policy, restriction string) (*policy.Policy, error) {
	c := *p.Catalog()
	i := slices.IndexFunc(c.Restrictions, func(r policy.Restriction) bool { return r.ID == restriction })
	if i < 0 {
		return nil, fmt.Errorf("unknown restriction %q", restriction)
	}
	c.Restrictions = c.Restrictions[i : i+1]
	op := policy.Operator{
		Restrictions: []policy.Listing{{ID: restriction, Mode: policy.Enforce}}, Settings: p.Operator().Settings, Vendors: p.Operator().Vendors,
	}
	for i := range c.Restrictions[0].Revisions {
		for _, id := range c.Restrictions[0].Revisions[i].Binds {
			if !slices.Contains(op.DefaultSite.Jurisdictions, id) {
				op.DefaultSite.Jurisdictions = append(op.DefaultSite.Jurisdictions, id)
			}
		}
	}
	op.Settings.Mode, op.Settings.Default = policy.Off, policy.Allow
	return policy.Compile(&c, &op, policy.Options{
		Revision: p.Revision(), KnownAt: p.KnownAt(), ClockFaults: policy.Allow, RecordFaults: policy.Allow,
	})
}

// builder asks for one site after the other.
type builder struct {
	policy  *policy.Policy
	vendors []string
	inForce *subject
	alone   map[string]*subject // by restriction
}

// subject is a policy that is asked, with all that it can tell apart.
type subject struct {
	*policy.Policy                // with stand-ins
	asked          *policy.Policy // without them
	only           string         // the restriction that alone is enforced; empty: it is the policy in force
	destinations   []policy.Destination
	standIns       map[host.Name]bool
}

func newSubject(p *policy.Policy, only string) (*subject, error) {
	s := &subject{Policy: p, asked: p, only: only, standIns: map[host.Name]bool{}}
	if err := s.addStandIns(); err != nil {
		return nil, err
	}
	s.destinations = s.Destinations()
	return s, nil
}

// hypothesis is the policy in which one restriction is enforced, and nothing else decides.
func (b *builder) hypothesis(restriction string) (*subject, error) {
	if s, ok := b.alone[restriction]; ok {
		return s, nil
	}
	op := *b.policy.Operator()
	op.Restrictions = []policy.Listing{{ID: restriction, Mode: policy.Enforce}}
	op.Settings.Mode, op.Settings.Default = policy.Off, policy.Allow
	op.Rules, op.Waivers = nil, nil
	p, err := policy.Compile(b.policy.Catalog(), &op, policy.Options{
		Revision: b.policy.Revision(), KnownAt: b.policy.KnownAt(), ClockFaults: policy.Allow, RecordFaults: policy.Allow,
	})
	if err != nil {
		return nil, err
	}
	s, err := newSubject(p, restriction)
	b.alone[restriction] = s
	return s, err
}

func (b *builder) site(a *policy.Asker) (Site, error) {
	f := policy.Facts{Client: a.Client}
	d := b.policy.Decide(time.Time{}, &f)
	s := Site{Jurisdictions: d.Jurisdictions()}
	s.Groups = b.groups(b.inForce, a, s.Jurisdictions)
	all := b.policy.Catalog().Restrictions
	for i := range all {
		r := &all[i]
		if b.policy.Enforces(r.ID) || !slices.ContainsFunc(r.Revisions, func(v policy.Revision) bool { return binds(&v, s.Jurisdictions) }) {
			continue
		}
		h, err := b.hypothesis(r.ID)
		if err != nil {
			return s, err
		}
		s.Groups = append(s.Groups, b.groups(h, a, s.Jurisdictions)...)
	}
	return s, nil
}

func binds(r *policy.Revision, jurisdictions []string) bool {
	return slices.ContainsFunc(r.Binds, func(id string) bool { return slices.Contains(jurisdictions, id) })
}

// groups has one for each vendor of which the subject says something, by name; what no endpoint matches comes last.
func (b *builder) groups(s *subject, a *policy.Asker, jurisdictions []string) (list []Group) {
	vendors := vendorsOf(b.policy)
	slices.SortFunc(vendors, func(x, y vendor) int { return strings.Compare(x.id, y.id) })
	for _, v := range append(vendors, vendor{}) {
		if len(b.vendors) > 0 && !slices.Contains(b.vendors, v.id) {
			continue
		}
		g := Group{Vendor: v.id, Name: v.name, Hypothetical: s.only != "", Restrictions: s.restrictions(v.id, jurisdictions, b.policy)}
		if g.Hypothetical && len(g.Restrictions) == 0 {
			continue
		}
		w := &weaver{subject: s, group: &g, asker: a}
		g.Rows = w.rows()
		named := len(b.vendors) > 0 && s.only == ""
		if len(g.Rows) > 0 && (named || len(g.Restrictions) > 0 || slices.ContainsFunc(g.Rows, Row.byOperator)) {
			g.Marks = s.marks(&g)
			list = append(list, g)
		}
	}
	return list
}

// byOperator tells whether the operator's own word decides at any time.
func (r Row) byOperator() bool {
	return slices.ContainsFunc(r.Spans, func(s Span) bool {
		return s.By.Kind == "rule" || s.By.Kind == "waiver" || s.By.Kind == "default" || s.Verdict == policy.Block
	})
}

type vendor struct{ id, name string }

func vendorsOf(p *policy.Policy) (list []vendor) {
	for _, vendors := range [][]policy.Vendor{p.Catalog().Vendors, p.Operator().Vendors} {
		for i := range vendors {
			v := vendor{vendors[i].ID, vendors[i].Name}
			if !slices.ContainsFunc(list, func(w vendor) bool { return w.id == v.id }) {
				list = append(list, v)
			}
		}
	}
	return list
}

// restrictions are those that the subject enforces and that have a text about the vendor which binds the jurisdictions. Modes are
// those of the policy in force.
func (s *subject) restrictions(vendor string, jurisdictions []string, inForce *policy.Policy) (list []Restriction) {
	all := s.Catalog().Restrictions
	for i := range all {
		r := Restriction{Restriction: &all[i], Enforced: inForce.Enforces(all[i].ID)}
		if !s.Enforces(r.ID) {
			continue
		}
		r.Mode, _ = inForce.Mode(r.ID)
		concerned := false
		for j := range r.Revisions {
			if v := &r.Revisions[j]; s.knows(&v.Published) {
				r.Texts = append(r.Texts, *v)
				concerned = concerned || slices.Contains(v.Vendors, vendor) && binds(v, jurisdictions)
			}
		}
		if concerned {
			list = append(list, r)
		}
	}
	return list
}

// knows tells whether what was published at an instant is seen by the policy.
func (s *subject) knows(published *policy.Instant) bool {
	return s.KnownAt().Sees(published.At)
}

// key is equal for sites of which the same is told.
func (s *Site) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q", s.Jurisdictions)
	for i := range s.Groups {
		g := &s.Groups[i]
		fmt.Fprintf(&b, "\n%q %t", g.Vendor, g.Hypothetical)
		for _, r := range g.Restrictions {
			fmt.Fprintf(&b, " %q", r.ID)
		}
		for j := range g.Rows {
			r := &g.Rows[j]
			fmt.Fprintf(&b, "\n%v %q %t %s", r.Channels, r.Only, r.NotSeparable, keyOf(r.Spans))
		}
	}
	return b.String()
}
