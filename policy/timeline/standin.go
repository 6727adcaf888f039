package timeline

import (
	"slices"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// addStandIns gives every channel of which an enforced restriction speaks, and for which no endpoint is known, one that does not
// exist. So the policy can be asked what it would say of one, by the same function as of all others.
func (s *subject) addStandIns() error {
	op := *s.asked.Operator()
	op.Vendors = slices.Clone(op.Vendors)
	all := s.asked.Catalog().Restrictions
	for i := range all {
		if !s.asked.Enforces(all[i].ID) {
			continue
		}
		for j := range all[i].Revisions {
			text := &all[i].Revisions[j]
			for _, vendor := range text.Vendors {
				for _, c := range (spokenOf(text) &^ carried(s.asked.Catalog().Vendors, vendor) &^ carried(op.Vendors, vendor)).List() {
					s.standIn(&op, vendor, c)
				}
			}
		}
	}
	if len(s.standIns) == 0 {
		return nil
	}
	var err error
	s.Policy, err = policy.Compile(s.asked.Catalog(), &op, policy.Options{
		Revision: s.asked.Revision(), KnownAt: s.asked.KnownAt(), ClockFaults: policy.Allow, RecordFaults: policy.Allow,
	})
	return err
}

// standIn adds an endpoint under a name that is set aside for what does not exist (RFC 6761).
func (s *subject) standIn(op *policy.Operator, vendor string, c policy.Channel) {
	name, err := host.Parse(c.String() + "." + vendor + ".invalid")
	if err != nil {
		return // an id too long for a name
	}
	i := slices.IndexFunc(op.Vendors, func(v policy.Vendor) bool { return v.ID == vendor })
	if i < 0 {
		i = len(op.Vendors)
		op.Vendors = append(op.Vendors, policy.Vendor{ID: vendor, Name: vendor})
	}
	op.Vendors[i].Endpoints = append(slices.Clip(op.Vendors[i].Endpoints), policy.Endpoint{
		Hosts: []host.Name{name}, Channels: policy.Channels(c),
		Sources: []policy.Source{{Title: "a name that does not exist", Grade: policy.GradeOperator}},
	})
	s.standIns[name] = true
}

// spokenOf are the channels that a text names.
func spokenOf(text *policy.Revision) (all policy.ChannelSet) {
	for i := range text.Phases {
		all |= text.Phases[i].Channels
	}
	for i := range text.Floors {
		all |= text.Floors[i].Channels
	}
	return all
}

// carried are the channels of all endpoints of a vendor.
func carried(vendors []policy.Vendor, id string) (all policy.ChannelSet) {
	for i := range vendors {
		if vendors[i].ID != id {
			continue
		}
		for j := range vendors[i].Endpoints {
			all |= vendors[i].Endpoints[j].Channels
		}
	}
	return all
}
