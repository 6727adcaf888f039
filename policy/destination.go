package policy

import (
	"cmp"
	"encoding/binary"
	"maps"
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
// the same order: a name and an address that no endpoint matches, then the catalogue's, then the operator's. Two overlapping path
// patterns may have a path in common that is not among them.
//
// It takes time in proportion to the number of names.
func (p *Policy) Destinations() []Destination { return Destinations(p) }

// Destinations returns one destination for each way in which any of several policies can tell destinations apart. Vendor, Channels
// and Endpoint are those of the last policy that knows the destination.
func Destinations(policies ...*Policy) []Destination {
	s := &destinations{policies: policies}
	for _, p := range policies {
		for i := range p.endpoints.list {
			if e := &p.endpoints.list[i]; e.fingerprint() {
				for _, pattern := range e.Paths {
					s.prints = append(s.prints, pattern.Example())
				}
			}
		}
	}
	s.name(policies[0].least(unlistedNames))
	s.name(policies[0].least(unlistedAddresses))
	for _, p := range policies {
		for i := range p.endpoints.list {
			s.names(p.endpoints.list[i].Hosts, p.endpoints.list[i].Zones)
		}
	}
	for _, p := range policies {
		for i := range p.op.Rules {
			s.names(p.op.Rules[i].Target.Hosts, p.op.Rules[i].Target.Zones)
		}
		for i := range p.op.Waivers {
			s.names(p.op.Waivers[i].Target.Hosts, p.op.Waivers[i].Target.Zones)
		}
	}
	for _, p := range policies {
		s.listed(p)
	}
	return s.list
}

type destinations struct {
	policies []*Policy
	prints   []string // paths, one for each fingerprint
	known    interner
	list     []Destination
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
	for _, p := range s.policies {
		for _, id := range p.index.Candidates(p.index.At(n, false)) {
			e := &p.endpoints.list[id]
			for _, r := range e.Ports {
				ports = append(ports, r.First)
			}
			for _, pattern := range e.Paths {
				paths = append(paths, pattern.Example())
			}
		}
	}
	for _, port := range ports {
		s.add(Destination{Host: n, Port: port})
		byPath, unmatched := false, false
		for _, p := range s.policies {
			class := p.index.Lookup(n, port)
			outcomes := p.classes[class].outcomes
			byPath = byPath || outcomes != nil
			unmatched = unmatched || class == match.Unmatched || slices.Contains(outcomes, match.Unmatched)
		}
		for _, path := range paths {
			if byPath {
				s.add(Destination{Host: n, Port: port, Path: path})
			}
		}
		for _, path := range s.prints {
			if unmatched { // the path alone may tell
				s.add(Destination{Host: n, Port: port, Path: path})
			}
		}
	}
}

// listed adds what only names from list files can be: for each such kind the name that comes first.
func (s *destinations) listed(of *Policy) {
	var ports []uint16
	for _, e := range of.endpoints.list {
		if e.FromList == "" {
			continue
		}
		ports = append(ports, 443, 80)
		for _, r := range e.Ports {
			ports = append(ports, r.First)
		}
	}
	if ports = merge(ports); len(ports) == 0 {
		return
	}
	first := map[string]host.Name{}
	for l := range of.index.Listed() {
		n := l.Name()
		for _, port := range ports {
			k := s.key(&Destination{Host: n, Port: port})
			if old, ok := first[k]; !ok || n.String() < old.String() {
				first[k] = n
			}
		}
	}
	names := slices.SortedFunc(maps.Values(first), func(a, b host.Name) int { return strings.Compare(a.String(), b.String()) })
	s.names(nil, slices.Compact(names))
}

// add takes a destination, unless there is one like it.
func (s *destinations) add(d Destination) {
	if _, isNew := s.known.id(s.key(&d)); !isNew {
		return
	}
	for _, p := range s.policies {
		if c := &p.classes[p.classAt(&d)]; c.vendor != "" || d.Vendor == "" {
			d.Vendor, d.Channels, d.Endpoint = c.vendor, c.channels, p.endpointOf(&d)
		}
	}
	s.list = append(s.list, d)
}

// key is equal for destinations that none of the policies can tell apart.
func (s *destinations) key(d *Destination) string {
	key := []byte{0, 0}
	if d.Path != "" {
		key[0] = 1
	}
	if d.Host.IsAddr() {
		key[1] = 1
	}
	for _, p := range s.policies {
		key = binary.LittleEndian.AppendUint32(key, uint32(p.selections.Lookup(d.Host)))
		key = binary.LittleEndian.AppendUint32(key, uint32(p.index.Lookup(d.Host, d.Port)))
		key = binary.LittleEndian.AppendUint32(key, uint32(p.classAt(d)))
	}
	return string(key)
}

// classAt is the class of a destination, as look finds it.
func (p *Policy) classAt(d *Destination) match.ClassID {
	class := p.index.Lookup(d.Host, d.Port)
	if d.Path == "" {
		return class
	}
	if class = p.index.Path(class, d.Path); class == match.Unmatched {
		class = p.index.Fingerprint(d.Path)
	}
	return class
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
