package source

import (
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// reading reads a node into the place that it was made for, or tells what is wrong with the node.
type reading func(*yaml.Node)

// field is a key that a mapping can have.
type field struct {
	key     string
	read    reading
	section bool   // may stand without a value, as when all below it is commented out
	needed  bool   // may not be left out
	missing string // what to say then; empty: that the key is missing
	hint    string // and what to write
}

func may(key string, read reading) field { return field{key: key, read: read} }

// section is a key whose value is a list or a mapping that means the same empty as left out.
func section(key string, read reading) field { return field{key: key, read: read, section: true} }

func must(key string, read reading) field { return field{key: key, read: read, needed: true} }

// or says in the words of its subject what is amiss without the key.
func (f field) or(missing, hint string) field {
	f.missing, f.hint = missing, hint
	return f
}

// mapping reads the keys of n, in the order of the fields. what names the mapping with its article: "a site". It tells whether
// n is a mapping at all.
func (r *reader) mapping(n *yaml.Node, what string, fields ...field) bool {
	found, ok := r.pairs(n, what)
	if !ok {
		return false
	}
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	values := make(map[string]pair, len(found))
	for _, p := range found {
		if !slices.Contains(keys, p.key.Value) {
			r.wrong(p.key, policy.Known(p.key.Value, keys), "unknown key %s in %s", quote(p.key.Value), what)
			continue
		}
		values[p.key.Value] = p
	}
	for _, f := range fields {
		p, present := values[f.key]
		switch {
		case !present && f.needed && f.missing != "":
			r.wrong(n, f.hint, "%s", f.missing)
		case !present && f.needed:
			r.wrong(n, f.hint, "%s without %q", what, f.key)
		case !present:
		case isNull(p.value) && f.section:
		case isNull(p.value):
			r.wrong(p.key, "write a value, or leave the key out", "key %q in %s has no value", f.key, what)
		default:
			f.read(p.value)
		}
	}
	return true
}

type pair struct{ key, value *yaml.Node }

// pairs returns the keys of a mapping with their values, each key once. It tells whether n is a mapping.
func (r *reader) pairs(n *yaml.Node, what string) (found []pair, ok bool) {
	switch n.Kind {
	case yaml.MappingNode:
	case yaml.AliasNode: // told already
		return nil, false
	default:
		r.wrong(n, "write key: value", "a mapping is wanted for %s, not %s", what, describe(n))
		return nil, false
	}
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case isMerge(key) || key.Kind == yaml.AliasNode: // told already
		case key.Kind != yaml.ScalarNode:
			r.wrong(key, "", "a key of %s is a word, not %s", what, describe(key))
		case first[key.Value] != nil:
			r.wrong(key, "the first is in line "+strconv.Itoa(first[key.Value].Line), "key %s stands twice in %s", quote(key.Value), what)
		default:
			first[key.Value] = key
			found = append(found, pair{key, value})
		}
	}
	return found, true
}
