package lint

import (
	"iter"
	"slices"

	"github.com/gracegate/gracegate/policy"
)

// vendors are those that the subject is about: the operator's own, and the catalogue's too where that is linted.
func (s *Subject) vendors() []policy.Vendor {
	if s.Catalog {
		return slices.Concat(s.Policy.Catalog().Vendors, s.Policy.Operator().Vendors)
	}
	return s.Policy.Operator().Vendors
}

// restriction is one of the catalogue with the place at which to tell of it.
type restriction struct {
	*policy.Restriction
	listed policy.Pos // zero: told of where it is written
}

// at is where to tell of a part.
func (r *restriction) at(part policy.Pos) policy.Pos {
	if r.listed != (policy.Pos{}) {
		return r.listed
	}
	return part
}

// restrictions are those that the policy enforces, told of where the file lists them, or the file as such; or all, where they are
// written.
func (s *Subject) restrictions() (list []restriction) {
	all := s.Policy.Catalog().Restrictions
	op := s.Policy.Operator()
	for i := range all {
		r := restriction{Restriction: &all[i]}
		if !s.Catalog {
			if !s.Policy.Enforces(r.ID) {
				continue
			}
			r.listed = op.Pos
			if l := slices.IndexFunc(op.Restrictions, func(l policy.Listing) bool { return l.ID == r.ID }); l >= 0 {
				r.listed = op.Restrictions[l].Pos
			} else if !s.binds(r.Restriction) { // by settings.mode, and without an effect here
				continue
			}
		}
		list = append(list, r)
	}
	return list
}

// sees tells whether what was published at an instant is known at present.
func (s *Subject) sees(published policy.Instant) bool {
	h := s.Policy.KnownAt()
	if h.Clock {
		h = policy.Horizon{At: s.Now}
	}
	return h.Sees(published.At)
}

// text is the latest revision of a restriction that is known at present, or nil.
func (s *Subject) text(r *policy.Restriction) *policy.Revision {
	for i := len(r.Revisions) - 1; i >= 0; i-- {
		if s.sees(r.Revisions[i].Published) {
			return &r.Revisions[i]
		}
	}
	return nil
}

// binds tells whether any text of a restriction binds a site or person of the policy.
func (s *Subject) binds(r *policy.Restriction) bool {
	op := s.Policy.Operator()
	bound := slices.Clone(op.DefaultSite.Jurisdictions)
	for i := range op.Sites {
		bound = append(bound, op.Sites[i].Jurisdictions...)
	}
	for i := range op.Persons {
		bound = append(bound, op.Persons[i].Jurisdictions...)
	}
	for i := range r.Revisions {
		if slices.ContainsFunc(r.Revisions[i].Binds, func(tag string) bool { return slices.Contains(bound, tag) }) {
			return true
		}
	}
	return false
}

// sources yields every source that a restriction cites, with the place of what rests on it.
func sources(r *policy.Restriction) iter.Seq2[policy.Pos, *policy.Source] {
	return func(yield func(policy.Pos, *policy.Source) bool) {
		for i := range r.Revisions {
			rev := &r.Revisions[i]
			if !yield(rev.Pos, &rev.Source) {
				return
			}
			for j := range rev.Phases {
				if src := rev.Phases[j].Source; src != nil && !yield(rev.Phases[j].Pos, src) {
					return
				}
			}
			for j := range rev.Floors {
				if src := rev.Floors[j].Source; src != nil && !yield(rev.Floors[j].Pos, src) {
					return
				}
			}
		}
		for i := range r.Stays {
			if !yield(r.Stays[i].Pos, &r.Stays[i].Source) {
				return
			}
		}
		for i := range r.Licences {
			if !yield(r.Licences[i].Pos, &r.Licences[i].Source) {
				return
			}
		}
	}
}
