package match

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxUnions bounds how many sets of two or more meanings the entries of one step can unite to: as many as 8 entries
// make that all overlap.
const maxUnions = 1<<8 - 1 - 8

// compiler fills an Index and is then thrown away.
type compiler struct {
	x *Index

	meanings *sets
	first    map[uint32]EntryID // the first entry of each meaning
	classOf  map[string]ClassID // by all that makes a class with steps
	targetOf map[string]target  // by the groups of all levels
}

func newCompiler(x *Index) *compiler {
	c := &compiler{
		x: x, meanings: newSets(),
		first:    make(map[uint32]EntryID),
		classOf:  make(map[string]ClassID),
		targetOf: make(map[string]target),
	}
	for id := range EntryID(len(x.base.forms) + len(x.extra.forms)) {
		meaning := x.form(id).meaning
		if _, ok := c.first[meaning]; !ok {
			c.first[meaning] = id
		}
	}
	x.classes = []class{{}}
	x.unionClass = []ClassID{Unmatched}
	return c
}

func (c *compiler) compile() error {
	x := c.x
	ids := slices.Concat(x.base.fingerprints, x.extra.fingerprints)
	x.fingerprints = c.newStep(ids)
	var errs []error
	if _, ok := c.unite(x.fingerprints); !ok {
		errs = append(errs, &EntryError{ids, fmt.Sprintf("%d fingerprints overlap in more than %d ways", len(ids), maxUnions)})
	}
	errs = append(errs, c.compileBase(), c.compileExtra())
	x.unions = c.meanings.added
	return errors.Join(errs...)
}

