package policy

import (
	"slices"
	"strings"
)

// strand is what all restrictions together say of one channel of one vendor to clients that the same jurisdictions bind: steps
// one and two of the law, over all time. Compilation works them out once, since they are most of its work.
type strand []strandSpan

type strandSpan struct {
	from int64
	finding
}

func (s strand) at(at int64) finding {
	i, found := slices.BinarySearchFunc(s, at, func(x strandSpan, at int64) int {
		if x.from <= at {
			return -1
		}
		return 1
	})
	_ = found // never: no span compares equal
	return s[i-1].finding
}

// strandKey is what a strand depends on.
type strandKey struct {
	jurisdictions string
	unit          unit
	enforce       bool
}

// trackKey is what a track depends on.
type trackKey struct {
	instrument int
	unit       unit
	enforce    bool
}

// strands keeps what was worked out, for one compilation.
type strands struct {
	p      *Policy
	done   map[strandKey]strand
	tracks map[trackKey]strand
}

// strand returns the one that holds for a client and a channel.
func (s *strands) strand(q *question, u *unit) strand {
	key := strandKey{strings.Join(q.sc.jurisdictions, "\n"), *u, q.enforce}
	st, ok := s.done[key]
	if !ok {
		st = s.weave(q, u)
		s.done[key] = st
	}
	return st
}

// weave takes, at every instant at which a restriction can say something else, the strictest of what they say.
func (s *strands) weave(q *question, u *unit) strand {
	v := &s.p.vendors[u.vendor]
	bounds := []int64{always}
	tracks := make([]strand, len(v.instruments))
	next := make([]int, len(v.instruments)) // into each track, in step with the bounds
	for i, n := range v.instruments {
		bounds = append(bounds, s.p.instruments[n].bounds...)
		tracks[i] = s.track(n, u, q.enforce)
	}
	slices.Sort(bounds)
	var st strand
	for _, at := range slices.Compact(bounds) {
		f := finding{verdict: Allow, state: OutOfScope}
		for i, n := range v.instruments {
			for next[i] < len(tracks[i]) && tracks[i][next[i]].from <= at {
				next[i]++
			}
			in := &s.p.instruments[n]
			if next[i] == 0 || !in.at(at).concerns(v.id, q.sc.jurisdictions) {
				continue
			}
			if g := tracks[i][next[i]-1].finding; g.stricter(f) {
				f = g
			}
		}
		if n := len(st); n == 0 || st[n-1].finding != f {
			st = append(st, strandSpan{at, f})
		}
	}
	return st
}

// track is what one restriction says, over all time, to clients that it binds.
func (s *strands) track(n int, u *unit, enforce bool) strand {
	key := trackKey{n, *u, enforce}
	t, ok := s.tracks[key]
	if ok {
		return t
	}
	in := &s.p.instruments[n]
	for _, at := range in.bounds {
		text := in.at(at)
		if !text.names(s.p.vendors[u.vendor].id) {
			continue // weave does not ask then
		}
		t = append(t, strandSpan{at, s.p.judgeRestriction(in, text, u, at, enforce, nil)})
	}
	s.tracks[key] = t
	return t
}
