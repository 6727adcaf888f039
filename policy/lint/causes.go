package lint

import "github.com/gracegate/gracegate/policy"

// cause is a rule or waiver that makes a difference somewhere.
type cause struct{ kind, id string }

// decides tells whether a rule or waiver makes a difference, for any client and destination at any instant: a rule, that it is what a
// decision rests on; a waiver, that without waivers there would be a block, or one if more were enforced.
func (s *Subject) decides(kind, id string) bool {
	if s.causes == nil {
		s.causes = map[cause]bool{}
		bare := *s.Policy.Operator()
		bare.Waivers = nil
		without, err := policy.Compile(s.Policy.Catalog(), &bare, policy.Options{KnownAt: s.Policy.KnownAt()})
		if err != nil {
			panic(err) // what compiles with waivers does without
		}
		for f := range policy.Flows(without, s.Policy) {
			s.note(without, f)
		}
	}
	return s.causes[cause{kind, id}]
}

func (s *Subject) note(without *policy.Policy, f *policy.Facts) {
	for _, span := range s.Policy.History(f) {
		if c := span.Cause(); c.Kind == "rule" {
			s.causes[cause{c.Kind, c.ID}] = true
		}
	}
	for _, d := range policy.Compare(without, s.Policy, f) {
		if c := d.New.Cause(); c.Kind == "waiver" && (d.Old.Verdict == policy.Block || d.Old.Would == policy.Block) {
			s.causes[cause{c.Kind, c.ID}] = true
		}
	}
}
