package source

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

// fileZone reads the zone in which the file speaks, and in which its bare dates are meant from then on.
func (r *reader) fileZone(out **time.Location) reading {
	return func(n *yaml.Node) {
		// A zone that cannot be read must not turn every bare date into one more mistake.
		if r.zone = r.readZone(n); r.zone == nil {
			r.zone = time.UTC
			return
		}
		if out != nil {
			*out = r.zone
		}
	}
}

func (r *reader) readZone(n *yaml.Node) *time.Location {
	s, ok := r.scalar(n, "a zone")
	if !ok {
		return nil
	}
	zone, err := instant.LoadZone(s)
	if err != nil {
		r.badInstant(n, err)
		return nil
	}
	return zone
}

// instant reads an instant: RFC 3339 with an offset, a bare date where the file has a zone, or a mapping of a legal word to a
// date. Its zone is the one that the text speaks in: a legal word's own, else the file's, else the offset that was written.
func (r *reader) instant(out *policy.Instant) reading {
	return func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			r.legalInstant(n, out)
			return
		}
		s, ok := r.scalar(n, "an instant")
		if !ok {
			return
		}
		at, err := instant.ParseIn(s, r.zone)
		if err != nil {
			r.badInstant(n, err)
			return
		}
		*out = policy.Instant{At: at, Zone: r.zone}
		if r.zone == nil {
			out.Zone = writtenZone(s)
		}
	}
}

// writtenZone returns the offset of an instant in RFC 3339 as a zone of that name.
func writtenZone(s string) *time.Location {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.UTC
	}
	_, seconds := t.Zone()
	if seconds == 0 {
		return time.UTC
	}
	return time.FixedZone(t.Format("-07:00"), seconds)
}

func (r *reader) legalInstant(n *yaml.Node, out *policy.Instant) {
	zone := r.zone
	var words []instant.Word
	var date *yaml.Node
	word := func(w instant.Word) field {
		return may(string(w), func(v *yaml.Node) { words, date = append(words, w), v })
	}
	before := r.mistakes()
	r.mapping(n, "an instant",
		may("zone", func(v *yaml.Node) { zone = r.readZone(v) }),
		word(instant.OnOrAfter), word(instant.Until), word(instant.By), word(instant.Through))
	switch {
	case r.mistakes() > before:
		return
	case len(words) != 1:
		r.wrong(n, "write one of on-or-after, until, by, through and its date", "an instant takes one legal word, and here are %d", len(words))
		return
	}
	s, ok := r.scalar(date, "a date")
	if !ok {
		return
	}
	at, err := instant.Legal(words[0], s, zone)
	if err != nil {
		r.badInstant(date, err)
		return
	}
	*out = policy.Instant{At: at, Zone: zone}
}
