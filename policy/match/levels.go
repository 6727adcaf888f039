package match

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
)

// level is what is listed at one step of specificity: for a name as a host, or for one of the zones around it.
type level struct {
	key         string
	zone        bool
	base, extra uint32 // groups
}

func (l level) String() string {
	if l.zone {
		return "zone " + l.key
	}
	return "host " + l.key
}

// appendLevels adds the levels of a host, or of a zone, that have entries, from the most specific outward. It ends where
// a plain entry ends the search.
func appendLevels(list []level, base, extra *Names, key string, zone bool) []level {
	for {
		l := level{key, zone, base.groupAt(key, zone), extra.groupAt(key, zone)}
		if l.base != 0 || l.extra != 0 {
			list = append(list, l)
		}
		if base.closed[l.base] || extra.closed[l.extra] {
			return list
		}
		if zone {
			dot := strings.IndexByte(key, '.')
			if dot < 0 {
				return list
			}
			key = key[dot+1:]
		}
		zone = true
	}
}

// appendGroups adds the groups of levels as bytes: equal for levels with the same entries.
func appendGroups(list []byte, levels []level) []byte {
	for _, l := range levels {
		list = binary.LittleEndian.AppendUint32(list, l.base)
		list = binary.LittleEndian.AppendUint32(list, l.extra)
	}
	return list
}

// entries returns the ids of the entries at a level, in order.
func (x *Index) entries(l level) []EntryID {
	return slices.Concat(x.base.groups[l.base], x.extra.groups[l.extra])
}

func (x *Index) form(id EntryID) *form {
	if n := EntryID(len(x.base.forms)); id >= n {
		return &x.extra.forms[id-n]
	}
	return &x.base.forms[id]
}

// candidates are entries that are equal in specificity and fit the port.
type candidates struct {
	level  level
	ids    []EntryID
	byPath bool // whether they fit depends on the path; otherwise they do, and are the last candidates
}

// candidates yields what is to be tried for a port, one after the other.
func (x *Index) candidates(levels []level, port uint16) iter.Seq[candidates] {
	return func(yield func(candidates) bool) {
		for _, l := range levels {
			var by [kinds][]EntryID
			for _, id := range x.entries(l) {
				if f := x.form(id); f.fitsPort(port) {
					by[f.kind()] = append(by[f.kind()], id)
				}
			}
			for k, ids := range by {
				byPath := kind(k) == byPath || kind(k) == byPortAndPath
				if len(ids) > 0 && (!yield(candidates{l, ids, byPath}) || !byPath) {
					return
				}
			}
		}
	}
}

// Hit is an entry that matches, and the host or zone by which it does.
type Hit struct {
	Entry EntryID
	Key   string // canonical text of the host or zone
	Zone  bool
}

// Explain returns the entries that match a name, a port and a cleaned path, in order: all of them, also where several
// have one meaning. With an empty path, which stands for one not seen, it returns every entry that some path could
// match, the most specific first. It returns nil if there is none.
func (x *Index) Explain(n host.Name, port uint16, path string) []Hit {
	var hits []Hit
	for c := range x.candidates(appendLevels(nil, x.base, x.extra, n.String(), false), port) {
		for _, id := range c.ids {
			if path == "" || x.form(id).fitsPath(path) {
				hits = append(hits, Hit{id, c.level.key, c.level.zone})
			}
		}
		if path != "" && len(hits) > 0 {
			break
		}
	}
	return hits
}

// ExplainFingerprint returns the fingerprints that match a cleaned path, in order.
func (x *Index) ExplainFingerprint(path string) []EntryID {
	var ids []EntryID
	for _, id := range slices.Concat(x.base.fingerprints, x.extra.fingerprints) {
		if x.form(id).fitsPath(path) {
			ids = append(ids, id)
		}
	}
	return ids
}
