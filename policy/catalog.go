package policy

import (
	"errors"
	"maps"
	"slices"

	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/match"
)

// Catalog is a set of vendors and restrictions, checked and indexed. It does not change; policies share it.
type Catalog struct {
	Vendors       []Vendor
	Restrictions  []Restriction
	Jurisdictions []Jurisdiction
	Digest        string // of all the files that it was read from

	names     *match.Names
	endpoints endpointTable
	vendorAt  map[string]int // by id, index into Vendors
}

// Domains returns the number of names in the index, for people to see.
func (c *Catalog) Domains() int { return c.names.Len() }

// NewCatalog checks that the parts fit together and indexes the names. All mistakes are returned at once, as Problems. It
// keeps the slices, and lets go of names that came from list files once they are indexed.
func NewCatalog(vendors []Vendor, restrictions []Restriction, jurisdictions []Jurisdiction, digest string) (*Catalog, error) {
	c := &Catalog{
		Vendors: vendors, Restrictions: restrictions, Jurisdictions: jurisdictions, Digest: digest,
		vendorAt: make(map[string]int),
	}
	var problems Problems
	for i := range vendors {
		v := &vendors[i]
		if old, ok := c.vendorAt[v.ID]; ok {
			problems.Add(v.Pos, "", "vendor %q is already defined at %s", v.ID, vendors[old].Pos)
			continue
		}
		c.vendorAt[v.ID] = i
		checkEndpoints(v, &problems)
	}
	checkRestrictions(c, &problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}

	c.endpoints.add(vendors, c.vendorAt)
	names, err := match.NewNames(c.endpoints.entries())
	if err != nil {
		return nil, c.endpoints.problems(err)
	}
	c.names = names
	for i := range vendors {
		endpoints := vendors[i].Endpoints
		for j := range endpoints {
			if e := &endpoints[j]; e.FromList != "" {
				e.Hosts, e.Zones = nil, nil
			}
		}
	}
	return c, nil
}

// Separable returns the channels of a vendor that a restriction can block by the endpoints that are known: some endpoint carries
// the channel without corporate pages beside it, and is more than a guess by its path.
func (c *Catalog) Separable(vendor string) ChannelSet {
	i, known := c.vendorAt[vendor]
	if !known {
		return 0
	}
	return c.Vendors[i].separable()
}

// Separable is [Catalog.Separable] with the operator's own endpoints.
func (p *Policy) Separable(vendor string) ChannelSet {
	all := p.catalog.Separable(vendor)
	for i := range p.op.Vendors {
		if p.op.Vendors[i].ID == vendor {
			all |= p.op.Vendors[i].separable()
		}
	}
	return all
}

func (v *Vendor) separable() (all ChannelSet) {
	for i := range v.Endpoints {
		if e := &v.Endpoints[i]; !e.Channels.Has(Corporate) && !e.LowTrust {
			all |= e.Channels
		}
	}
	return all
}

// jurisdictionKnown tells whether a tag is in the catalogue's list or bound by one of its restrictions.
func (c *Catalog) jurisdictionKnown(id string) bool {
	for i := range c.Jurisdictions {
		if c.Jurisdictions[i].ID == id {
			return true
		}
	}
	for i := range c.Restrictions {
		for j := range c.Restrictions[i].Revisions {
			if slices.Contains(c.Restrictions[i].Revisions[j].Binds, id) {
				return true
			}
		}
	}
	return false
}

// endpointTable numbers endpoints for the index, the catalogue's first and the operator's after them, and gives equal numbers
// to equal meanings.
type endpointTable struct {
	list     []endpointRef
	meanings map[meaning]uint32
}

type endpointRef struct {
	*Endpoint
	vendor  int // into Policy.vendors
	meaning uint32
}

type meaning struct {
	vendor   int
	channels ChannelSet
	pinned   bool
	lowTrust bool
	print    bool
}

// add appends the endpoints of vendors. number holds each vendor's number by its id.
func (t *endpointTable) add(vendors []Vendor, number map[string]int) {
	if t.meanings == nil {
		t.meanings = make(map[meaning]uint32)
	}
	for i := range vendors {
		for j := range vendors[i].Endpoints {
			e := &vendors[i].Endpoints[j]
			m := meaning{number[vendors[i].ID], e.Channels, e.Pinned, e.LowTrust, e.fingerprint()}
			id, ok := t.meanings[m]
			if !ok {
				id = uint32(len(t.meanings))
				t.meanings[m] = id
			}
			t.list = append(t.list, endpointRef{e, m.vendor, id})
		}
	}
}

// problems puts what the index cannot take, many errors joined, where it stands.
func (t *endpointTable) problems(err error) Problems {
	var e *match.EntryError
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case ok:
		var problems Problems
		for _, err := range joined.Unwrap() {
			problems = append(problems, t.problems(err)...)
		}
		return problems
	case errors.As(err, &e) && len(e.Entries) > 0:
		return Problems{{Pos: t.list[e.Entries[0]].Pos, Message: e.Reason}}
	default:
		return Problems{{Message: err.Error()}}
	}
}

// fingerprint tells an endpoint that is known by its path alone.
func (e *Endpoint) fingerprint() bool { return len(e.Hosts)+len(e.Zones) == 0 && e.FromList == "" }

func (t *endpointTable) entries() []match.Entry {
	entries := make([]match.Entry, len(t.list))
	for i, e := range t.list {
		entries[i] = match.Entry{Hosts: e.Hosts, Zones: e.Zones, Ports: e.Ports, Paths: e.Paths, Meaning: e.meaning}
	}
	return entries
}

// anyZero finds a name that Parse did not make.
func anyZero(names []host.Name) bool {
	return slices.ContainsFunc(names, host.Name.IsZero)
}

// clone copies the table, so that a policy can add to it.
func (t *endpointTable) clone() endpointTable {
	return endpointTable{list: slices.Clip(slices.Clone(t.list)), meanings: maps.Clone(t.meanings)}
}
