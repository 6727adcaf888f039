package source

import (
	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

func (r *operatorReader) rule(n *yaml.Node) policy.Rule {
	out := policy.Rule{Pos: r.pos(n)}
	r.mapping(n, "a rule", append(r.target(&out.Target),
		must("id", r.id("a rule", &out.ID)),
		may("sites", r.filled("site", r.words("site", &out.Sites))),
		must("reason", r.text("a reason", &out.Reason)),
		may("final", r.flag(&out.Final)),
		must("phases", r.filled("phase", r.each("phase", func(n *yaml.Node) {
			p := policy.Phase{Channels: policy.AllChannels, Pos: r.pos(n)}
			r.mapping(n, "a phase of a rule",
				must("from", r.instant(&p.From)),
				must("effect", choice(r.reader, "effect", policy.EffectWords, &p.Effect)))
			out.Phases = append(out.Phases, p)
		}))))...)
	return out
}

func (r *operatorReader) waivers(out *[]policy.Waiver) field {
	return section("waivers", r.each("waiver", func(n *yaml.Node) { *out = append(*out, r.waiver(n)) }))
}

func (r *operatorReader) waiver(n *yaml.Node) policy.Waiver {
	out := policy.Waiver{Pos: r.pos(n)}
	r.mapping(n, "a waiver", append(r.target(&out.Target),
		must("id", r.id("a waiver", &out.ID)),
		may("clients", r.clients(&out.Clients)),
		may("users", r.users(&out.Clients)),
		may("sites", r.filled("site", r.words("site", &out.Sites))),
		may("from", func(n *yaml.Node) {
			out.From = new(policy.Instant)
			r.instant(out.From)(n)
		}),
		must("until", r.instant(&out.Until)).or("a waiver without an end", "write until: and an instant"),
		must("owner", r.text("an owner", &out.Owner)).or("a waiver without an owner", "write owner: and who answers for it"),
		must("reason", r.text("a reason", &out.Reason)).or("a waiver without a reason", "write reason: and why"))...)
	return out
}

// target is the keys by which a rule or waiver picks traffic.
func (r *operatorReader) target(out *policy.Target) []field {
	return []field{
		may("vendor", r.text("a vendor", &out.Vendor)),
		may("channels", r.channels(&out.Channels)),
		may("hosts", r.hosts(&out.Hosts)),
		may("zones", r.zones(&out.Zones)),
	}
}
