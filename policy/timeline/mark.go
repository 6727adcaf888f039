package timeline

import (
	"cmp"
	"slices"
)

// marks lists what the texts have of stays, licences and floors for the group's vendor, as far as it is known, by their beginning.
func (s *subject) marks(g *Group) []Mark {
	var list []Mark
	for i := range g.Restrictions {
		r := &g.Restrictions[i]
		list = append(list, s.staysOf(r)...)
		list = append(list, s.licencesOf(r, g.Vendor)...)
		list = append(list, floorsOf(r, g.Vendor)...)
	}
	slices.SortStableFunc(list, func(a, b Mark) int {
		return cmp.Or(a.From.At.Compare(b.From.At), comparePublished(&a, &b), cmp.Compare(a.ID, b.ID))
	})
	return list
}

func comparePublished(a, b *Mark) int {
	if a.Published == nil || b.Published == nil {
		return 0
	}
	return a.Published.At.Compare(b.Published.At)
}

func (s *subject) staysOf(r *Restriction) (list []Mark) {
	for i := range r.Stays {
		stay := &r.Stays[i]
		if !s.knows(&stay.Published) {
			continue
		}
		m := Mark{
			Kind: "stay", ID: stay.ID, Restriction: r.ID, Channels: stay.Channels, From: stay.From, Until: stay.Until,
			Published: &stay.Published, Source: &stay.Source,
		}
		if stay.Lifts != "" {
			m.Kind, m.ID = "lift", stay.Lifts
		}
		list = append(list, m)
	}
	return list
}

func (s *subject) licencesOf(r *Restriction, vendor string) (list []Mark) {
	for i := range r.Licences {
		l := &r.Licences[i]
		if s.knows(&l.Published) && (len(l.Vendors) == 0 || slices.Contains(l.Vendors, vendor)) {
			list = append(list, Mark{
				Kind: "licence", ID: l.ID, Restriction: r.ID, Channels: l.Channels, From: l.From, Until: &l.Until,
				Published: &l.Published, Condition: l.Condition, Source: &l.Source,
			})
		}
	}
	return list
}

// floorsOf are those of the latest text about the vendor.
func floorsOf(r *Restriction, vendor string) (list []Mark) {
	for i := len(r.Texts) - 1; i >= 0; i-- {
		text := &r.Texts[i]
		if !slices.Contains(text.Vendors, vendor) {
			continue
		}
		for j := range text.Floors {
			f := &text.Floors[j]
			list = append(list, Mark{Kind: "floor", Restriction: r.ID, Channels: f.Channels, From: f.AtLeastUntil, Source: cmp.Or(f.Source, &text.Source)})
		}
		break
	}
	return list
}
