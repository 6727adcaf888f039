package timeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// weaver makes the rows and marks of a group.
type weaver struct {
	*subject
	group *Group
	asker *policy.Asker
}

// variant is what is said of some destinations that carry a channel.
type variant struct {
	key          string
	spans        []Span
	destinations []policy.Destination
	special      bool // each is told by more than its name
}

// rows makes a row for each channel and for each way in which its destinations are treated, and joins those that say the same.
func (w *weaver) rows() []Row {
	byChannel := map[policy.Channel][]*variant{}
	for i := range w.destinations {
		d := &w.destinations[i]
		if d.Vendor != w.group.Vendor {
			continue
		}
		f := d.Facts(w.asker)
		spans := w.spans(&f)
		if d.Vendor == "" && silent(spans) || byPathAlone(d) && w.named(spans) { // the name has a row of its own
			continue
		}
		key := keyOf(spans)
		for _, c := range channelsOf(d) {
			n := slices.IndexFunc(byChannel[c], func(v *variant) bool { return v.key == key })
			if n < 0 {
				n = len(byChannel[c])
				byChannel[c] = append(byChannel[c], &variant{key: key, special: true})
			}
			v := byChannel[c][n]
			v.spans = joinReasons(v.spans, spans)
			if !w.standIns[d.Host] {
				v.destinations = append(v.destinations, *d)
			}
			v.special = v.special && w.special(d)
		}
	}
	var list []Row
	for c := policy.Signatures; c <= noChannel; c++ {
		list = w.channel(list, c, byChannel[c])
	}
	return list
}

// noChannel stands for what no endpoint matches.
const noChannel = policy.Local + 1

// channelsOf are those that a destination tells of. What else is beside corporate pages, those do not tell of corporate ones.
func channelsOf(d *policy.Destination) []policy.Channel {
	if len(d.Channels) == 0 {
		return []policy.Channel{noChannel}
	}
	if len(d.Channels) == 1 {
		return d.Channels
	}
	return slices.DeleteFunc(slices.Clone(d.Channels), func(c policy.Channel) bool { return c == policy.Corporate })
}

// silent tells that nothing has a say.
func silent(spans []Span) bool {
	return !slices.ContainsFunc(spans, func(s Span) bool { return s.State != policy.Unmatched || s.Verdict == policy.Block })
}

// channel adds the rows of a channel. If all of its destinations but special ones are treated alike, that row names none.
func (w *weaver) channel(list []Row, c policy.Channel, variants []*variant) []Row {
	var plain, special []*variant
	for _, v := range variants {
		if v.special {
			special = append(special, v)
		} else {
			plain = append(plain, v)
		}
	}
	for _, v := range slices.Concat(plain, special) {
		r := Row{
			Destinations: v.destinations, Spans: v.spans,
			NotSeparable: w.spokenOf().Has(c) && !w.asked.Separable(w.group.Vendor).Has(c),
		}
		if c != noChannel {
			r.Channels = []policy.Channel{c}
		}
		if v.special || len(plain) > 1 || c == noChannel {
			r.Only = w.only(v)
		}
		if w.tells(&r) {
			list = join(list, r)
		}
	}
	return list
}

// tells tells whether a row says more than that the restriction of a hypothesis has nothing against it.
func (w *weaver) tells(r *Row) bool {
	return !w.group.Hypothetical || slices.ContainsFunc(r.Spans, func(s Span) bool {
		return s.State != policy.Open && s.State != policy.NeverBlock && s.State != policy.OutOfScope
	})
}

// join adds a row, to one that says the same if there is one.
func join(list []Row, r Row) []Row {
	key := keyOf(r.Spans)
	for i := range list {
		old := &list[i]
		if old.Only == r.Only && old.NotSeparable == r.NotSeparable && old.Known() == r.Known() && len(r.Channels) > 0 && keyOf(old.Spans) == key {
			old.Channels = append(old.Channels, r.Channels...)
			old.Spans = joinReasons(old.Spans, r.Spans)
			for _, d := range r.Destinations {
				if !slices.ContainsFunc(old.Destinations, func(o policy.Destination) bool { return o.Host == d.Host && o.Port == d.Port && o.Path == d.Path }) {
					old.Destinations = append(old.Destinations, d)
				}
			}
			return list
		}
	}
	return append(list, r)
}

// joinReasons adds the reasons of spans that say the same.
func joinReasons(spans, more []Span) []Span {
	if spans == nil {
		return slices.Clone(more)
	}
	for i := range spans {
		reasons := slices.Clip(spans[i].Reasons)
		for _, r := range more[i].Reasons {
			if !slices.ContainsFunc(reasons, func(o policy.Reason) bool {
				return o.Kind == r.Kind && o.ID == r.ID && o.Restriction == r.Restriction && o.Channel == r.Channel && o.Pos == r.Pos
			}) {
				reasons = append(reasons, r)
			}
		}
		spans[i].Reasons = reasons
	}
	return spans
}

// spokenOf are the channels that the group's restrictions name for its vendor.
func (w *weaver) spokenOf() (all policy.ChannelSet) {
	for i := range w.group.Restrictions {
		for j := range w.group.Restrictions[i].Texts {
			if text := &w.group.Restrictions[i].Texts[j]; slices.Contains(text.Vendors, w.group.Vendor) {
				all |= spokenOf(text)
			}
		}
	}
	return all
}