// compileBase finds the targets of the catalogue's places: by chain, unless the operator lists a zone around the name.
// Where the operator lists the name itself, the search ends there and not here.
func (c *compiler) compileBase() error {
	base, extra := c.x.base, c.x.extra
	var errs []error
	byChain := make([]target, len(base.chains))
	for chain, p := range base.chains {
		at := base.places[p]
		t, err := c.target(appendLevels(nil, base, none, base.keyOf(at), at.zone))
		byChain[chain] = t
		errs = append(errs, err)
	}
	c.x.baseAt = make([]target, len(base.places))
	for p, at := range base.places {
		if at.group == 0 {
			continue
		}
		c.x.baseAt[p] = byChain[at.chain]
		if base.closed[at.group] || extra.zones.used == 0 {
			continue
		}
		key := base.keyOf(at)
		if around, _ := longest(key, &extra.zones, &none.zones); around != 0 {
			t, err := c.target(appendLevels(nil, base, extra, key, at.zone))
			c.x.baseAt[p] = t
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// compileExtra finds the targets of the operator's places.
func (c *compiler) compileExtra() error {
	extra := c.x.extra
	var errs []error
	c.x.extraAt = make([]target, len(extra.places))
	for p, at := range extra.places {
		if at.group == 0 {
			continue
		}
		t, err := c.target(appendLevels(nil, c.x.base, extra, extra.keyOf(at), at.zone))
		c.x.extraAt[p] = t
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// target compiles the levels of a name. Levels with the same entries are compiled once.
func (c *compiler) target(levels []level) (target, error) {
	key := string(appendGroups(nil, levels))
	if t, ok := c.targetOf[key]; ok {
		return t, nil
	}
	t, err := c.byPort(levels)
	c.targetOf[key] = t
	return t, err
}

// byPort compiles the levels for all ports.
func (c *compiler) byPort(levels []level) (target, error) {
	lasts := []uint16{0xffff} // the ports behind which what fits can change
	for _, l := range levels {
		for _, id := range c.x.entries(l) {
			for _, r := range c.x.form(id).ports {
				lasts = append(lasts, r.Last)
				if r.First > 0 {
					lasts = append(lasts, r.First-1)
				}
			}
		}
	}
	slices.Sort(lasts)
	var spans []portSpan
	for _, last := range slices.Compact(lasts) {
		class, err := c.classAt(levels, last)
		if err != nil {
			return 0, err
		}
		if n := len(spans); n > 0 && spans[n-1].class == class {
			spans[n-1].last = last
		} else {
			spans = append(spans, portSpan{last, class})
		}
	}
	if len(spans) == 1 {
		return target(spans[0].class), nil
	}
	c.x.ports = append(c.x.ports, spans)
	return target(len(c.x.ports)-1) | byPortFlag, nil
}

// classAt compiles the levels for one port.
func (c *compiler) classAt(levels []level, port uint16) (ClassID, error) {
	var k class
	var unions [][]ClassID
	for candidates := range c.x.candidates(levels, port) {
		if !candidates.byPath {
			var set uint32
			for _, id := range candidates.ids {
				set = c.meanings.with(set, c.x.form(id).meaning)
			}
			k.rest = c.unionClass(set)
			break
		}
		s := c.newStep(candidates.ids)
		u, ok := c.unite(s)
		if !ok {
			return 0, &EntryError{candidates.ids, fmt.Sprintf("the paths of %d entries for %s overlap in more than %d ways",
				len(candidates.ids), candidates.level, maxUnions)}
		}
		k.steps, unions = append(k.steps, s), append(unions, u)
	}
	// A last step that can only lead to what holds without it says nothing.
	for n := len(unions); n > 0 && len(unions[n-1]) == 1 && unions[n-1][0] == k.rest; n-- {
		k.steps, unions = k.steps[:n-1], unions[:n-1]
	}
	if len(k.steps) == 0 {
		return k.rest, nil
	}
	k.Outcomes = append(slices.Concat(unions...), k.rest)
	slices.Sort(k.Outcomes)
	k.Outcomes = slices.Compact(k.Outcomes)
	return c.class(k.key(), k), nil
}

// newStep groups entries that depend on the path by their meaning.
func (c *compiler) newStep(ids []EntryID) step {
	patterns := make(map[uint32][]Pattern)
	for _, id := range ids {
		f := c.x.form(id)
		patterns[f.meaning] = append(patterns[f.meaning], f.paths...)
	}
	var s step
	for _, m := range slices.Sorted(maps.Keys(patterns)) {
		slices.SortFunc(patterns[m], func(a, b Pattern) int { return cmp.Compare(a.text, b.text) })
		unique := slices.CompactFunc(patterns[m], func(a, b Pattern) bool { return a.text == b.text })
		s = append(s, arm{m, unique})
	}
	return s
}

// unite makes a class for every set of arms that one path can fit, and returns them all. It returns false if there are
// too many.
func (c *compiler) unite(s step) (classes []ClassID, ok bool) {
	overlap := func(i, j int) bool {
		return slices.ContainsFunc(s[i].patterns, func(p Pattern) bool {
			return slices.ContainsFunc(s[j].patterns, p.overlaps)
		})
	}
	overlaps := make([][]bool, len(s)) // [i][j] for j < i
	for i := range s {
		for j := range i {
			overlaps[i] = append(overlaps[i], overlap(i, j))
		}
	}
	tried := 0
	var extend func(set uint32, members []int, from int) bool
	extend = func(set uint32, members []int, from int) bool {
		for i := from; i < len(s); i++ {
			if slices.ContainsFunc(members, func(m int) bool { return !overlaps[i][m] }) {
				continue
			}
			if tried++; tried > len(s)+maxUnions {
				return false
			}
			union := c.meanings.with(set, s[i].meaning)
			joined := append(members, i)
			if s.together(joined) {
				classes = append(classes, c.unionClass(union))
			}
			if !extend(union, joined, i+1) {
				return false
			}
		}
		return true
	}
	ok = extend(0, nil, 0)
	slices.Sort(classes)
	return slices.Compact(classes), ok
}

// together reports whether a path can fit these arms and no other: not if an arm beside them has every pattern of one of them.
func (s step) together(members []int) bool {
	for _, m := range members {
		for j := range s {
			if !slices.Contains(members, j) && s[m].within(&s[j]) {
				return false
			}
		}
	}
	return true
}

// within reports whether every pattern of an arm stands in the other too.
func (a *arm) within(other *arm) bool {
	return !slices.ContainsFunc(a.patterns, func(p Pattern) bool {
		return !slices.ContainsFunc(other.patterns, func(q Pattern) bool { return p.text == q.text })
	})
}

// unionClass returns the class of a set of meanings that does not depend on the path.
func (c *compiler) unionClass(set uint32) ClassID {
	for len(c.x.unionClass) <= int(set) {
		c.x.unionClass = append(c.x.unionClass, Unmatched)
	}
	if set != 0 && c.x.unionClass[set] == Unmatched {
		var k class
		for _, m := range c.meanings.list[set] {
			k.Entries = append(k.Entries, c.first[m])
		}
		slices.Sort(k.Entries)
		c.x.classes = append(c.x.classes, k)
		c.x.unionClass[set] = ClassID(len(c.x.classes) - 1)
	}
	return c.x.unionClass[set]
}

// class returns the class with steps that has the given key, and makes it of k if need be.
func (c *compiler) class(key string, k class) ClassID {
	id, ok := c.classOf[key]
	if !ok {
		id = ClassID(len(c.x.classes))
		c.x.classes = append(c.x.classes, k)
		c.classOf[key] = id
	}
	return id
}

// key returns all that tells a class with steps from others.
func (k *class) key() string {
	var b strings.Builder
	for _, s := range k.steps {
		for _, a := range s {
			fmt.Fprintf(&b, "%d%q,", a.meaning, a.patterns)
		}
		b.WriteByte(';')
	}
	fmt.Fprint(&b, k.rest)
	return b.String()
}
