package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gracegate/gracegate/policy"
)

func (m *markdown) vendor(v *policy.Vendor) {
	m.printf("\n### %s\n\n%s.", v.ID, strings.TrimSuffix(plain(v.Name), "."))
	var by []string
	for i := range m.Restrictions {
		r := &m.Restrictions[i]
		if slices.Contains(union(r, func(rev *policy.Revision) []string { return rev.Vendors }), v.ID) {
			by = append(by, r.ID)
		}
	}
	if len(by) > 0 {
		slices.Sort(by)
		m.printf(" Named by %s.", anchors(by))
	}
	if len(v.Endpoints) == 0 {
		m.printf(" No endpoint is known.\n")
		return
	}
	m.printf("\n\n")
	general := generalNotes(v)
	m.head("Names", "Channels", "Grade", "Sources")
	for i := range v.Endpoints {
		e := &v.Endpoints[i]
		m.row(names(e)+portsAndPaths(e), channels(e.Channels), best(e.Sources).String(), references(e.Sources, general))
	}
	m.printf("\nSources:\n\n")
	told := map[string]bool{}
	for i := range v.Endpoints {
		for j := range v.Endpoints[i].Sources {
			s := &v.Endpoints[i].Sources[j]
			if told[s.ID] {
				continue
			}
			told[s.ID] = true
			m.printf("- %s: %s; checked %s", code(s.ID), link(s), s.Checked)
			if note := general[s.ID]; note != "" {
				m.printf("; %s", plain(note))
			}
			m.printf("\n")
		}
	}
}

// names lists the names of an endpoint. A zone has a dot in front, as in lists.
func names(e *policy.Endpoint) string {
	var list []string
	for _, n := range e.Hosts {
		list = append(list, n.String())
	}
	for _, n := range e.Zones {
		list = append(list, "."+n.String())
	}
	text := strings.Join(codes(folded(list)), ", ")
	switch {
	case e.FromList != "":
		text = "those of " + code(e.FromList)
	case len(list) == 0:
		text = "any, told by the path"
	}
	if e.Pinned {
		text += " (never intercepted)"
	}
	if e.LowTrust {
		text += " (never blocked by a restriction)"
	}
	return text
}

// folded writes three names or more that count up in one place, such as a0.example, a1.example and a2.example, as one:
// a{0..2}.example.
func folded(list []string) (short []string) {
	for len(list) > 0 {
		n := 1
		if len(list) > 1 {
			if head, tail, ok := counting(list[0], list[1]); ok {
				for n = 2; n < len(list) && follows(list[n-1], list[n], head, tail); n++ {
				}
				if n > 2 {
					digits := func(s string) string { return s[len(head) : len(s)-len(tail)] }
					short = append(short, head+"{"+digits(list[0])+".."+digits(list[n-1])+"}"+tail)
				}
			}
		}
		if n <= 2 {
			n = 1
			short = append(short, list[0])
		}
		list = list[n:]
	}
	return short
}

// counting finds what a and b have before and behind a number that is by one larger in b.
func counting(a, b string) (head, tail string, ok bool) {
	if len(a) != len(b) {
		return "", "", false
	}
	first := 0
	for first < len(a) && a[first] == b[first] {
		first++
	}
	for first > 0 && isDigit(a[first-1]) {
		first--
	}
	end := first
	for end < len(a) && isDigit(a[end]) {
		end++
	}
	head, tail = a[:first], a[end:]
	return head, tail, follows(a, b, head, tail)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// follows tells whether b is a with a number between head and tail that is by one larger, in as many digits.
func follows(a, b, head, tail string) bool {
	if len(a) != len(b) || !strings.HasPrefix(b, head) || !strings.HasSuffix(b, tail) || len(head)+len(tail) >= len(a) {
		return false
	}
	x, errX := strconv.Atoi(a[len(head) : len(a)-len(tail)])
	y, errY := strconv.Atoi(b[len(head) : len(b)-len(tail)])
	return errX == nil && errY == nil && y == x+1
}

// portsAndPaths tells to which of them an endpoint is confined, each on a line of its cell.
func portsAndPaths(e *policy.Endpoint) string {
	var ports, paths []string
	for _, p := range e.Ports {
		if p.First == p.Last {
			ports = append(ports, strconv.Itoa(int(p.First)))
		} else {
			ports = append(ports, fmt.Sprintf("%d-%d", p.First, p.Last))
		}
	}
	for _, p := range e.Paths {
		paths = append(paths, code(p.String()))
	}
	text := ""
	if len(ports) > 0 {
		text += "<br>ports " + strings.Join(ports, ", ")
	}
	if len(paths) > 0 {
		text += "<br>paths " + strings.Join(paths, ", ")
	}
	return text
}

// best is the grade of the source that founds the endpoint best.
func best(sources []policy.Source) policy.Grade {
	grade := policy.GradeOperator
	for i := range sources {
		grade = min(grade, sources[i].Grade)
	}
	return grade
}

// references names the sources of an endpoint, each with its grade if another is better, and with what it says of this endpoint
// in particular.
func references(sources []policy.Source, general map[string]string) string {
	grade := best(sources)
	list := make([]string, len(sources))
	for i := range sources {
		s := &sources[i]
		var more []string
		if s.Grade != grade {
			more = append(more, s.Grade.String())
		}
		if s.Note != "" && s.Note != general[s.ID] {
			more = append(more, plain(s.Note))
		}
		list[i] = code(s.ID)
		if len(more) > 0 {
			list[i] += " (" + strings.Join(more, "; ") + ")"
		}
	}
	return strings.Join(list, ", ")
}

// generalNotes finds, by source, the note that is its own: an endpoint that says nothing more of a source has it, so that it is
// the commonest, and is none if any endpoint has none.
func generalNotes(v *policy.Vendor) map[string]string {
	count := map[string]map[string]int{}
	general := map[string]string{}
	for i := range v.Endpoints {
		for j := range v.Endpoints[i].Sources {
			s := &v.Endpoints[i].Sources[j]
			if count[s.ID] == nil {
				count[s.ID] = map[string]int{}
			}
			count[s.ID][s.Note]++
			if count[s.ID][s.Note] > count[s.ID][general[s.ID]] {
				general[s.ID] = s.Note
			}
		}
	}
	for id, notes := range count {
		if notes[""] > 0 {
			general[id] = ""
		}
	}
	return general
}