// spans is the history of a flow, with what it rests on.
func (w *weaver) spans(f *policy.Facts) []Span {
	var list []Span
	for _, h := range w.History(f) {
		e := w.Explain(h.From, f)
		s := Span{Verdict: h.Verdict, State: h.State, Need: h.Need, By: h.Cause()}
		for i := range e.Reasons {
			if e.Reasons[i].Decisive {
				s.Reasons = append(s.Reasons, e.Reasons[i])
			}
		}
		if !h.From.IsZero() {
			at := inWords(h.From, w.Explain(h.From.Add(-1), f), e)
			s.From = &at
		}
		n := len(list)
		if n > 0 && list[n-1].alike(&s) { // they differ in what another mode would do
			continue
		}
		if n > 0 {
			list[n-1].Until = s.From
		}
		list = append(list, s)
	}
	return list
}

func (s *Span) alike(other *Span) bool {
	return s.Verdict == other.Verdict && s.State == other.State && s.Need == other.Need && s.By.Kind == other.By.Kind && s.By.ID == other.By.ID
}

// keyOf is equal for spans that read the same.
func keyOf(spans []Span) string {
	var b strings.Builder
	for i := range spans {
		s := &spans[i]
		if s.From != nil {
			fmt.Fprintf(&b, "%d %q ", s.From.At.UnixNano(), s.From.Assumed)
		}
		fmt.Fprintf(&b, "%s %s %s %s %q;", s.Verdict, s.State, s.Need, s.By.Kind, s.By.ID)
	}
	return b.String()
}

// inWords gives the instant at which one explanation takes the place of another, as the text has it that brings this about. One that
// states the hour is preferred. The beginning of a warning is counted back from a block, and is assumed if that is.
func inWords(at time.Time, before, then policy.Explanation) policy.Instant {
	var found *policy.Instant
	for _, decisive := range []bool{true, false} {
		for _, e := range []*policy.Explanation{&then, &before} {
			for i := range e.Reasons {
				r := &e.Reasons[i]
				for _, in := range []*policy.Instant{r.From, r.Until} {
					if in != nil && r.Decisive == decisive && in.At.Equal(at) && (found == nil || found.Assumed != "" && in.Assumed == "") {
						found = in
					}
				}
			}
		}
		if found != nil {
			return *found
		}
	}
	for i := range then.Reasons {
		if r := &then.Reasons[i]; r.Decisive && r.Until != nil {
			derived := policy.Instant{At: at, Zone: r.Until.Zone, Assumed: r.Until.Assumed}
			if found == nil || found.Assumed != "" && derived.Assumed == "" {
				found = &derived
			}
		}
	}
	if found != nil {
		return *found
	}
	return policy.Instant{At: at, Zone: time.UTC}
}

// special tells whether a destination is known by its path alone, or by its name where the path would matter.
func (w *weaver) special(d *policy.Destination) bool { return byPathAlone(d) || w.unseen(d) }

func byPathAlone(d *policy.Destination) bool {
	e := d.Endpoint
	return d.Path != "" && e != nil && len(e.Hosts)+len(e.Zones) == 0 && e.FromList == ""
}

// unseen tells whether the path was not seen, and could matter.
func (w *weaver) unseen(d *policy.Destination) bool {
	return d.Path == "" && slices.ContainsFunc(w.destinations, func(o policy.Destination) bool {
		return o.Host == d.Host && o.Port == d.Port && o.Path != "" && !byPathAlone(&o)
	})
}

// maxNamed is how many of many names are told.
const maxNamed = 3

// only names the destinations of a variant for people.
func (w *weaver) only(v *variant) string {
	var parts []string
	for i := range v.destinations {
		if s := w.name(&v.destinations[i], v.spans); !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
	}
	if more := len(parts) - maxNamed; more > 0 {
		parts = append(parts[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

func (w *weaver) name(d *policy.Destination, spans []Span) string {
	switch {
	case byPathAlone(d):
		for _, pattern := range d.Endpoint.Paths {
			if pattern.Match(d.Path) {
				return "any host, path " + pattern.String()
			}
		}
	case d.Vendor == "" && d.Path == "" && !w.named(spans) && d.Host.IsAddr():
		return "any other address"
	case d.Vendor == "" && d.Path == "" && !w.named(spans):
		return "any other name"
	}
	port := d.Port
	if port == 443 || port == 80 && d.Path != "" {
		port = 0
	}
	s := host.Join(d.Host, port) + d.Path
	if w.unseen(d) {
		s += ", path unseen"
	}
	return s
}

// named tells whether a rule or waiver decides that names the destination itself.
func (w *weaver) named(spans []Span) bool {
	op := w.Operator()
	return slices.ContainsFunc(spans, func(s Span) bool {
		return s.By.Kind == "rule" && slices.ContainsFunc(op.Rules, func(r policy.Rule) bool { return r.ID == s.By.ID && r.Target.Vendor == "" }) ||
			s.By.Kind == "waiver" && slices.ContainsFunc(op.Waivers, func(v policy.Waiver) bool { return v.ID == s.By.ID && v.Target.Vendor == "" })
	})
}
