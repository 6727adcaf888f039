package source

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// Vendor reads a vendor file of the catalogue. list returns the text of a list file, by its path relative to the directory of
// the vendor file, with slashes and never outside it; nil: no list may be named.
//
// Braces in hosts and zones are expanded, to at most 10,000 names an entry and 1,000,000 a file without its lists. An endpoint
// in which there is any mistake is left out of the result.
func Vendor(f File, list func(name string) ([]byte, error)) (policy.Vendor, policy.Problems) {
	r := &reader{file: f.Name}
	v := &vendorReader{nameReader: nameReader{reader: r}, open: list}
	var out policy.Vendor
	if root := r.document(f.Data, "begin with vendor: and its id"); root != nil {
		out = v.vendor(root)
	}
	return out, r.done()
}

// vendorReader reads vendors, of the catalogue's files or the operator's.
type vendorReader struct {
	nameReader
	open     func(name string) ([]byte, error)
	operator bool // the operator's file, where no source need be named

	sources map[string]policy.Source
}

func (v *vendorReader) vendor(n *yaml.Node) policy.Vendor {
	out := policy.Vendor{Pos: v.pos(n)}
	v.sources = map[string]policy.Source{}
	v.mapping(n, "a vendor",
		must("vendor", v.id("a vendor", &out.ID)),
		may("name", v.text("a name", &out.Name)),
		section("sources", v.sourceTable),
		section("endpoints", v.each("endpoint", func(n *yaml.Node) { v.endpoint(n, &out.Endpoints) })),
		section("fingerprints", v.each("fingerprint", func(n *yaml.Node) { v.fingerprint(n, &out.Endpoints) })))
	if out.Name == "" {
		out.Name = out.ID
	}
	return out
}

func (v *vendorReader) sourceTable(n *yaml.Node) {
	found, _ := v.pairs(n, "the table of sources")
	for _, p := range found {
		var s policy.Source
		v.id("a source", &s.ID)(p.key)
		if v.operator {
			v.ownCite(&s)(p.value)
		} else {
			v.cite(&s)(p.value)
		}
		v.sources[p.key.Value] = s
	}
}

func (v *vendorReader) endpoint(n *yaml.Node, out *[]policy.Endpoint) {
	before := v.mistakes()
	e := policy.Endpoint{Pos: v.pos(n)}
	isMapping := v.mapping(n, "an endpoint",
		may("host", v.hosts(&e.Hosts)),
		may("zone", v.zones(&e.Zones)),
		may("list", v.list(&e)),
		must("channels", v.channels(&e.Channels)),
		may("ports", v.ports(&e.Ports)),
		may("paths", v.paths(&e.Paths)),
		may("pinned", v.flag(&e.Pinned)),
		may("note", v.text("a note", new(string))), // for those who read the file
		v.sourceList(&e))
	named := 0
	for _, key := range []string{"host", "zone", "list"} {
		if hasKey(n, key) {
			named++
		}
	}
	if isMapping && named != 1 {
		v.wrong(n, "write another endpoint for each", "an endpoint has one of host, zone and list, and this has %d of them", named)
	}
	v.keep(&e, before, out)
}

// fingerprint reads what tells a request by its path alone.
func (v *vendorReader) fingerprint(n *yaml.Node, out *[]policy.Endpoint) {
	before := v.mistakes()
	e := policy.Endpoint{Pos: v.pos(n)}
	var confidence uint8
	isMapping := v.mapping(n, "a fingerprint",
		may("path", v.paths(&e.Paths)),
		may("paths", v.paths(&e.Paths)),
		must("channels", v.channels(&e.Channels)),
		must("confidence", choice(v.reader, "confidence", []string{"low", "high"}, &confidence)),
		may("note", v.text("a note", new(string))),
		v.sourceList(&e))
	e.LowTrust = confidence == 0
	if isMapping && len(e.Paths) == 0 && v.mistakes() == before {
		v.wrong(n, `write path: "/a/*.xml"`, "a fingerprint without a path")
	}
	v.keep(&e, before, out)
}

// keep appends an endpoint if it was read without a mistake.
func (v *vendorReader) keep(e *policy.Endpoint, before int, out *[]policy.Endpoint) {
	if v.mistakes() > before {
		return
	}
	if v.operator && len(e.Sources) == 0 {
		e.Sources = []policy.Source{{Title: v.file, Grade: policy.GradeOperator}}
	}
	*out = append(*out, *e)
}

// sourceList is the key that names the sources of an endpoint: ids of the file's table, or mappings that say more of one.
func (v *vendorReader) sourceList(e *policy.Endpoint) field {
	read := v.filled("source", v.each("source", func(n *yaml.Node) { v.sourceOf(n, e) }))
	if v.operator {
		return may("sources", read)
	}
	return must("sources", read).or("an endpoint without a source", "write sources: and ids of the table at the top of the file")
}

func (v *vendorReader) sourceOf(n *yaml.Node, e *policy.Endpoint) {
	id := n
	var only policy.ChannelSet
	grade, note := policy.Grade(0xff), ""
	if n.Kind == yaml.MappingNode {
		id = nil
		v.mapping(n, "a source of an endpoint",
			must("id", func(value *yaml.Node) { id = value }),
			may("grade", choice(v.reader, "grade", policy.GradeWords, &grade)),
			may("channels", v.channels(&only)),
			may("note", v.text("a note", &note)))
		if id == nil { // told already
			return
		}
	}
	text, ok := v.scalar(id, "a source")
	if !ok {
		return
	}
	s, found := v.sources[text]
	switch {
	case !found:
		v.wrong(id, policy.Known(text, v.sourceIDs()), "unknown source %s", quote(text))
		return
	case slices.ContainsFunc(e.Sources, func(have policy.Source) bool { return have.ID == s.ID }):
		v.wrong(id, "", "source %s stands twice", quote(text))
		return
	case only&^e.Channels != 0 && e.Channels != 0:
		v.wrong(n, "", "source %s is said to tell of channel %s, which the endpoint has not", quote(text), (only &^ e.Channels).List()[0])
	}
	if int(grade) < len(policy.GradeWords) {
		s.Grade = grade
	}
	s.Note = noteOf(only, note, s.Note)
	e.Sources = append(e.Sources, s)
}

// noteOf joins what a source tells of an endpoint: of which channels alone, and in whose words.
func noteOf(only policy.ChannelSet, note, general string) string {
	if note == "" {
		note = general
	}
	if only == 0 {
		return note
	}
	words := make([]string, 0, len(policy.ChannelWords))
	for _, c := range only.List() {
		words = append(words, c.String())
	}
	return strings.TrimSuffix("for "+strings.Join(words, ", ")+": "+note, ": ")
}

func (v *vendorReader) sourceIDs() []string {
	ids := make([]string, 0, len(v.sources))
	for id := range v.sources {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
