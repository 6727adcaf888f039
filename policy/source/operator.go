package source

import (
	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// Operator reads the operator's policy file. Settings that it leaves out are those of policy.DefaultSettings. The vendors in
// it may be addresses and need no sources: one that names the file, of grade operator, is then theirs.
func Operator(f File) (policy.Operator, policy.Problems) {
	r := &reader{file: f.Name}
	out := policy.Operator{Settings: policy.DefaultSettings()}
	if root := r.document(f.Data, "begin with version: 1"); root != nil && r.version(root) {
		o := &operatorReader{
			nameReader: nameReader{reader: r, addresses: true},
			vendors:    vendorReader{nameReader: nameReader{reader: r, addresses: true}, operator: true},
		}
		o.file(root, &out)
	}
	return out, r.done()
}

// Waivers reads a file that holds nothing but waivers, in the grammar of the operator's file. It has no zone, so that each of
// its instants says its own.
func Waivers(f File) ([]policy.Waiver, policy.Problems) {
	r := &reader{file: f.Name}
	var out []policy.Waiver
	if root := r.document(f.Data, "begin with waivers:"); root != nil {
		o := &operatorReader{nameReader: nameReader{reader: r, addresses: true}}
		list := o.waivers(&out)
		list.needed = true
		r.mapping(root, "the file of waivers", list)
	}
	return out, r.done()
}

type operatorReader struct {
	nameReader
	vendors vendorReader
}

// version tells whether the file is of the version that is read here. In one of another, each key could be a mistake.
func (r *reader) version(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return true
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if v := n.Content[i+1]; n.Content[i].Value == "version" && (v.Kind != yaml.ScalarNode || v.Value != "1") {
			r.wrong(v, "write version: 1", "version %s is not read", describe(v))
			return false
		}
	}
	return true
}

func (r *operatorReader) file(n *yaml.Node, out *policy.Operator) {
	out.Pos = r.pos(n)
	r.mapping(n, "the policy",
		must("version", func(*yaml.Node) {}).or("a policy without its version", "write version: 1"),
		may("zone", r.fileZone(nil)),
		section("sites", r.each("site", func(n *yaml.Node) { out.Sites = append(out.Sites, r.site(n)) })),
		section("default-site", func(n *yaml.Node) {
			out.DefaultSite.Pos = r.pos(n)
			r.mapping(n, "the default site",
				must("jurisdictions", r.words("jurisdiction", &out.DefaultSite.Jurisdictions)))
		}),
		section("persons", r.each("person", func(n *yaml.Node) { out.Persons = append(out.Persons, r.person(n)) })),
		section("restrictions", r.each("restriction", func(n *yaml.Node) {
			out.Restrictions = append(out.Restrictions, r.listing(n))
		})),
		section("vendors", r.each("vendor", func(n *yaml.Node) { out.Vendors = append(out.Vendors, r.vendors.vendor(n)) })),
		section("rules", r.each("rule", func(n *yaml.Node) { out.Rules = append(out.Rules, r.rule(n)) })),
		r.waivers(&out.Waivers),
		section("settings", func(n *yaml.Node) { r.settings(n, &out.Settings) }))
}

func (r *operatorReader) site(n *yaml.Node) policy.Site {
	out := policy.Site{Pos: r.pos(n)}
	stated := false
	isMapping := r.mapping(n, "a site",
		must("name", r.id("a site", &out.Name)),
		must("networks", r.networks(&out.Networks)),
		may("jurisdictions", func(n *yaml.Node) {
			stated = true
			r.words("jurisdiction", &out.Jurisdictions)(n)
		}),
		may("relay", r.flag(&out.Relay)),
		may("serves", r.words("site", &out.Serves)))
	// What binds a relay is what binds those whom it serves. Of any other site nothing may be taken for granted.
	if isMapping && !stated && !out.Relay {
		r.wrong(n, "write jurisdictions: [US], or [] if none binds it", "a site without jurisdictions")
	}
	return out
}

func (r *operatorReader) person(n *yaml.Node) policy.Person {
	out := policy.Person{Pos: r.pos(n)}
	r.mapping(n, "a person",
		must("name", r.id("a person", &out.Name)),
		may("users", r.users(&out.Clients)),
		may("clients", r.clients(&out.Clients)),
		must("jurisdictions", r.filled("jurisdiction", r.words("jurisdiction", &out.Jurisdictions))))
	return out
}

func (r *operatorReader) listing(n *yaml.Node) policy.Listing {
	out := policy.Listing{Pos: r.pos(n)}
	r.mapping(n, "a restriction",
		must("id", r.text("a restriction", &out.ID)),
		must("mode", choice(r.reader, "mode", policy.ModeWords, &out.Mode)))
	return out
}
