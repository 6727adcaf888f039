package lint

import (
	"slices"

	"github.com/gracegate/gracegate/policy"
)

// protected are the channels that only a final rule can block.
var protected = policy.Channels(policy.Revocation, policy.Connectivity, policy.Local)

var neverBlocked = check{
	name: "rule/never-block", severity: Error, about: "a rule without final for what is never blocked, such as certificate revocation",
	find: func(s *Subject, found func(policy.Pos, string, string, ...any)) {
		for i := range s.Policy.Operator().Rules {
			r := &s.Policy.Operator().Rules[i]
			if r.Final {
				continue
			}
			const hint = "final: true blocks it all the same; think of the clients that then wait for revocation lists"
			for _, c := range r.Target.Channels.List() {
				if protected.Has(c) && r.Target.Channels != policy.AllChannels {
					found(r.Pos, hint, "rule %s names the channel %s, which no rule without final blocks", r.ID, c)
				}
			}
			for _, n := range slices.Concat(r.Target.Hosts, r.Target.Zones) {
				f := (&policy.Destination{Host: n, Port: 443}).Facts(&policy.Asker{})
				if d := s.Policy.Decide(s.Now, &f); d.State == policy.NeverBlock {
					found(r.Pos, hint, "rule %s names %s, which no rule without final blocks", r.ID, n)
				}
			}
		}
	},
}
