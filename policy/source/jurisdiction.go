package source

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// Jurisdictions reads the list of the jurisdictions that are known from the start.
func Jurisdictions(f File) ([]policy.Jurisdiction, policy.Problems) {
	r := &reader{file: f.Name}
	root := r.document(f.Data, "begin with jurisdictions:")
	if root == nil {
		return nil, r.done()
	}
	var out []policy.Jurisdiction
	r.mapping(root, "the file of jurisdictions",
		must("jurisdictions", r.each("jurisdiction", func(n *yaml.Node) {
			j := policy.Jurisdiction{Pos: r.pos(n)}
			r.mapping(n, "a jurisdiction",
				must("id", r.id("a jurisdiction", &j.ID)),
				must("name", r.text("a name", &j.Name)))
			if j.ID != "" && slices.ContainsFunc(out, func(have policy.Jurisdiction) bool { return have.ID == j.ID }) {
				r.wrong(n, "", "jurisdiction %q stands twice", j.ID)
				return
			}
			out = append(out, j)
		})))
	return out, r.done()
}
