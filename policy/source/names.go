package source

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy/host"
)

// maxNames bounds the names written in one file. More belong into a list.
const maxNames = 1_000_000

// nameReader reads the names of endpoints, rules and waivers.
type nameReader struct {
	*reader
	addresses bool // a host may be an address
	count     int
}

// hosts reads one host or a list of them, with their braces expanded.
func (r *nameReader) hosts(out *[]host.Name) reading {
	return r.oneOrMore("host", func(n *yaml.Node) { r.names(n, "host", r.host, out) })
}

// zones reads one zone or a list of them.
func (r *nameReader) zones(out *[]host.Name) reading {
	return r.oneOrMore("zone", func(n *yaml.Node) { r.names(n, "zone", zone, out) })
}

func (r *reader) oneOrMore(kind string, read reading) reading {
	list := r.filled(kind, r.each(kind, read))
	return func(n *yaml.Node) {
		if n.Kind == yaml.SequenceNode {
			list(n)
			return
		}
		read(n)
	}
}

func (r *nameReader) names(n *yaml.Node, kind string, parse func(string) (host.Name, string, string), out *[]host.Name) {
	entry, ok := r.scalar(n, withArticle(kind))
	if !ok {
		return
	}
	texts, reason := expand(entry)
	if reason != "" {
		r.wrong(n, "", "%s %s: %s", kind, quote(entry), reason)
		return
	}
	if r.count += len(texts); r.count > maxNames {
		if r.count-len(texts) <= maxNames { // the first that is too much
			r.wrong(n, "put them into a list file, one a line", "more than %d names in one file", maxNames)
		}
		return
	}
	for _, text := range texts {
		name, reason, hint := parse(text)
		if reason != "" {
			r.wrong(n, hint, "%s %s: %s", kind, quote(text), reason)
			return // the other alternatives would say the same
		}
		*out = append(*out, name)
	}
}

// host reads the name of one host. reason says why it is none.
func (r *nameReader) host(text string) (name host.Name, reason, hint string) {
	if below, ok := strings.CutPrefix(text, "*."); ok {
		return host.Name{}, "wildcards are not read", "write it as a zone, " + below
	}
	name, reason = parseName(text)
	if reason == "" && name.IsAddr() && !r.addresses {
		return host.Name{}, noAddresses, "list it under vendors of the operator's policy"
	}
	return name, reason, ""
}

// zone reads the name of a zone.
func zone(text string) (name host.Name, reason, hint string) {
	for _, mark := range []string{"*.", "."} {
		if below, ok := strings.CutPrefix(text, mark); ok {
			return host.Name{}, "a zone is named alone", "write " + below
		}
	}
	name, reason = parseName(text)
	if reason == "" && name.IsAddr() {
		return host.Name{}, "an address has no names below it", "write it as a host"
	}
	return name, reason, ""
}

const noAddresses = "an address is no endpoint of a catalogue, since vendors move"

// parseName does not allocate for what is a name in canonical form: lists are long.
func parseName(text string) (name host.Name, reason string) {
	name, err := host.Parse(text)
	if err == nil {
		return name, ""
	}
	if e, ok := errors.AsType[*host.Error](err); ok {
		return host.Name{}, e.Reason
	}
	return host.Name{}, err.Error()
}
