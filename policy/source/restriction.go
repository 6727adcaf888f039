package source

import (
	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// Restriction reads a restriction file of the catalogue. Its instants may be bare dates if it names a zone; `assumed` beside
// an instant or a pair of them is the Assumed of each.
func Restriction(f File) (policy.Restriction, policy.Problems) {
	r := &reader{file: f.Name}
	out := policy.Restriction{Verified: true}
	if root := r.document(f.Data, "begin with restriction: and its id"); root != nil {
		r.restriction(root, &out)
	}
	return out, r.done()
}

func (r *reader) restriction(n *yaml.Node, out *policy.Restriction) {
	out.Pos = r.pos(n)
	r.mapping(n, "a restriction",
		must("restriction", r.id("a restriction", &out.ID)),
		must("title", r.text("a title", &out.Title)),
		must("strength", choice(r, "strength", policy.StrengthWords, &out.Strength)),
		may("zone", r.fileZone(&out.Zone)),
		may("verified", r.flag(&out.Verified)),
		may("note", r.text("a note", &out.Note)),
		// That there is one, and that it binds somebody, is for policy.NewCatalog to say.
		section("revisions", r.each("revision", func(n *yaml.Node) { out.Revisions = append(out.Revisions, r.revision(n)) })),
		section("stays", r.each("stay", func(n *yaml.Node) { out.Stays = append(out.Stays, r.stay(n)) })),
		section("licences", r.each("licence", func(n *yaml.Node) { out.Licences = append(out.Licences, r.licence(n)) })))
}

func (r *reader) revision(n *yaml.Node) policy.Revision {
	out := policy.Revision{Pos: r.pos(n)}
	r.mapping(n, "a revision",
		must("published", r.instant(&out.Published)),
		must("source", r.cite(&out.Source)),
		section("binds", r.ids("jurisdiction", &out.Binds)),
		must("vendors", r.filled("vendor", r.words("vendor", &out.Vendors))).or("a revision without vendors", "write vendors: and their ids"),
		may("exempt", func(n *yaml.Node) {
			out.ExemptPos = r.pos(n)
			r.anyChannels(&out.Exempt)(n)
		}),
		section("phases", r.each("phase", func(n *yaml.Node) { out.Phases = append(out.Phases, r.phase(n)) })),
		section("floors", r.each("floor", func(n *yaml.Node) { out.Floors = append(out.Floors, r.floor(n)) })),
		may("note", r.text("a note", new(string))))
	return out
}

func (r *reader) phase(n *yaml.Node) policy.Phase {
	out := policy.Phase{Pos: r.pos(n)}
	var assumed string
	r.mapping(n, "a phase",
		must("from", r.instant(&out.From)),
		must("effect", choice(r, "effect", policy.EffectWords, &out.Effect)),
		must("channels", r.channels(&out.Channels)),
		may("assumed", r.text("what is assumed", &assumed)),
		may("source", r.maybeCite(&out.Source)))
	out.From.Assumed = assumed
	return out
}

func (r *reader) floor(n *yaml.Node) policy.Floor {
	out := policy.Floor{Pos: r.pos(n)}
	var assumed string
	r.mapping(n, "a floor",
		must("channels", r.channels(&out.Channels)),
		must("at-least-until", r.instant(&out.AtLeastUntil)),
		may("assumed", r.text("what is assumed", &assumed)),
		may("source", r.maybeCite(&out.Source)))
	out.AtLeastUntil.Assumed = assumed
	return out
}

// stay reads a stay, or the lifting of one.
func (r *reader) stay(n *yaml.Node) policy.Stay {
	out := policy.Stay{Channels: policy.AllChannels, Pos: r.pos(n)}
	var assumed string
	if n.Kind == yaml.MappingNode && hasKey(n, "lifts") {
		r.mapping(n, "the lifting of a stay",
			must("lifts", r.text("a stay", &out.Lifts)),
			must("published", r.instant(&out.Published)),
			may("from", r.instant(&out.From)),
			may("assumed", r.text("what is assumed", &assumed)),
			must("source", r.cite(&out.Source)))
		if !hasKey(n, "from") {
			out.From = out.Published
		}
		out.From.Assumed = assumed
		return out
	}
	var until policy.Instant
	r.mapping(n, "a stay",
		must("id", r.id("a stay", &out.ID)),
		must("published", r.instant(&out.Published)),
		must("from", r.instant(&out.From)),
		may("until", func(n *yaml.Node) {
			out.Until = &until
			r.instant(&until)(n)
		}),
		may("channels", func(n *yaml.Node) {
			out.Channels = 0
			r.channels(&out.Channels)(n)
		}),
		may("assumed", r.text("what is assumed", &assumed)),
		must("source", r.cite(&out.Source)))
	out.From.Assumed, until.Assumed = assumed, assumed
	return out
}

func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (r *reader) licence(n *yaml.Node) policy.Licence {
	out := policy.Licence{Pos: r.pos(n)}
	var assumed string
	r.mapping(n, "a licence",
		must("id", r.id("a licence", &out.ID)),
		must("published", r.instant(&out.Published)),
		must("from", r.instant(&out.From)),
		must("until", r.instant(&out.Until)).or("a licence without an end", "write until: and an instant"),
		must("channels", r.channels(&out.Channels)),
		may("vendors", r.filled("vendor", r.words("vendor", &out.Vendors))),
		may("condition", r.text("a condition", &out.Condition)),
		may("assumed", r.text("what is assumed", &assumed)),
		must("source", r.cite(&out.Source)))
	out.From.Assumed, out.Until.Assumed = assumed, assumed
	return out
}
