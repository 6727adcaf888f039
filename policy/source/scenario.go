package source

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// Scenarios is a file of questions to a policy, each with what is expected of the answer.
type Scenarios struct {
	Policy string // the policy file that is asked, as it is written; empty: the configured one
	Cases  []Case
}

// Case is one question. Texts are as they are written; what they mean is for whoever asks.
type Case struct {
	Name                   string
	At                     policy.Instant
	AsKnownAt              *policy.Instant // nil: everything that is loaded
	Client, User, MAC      string
	URL, Host, SNI, Method string
	Intercepted            bool   // of an https URL the request is seen
	Destination            string // the address that a client dials in transparent mode
	Expect                 []Expect
	Pos                    policy.Pos
}

// Expect is something that is expected of an answer. Values of none are expected where there is nothing.
type Expect struct {
	Key    string
	Values []string
	Pos    policy.Pos
}

// Expectations are what can be expected of an answer.
var Expectations = []string{
	"verdict", "state", "need", "would", "reason", "restriction", "rule", "waiver", "vendor", "channels", "from", "next-change", "next-block", "reasons",
}

// ReadScenarios reads a file of scenarios:
//
//	policy: policy.yaml                  # optional
//	defaults: {client: 10.10.1.1}        # optional, for every case that does not say otherwise
//	cases:
//	  - {name: "...", at: 2024-09-29T04:00:00Z, host: s01.upd.kaspersky.com, expect: {verdict: block}}
func ReadScenarios(f File) (Scenarios, policy.Problems) {
	r := &reader{file: f.Name}
	var out Scenarios
	if len(f.Data) > MaxScenarios {
		r.add(policy.Pos{File: r.file}, "make several files of it", "%d bytes: a file of scenarios has at most %d", len(f.Data), MaxScenarios)
	} else if root := r.parse(f.Data, "begin with cases:"); root != nil {
		var defaults *yaml.Node
		r.mapping(root, "the file of scenarios",
			may("policy", r.text("the policy", &out.Policy)),
			may("zone", r.fileZone(nil)),
			section("defaults", func(n *yaml.Node) { defaults = n }),
			must("cases", r.each("case", func(n *yaml.Node) { out.Cases = append(out.Cases, r.scenario(n, defaults)) })))
		if defaults != nil { // also where there is no case that they could be read for
			var c Case
			r.mapping(defaults, "the defaults", r.questionFields(&c)...)
		}
	}
	return out, r.done()
}

func (r *reader) scenario(n, defaults *yaml.Node) Case {
	c := Case{Pos: r.pos(n)}
	if defaults != nil && defaults.Kind == yaml.MappingNode {
		quiet := &reader{file: r.file, zone: r.zone} // mistakes are told once
		quiet.mapping(withoutKeys(defaults, n), "the defaults", quiet.questionFields(&c)...)
	}
	r.mapping(n, "a case", append(r.questionFields(&c),
		must("expect", func(v *yaml.Node) { c.Expect = r.expectations(v) }).or("a case that expects nothing", "expect: {verdict: block}"))...)
	if !hasKey(n, "at") && (defaults == nil || !hasKey(defaults, "at")) {
		r.wrong(n, "at: 2024-09-29T00:00:00-04:00", "a case without %q", "at")
	}
	if (c.URL == "") == (c.Host == "") {
		r.wrong(n, `url: "http://..." or host: name`, "a case asks for a url or for a host")
	}
	return c
}

// withoutKeys returns a mapping without the keys that another has; url and host stand for each other.
func withoutKeys(n, other *yaml.Node) *yaml.Node {
	var keys []string
	for i := 0; i+1 < len(other.Content); i += 2 {
		keys = append(keys, other.Content[i].Value)
		switch other.Content[i].Value {
		case "url":
			keys = append(keys, "host")
		case "host":
			keys = append(keys, "url")
		}
	}
	left := *n
	left.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !slices.Contains(keys, n.Content[i].Value) {
			left.Content = append(left.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &left
}

func (r *reader) questionFields(c *Case) []field {
	return []field{
		may("name", r.text("the name", &c.Name)),
		may("at", r.instant(&c.At)),
		may("as-known-at", func(n *yaml.Node) { c.AsKnownAt = new(policy.Instant); r.instant(c.AsKnownAt)(n) }),
		may("client", r.text("the client", &c.Client)),
		may("user", r.text("the user", &c.User)),
		may("mac", r.text("the MAC address", &c.MAC)),
		may("url", r.text("the URL", &c.URL)),
		may("host", r.text("the host", &c.Host)),
		may("sni", r.text("the SNI", &c.SNI)),
		may("method", r.text("the method", &c.Method)),
		may("intercepted", r.flag(&c.Intercepted)),
		may("destination", r.text("the destination", &c.Destination)),
	}
}

func (r *reader) expectations(n *yaml.Node) (list []Expect) {
	found, ok := r.pairs(n, "what is expected")
	if ok && len(found) == 0 {
		r.wrong(n, "expect: {verdict: block}", "a case that expects nothing")
	}
	for _, p := range found {
		e := Expect{Key: p.key.Value, Pos: r.pos(p.key)}
		if !slices.Contains(Expectations, e.Key) {
			r.wrong(p.key, policy.Known(e.Key, Expectations), "unknown key %s in what is expected", quote(e.Key))
			continue
		}
		value := func(v *yaml.Node) {
			if s, ok := r.scalar(v, "what is expected"); ok {
				e.Values = append(e.Values, s)
			}
		}
		switch {
		case isNull(p.value): // none
		case p.value.Kind == yaml.SequenceNode:
			for _, v := range p.value.Content {
				value(v)
			}
		default:
			value(p.value)
		}
		list = append(list, e)
	}
	return list
}
