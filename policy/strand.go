package policy

import (
	"slices"
	"sort"
	"strings"
)

// strand is what all restrictions together say of one channel of one vendor to clients that the same jurisdictions bind: steps
// one and two of the law, over all time. Compilation works them out once, since they are most of its work.
type strand []strandSpan

type strandSpan struct {
	from int64
	finding
}

// at returns what is said at an instant. A strand begins always.
func (s strand) at(at int64) finding {
	after := sort.Search(len(s), func(i int) bool { return s[i].from > at })
	return s[after-1].finding
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
	key := strandKey{strings.Join(q.jurisdictions, "\n"), *u, q.enforce}
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
	var tracks []strand
	for _, n := range v.instruments {
		if t := s.binding(n, u, q); len(t) > 0 {
			tracks = append(tracks, t)
			for _, x := range t {
				bounds = append(bounds, x.from)
			}
		}
	}
	slices.Sort(bounds)
	var st strand
	for _, at := range slices.Compact(bounds) {
		f := finding{verdict: Allow, state: OutOfScope}
		for i, t := range tracks {
			for len(t) > 1 && t[1].from <= at {
				t = t[1:]
			}
			tracks[i] = t
			if t[0].from <= at && t[0].stricter(f) {
				f = t[0].finding
			}
		}
		st = st.append(at, f)
	}
	return st
}

// binding is the track of a restriction as far as it binds the client: nothing, if it never does.
func (s *strands) binding(n int, u *unit, q *question) strand {
	in := &s.p.instruments[n]
	var t strand
	binds := false
	for _, x := range s.track(n, u, q.enforce) {
		f := x.finding
		if !in.at(x.from).concerns(s.p.vendors[u.vendor].id, q.jurisdictions) {
			f = finding{verdict: Allow, state: OutOfScope}
		} else {
			binds = true
		}
		t = t.append(x.from, f)
	}
	if !binds {
		return nil
	}
	return t
}

// append adds what is said from an instant on, unless it was being said already.
func (s strand) append(from int64, f finding) strand {
	if n := len(s); n > 0 && s[n-1].finding == f {
		return s
	}
	return append(s, strandSpan{from, f})
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
		// One span for each bound, even if it says the same: whom it binds can change there.
		f := finding{verdict: Allow, state: OutOfScope}
		if text := in.at(at); text.names(s.p.vendors[u.vendor].id) {
			f = s.p.judgeRestriction(in, text, u, at, enforce, nil)
		}
		t = append(t, strandSpan{at, f})
	}
	s.tracks[key] = t
	return t
}
