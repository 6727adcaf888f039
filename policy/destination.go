package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

// Destination is a place on the network, asked for in one way, that stands for all that the policy treats as it does.
type Destination struct {
	Host     host.Name
	Port     uint16
	Path     string // as ReadPath reads it; empty: not seen
	Vendor   string // empty: no endpoint
	Channels []Channel
	// Endpoint is the first endpoint that makes it what it is; nil if there is none.
	Endpoint *Endpoint
}

// Facts are those of a client that asks for the destination and hides nothing: a request where there is a path, and else a TLS
// connection whose hello was read.
func (d *Destination) Facts(a *Asker) Facts {
	f := Facts{Client: a.Client, User: a.User, MAC: a.MAC, Scheme: "https", Stage: StageHello, Method: "CONNECT", Authority: d.Host, Port: d.Port}
	f.Hello = HelloNoName
	if !d.Host.IsAddr() {
		f.Hello, f.SNI = HelloWithName, d.Host
	}
	if d.Path == "" {
		return f
	}
	f.Stage, f.Method, f.Inner, f.Path = StageRequest, "GET", d.Host, d.Path
	if d.Port == 80 {
		f.Scheme, f.Hello, f.SNI = "http", HelloUnseen, host.Name{}
	}
	return f
}

// Destinations returns one destination for each way in which the policy can tell destinations apart by name, port and path, always in
// the same order: a name and an address that no endpoint matches, then the catalogue's, then the operator's. Two overlapping path patterns may have a path in common that is not among them.
//
// It takes time in proportion to the number of names.
func (p *Policy) Destinations() []Destination {
	s := &destinations{p: p, known: make(map[destinationKey]bool)}
	for i := range p.endpoints.list {
		e := &p.endpoints.list[i]
		if e.fingerprint() {
			for _, pattern := range e.Paths {
				s.prints = append(s.prints, pattern.Example())
			}
		}
	}
	s.name(p.least(unlistedNames))
	s.name(p.least(unlistedAddresses))
	for i := range p.endpoints.list {
		s.names(p.endpoints.list[i].Hosts, p.endpoints.list[i].Zones)
	}
	for i := range p.op.Rules {
		s.names(p.op.Rules[i].Target.Hosts, p.op.Rules[i].Target.Zones)
	}
	for i := range p.op.Waivers {
		s.names(p.op.Waivers[i].Target.Hosts, p.op.Waivers[i].Target.Zones)
	}
	s.listed()
	return s.list
}

type destinationKey struct {
	set         match.SetID
	class, path match.ClassID // by name and port, and with the path; equal where no path was seen
	seen, addr  bool
}

type destinations struct {
	p      *Policy
	prints []string // paths, one for each fingerprint
	known  map[destinationKey]bool
	list   []Destination
}

func (s *destinations) names(hosts, zones []host.Name) {
	for _, n := range hosts {
		s.name(n)
	}
	for _, n := range zones {
		s.name(n)
		if below, err := host.Parse("any." + n.String()); err == nil {
			s.name(below)
		}
	}
}

// name adds what a name can be, by its ports and paths.
func (s *destinations) name(n host.Name) {
	ports, paths := []uint16{443, 80}, []string{"/"}
	for _, id := range s.p.index.Candidates(s.p.index.At(n, false)) {
		e := &s.p.endpoints.list[id]
		for _, r := range e.Ports {
			ports = append(ports, r.First)
		}
		for _, pattern := range e.Paths {
			paths = append(paths, pattern.Example())
		}
	}
	for _, port := range ports {
		class := s.p.index.Lookup(n, port)
		s.add(Destination{Host: n, Port: port}, class)
		outcomes := s.p.classes[class].outcomes
		if outcomes != nil {
			for _, path := range paths {
				s.add(Destination{Host: n, Port: port, Path: path}, class)
			}
		}
		if class == match.Unmatched || slices.Contains(outcomes, match.Unmatched) { // the path alone may tell
			for _, path := range s.prints {
				s.add(Destination{Host: n, Port: port, Path: path}, class)
			}
		}
	}
}

// listed adds what only names from list files can be: for each such kind the name that comes first.
func (s *destinations) listed() {
	if !slices.ContainsFunc(s.p.endpoints.list, func(e endpointRef) bool { return e.FromList != "" }) {
		return
	}
	type kind struct {
		set   match.SetID
		class match.ClassID
	}
	first := map[kind]host.Name{}
	for l := range s.p.index.Listed() {
		for class := range s.p.index.Classes(l) {
			n := l.Name()
			k := kind{s.p.selections.Lookup(n), class}
			if old, ok := first[k]; !ok || n.String() < old.String() {
				first[k] = n
			}
		}
	}
	names := make([]host.Name, 0, len(first))
	for _, n := range first {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b host.Name) int { return strings.Compare(a.String(), b.String()) })
	s.names(nil, slices.Compact(names))
}

// add takes a destination of a class by name and port, unless there is one like it.
func (s *destinations) add(d Destination, class match.ClassID) {
	key := destinationKey{s.p.selections.Lookup(d.Host), class, class, d.Path != "", d.Host.IsAddr()}
	if key.seen {
		if key.path = s.p.index.Path(class, d.Path); key.path == match.Unmatched {
			key.path = s.p.index.Fingerprint(d.Path)
		}
	}
	if s.known[key] {
		return
	}
	s.known[key] = true
	c := &s.p.classes[key.path]
	d.Vendor, d.Channels = c.vendor, c.channels
	d.Endpoint = s.p.endpointOf(&d)
	s.list = append(s.list, d)
}

// endpointOf finds the most specific endpoint that matches a destination.
func (p *Policy) endpointOf(d *Destination) *Endpoint {
	if hits := p.index.Explain(d.Host, d.Port, d.Path); len(hits) > 0 {
		return p.endpoints.list[hits[0].Entry].Endpoint
	}
	if prints := p.index.ExplainFingerprint(d.Path); d.Path != "" && len(prints) > 0 {
		return p.endpoints.list[prints[0]].Endpoint
	}
	return nil
}

// These are set aside for what does not exist, so that no endpoint is likely to match them (RFC 6761, RFC 5737).
var (
	unlistedNames     = []string{"unlisted.invalid", "unlisted.example", "unlisted.test"}
	unlistedAddresses = []string{"192.0.2.1", "198.51.100.1", "203.0.113.1"}
)

// least returns the name of which endpoints, rules and waivers say least: nothing, most likely.
func (p *Policy) least(candidates []string) host.Name {
	said := func(text string) int {
		n := host.MustParse(text)
		return len(p.index.Candidates(p.index.At(n, false))) + len(p.selections.Set(p.selections.Lookup(n)))
	}
	return host.MustParse(slices.MinFunc(candidates, func(a, b string) int { return cmp.Compare(said(a), said(b)) }))
}
