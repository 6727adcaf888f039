package policy

import (
	"slices"

	"github.com/gracegate/gracegate/policy/match"
)

// Options are what a compilation needs beside the catalogue and the operator's file.
type Options struct {
	Revision     string  // a digest of all that went in; stands in every decision
	KnownAt      Horizon // what had been published
	ClockFaults  Verdict // governed traffic while the clock is untrusted; zero blocks
	RecordFaults Verdict // governed traffic while decisions cannot be recorded; zero blocks
}

// Policy is a compiled policy. It does not change and may be used by any number of goroutines.
type Policy struct {
	catalog     *Catalog
	op          *Operator
	opts        Options
	vendors     []vendor
	instruments []instrument
	modes       []Mode // by restriction
	endpoints   endpointTable
	ports       []uint16 // that any endpoint lists, in order
	index       *match.Index
	selections  *match.Selections
	scopes      *scopes
	classes     []class // by match.ClassID

	named     []voices // by match.SetID: those that name a host or zone themselves
	byVendor  []voices // by scope: those that go by vendor and channel
	timelines []timeline
	rowAt     []uint32   // scope x set -> index into rows
	rows      [][]uint32 // by class, an index into timelines
	reach     []timeline // by scope: whether anything at all is blocked then
	eras      []int64    // every instant at which anything changes, in order
	who       *who
}

// vendor is a vendor with the instruments that name it.
type vendor struct {
	id          string
	instruments []int
}

// class is what an endpoint means, whichever its name.
type class struct {
	units      []unit
	outcomes   []match.ClassID // what the path can make of it; nil: nothing else
	pinned     bool
	pinnedBy   []uint32 // the meanings of the endpoints that pin it, in order
	corporate  bool
	neverBlock bool
	vendor     string    // of what it or its outcomes are, as Endpoint tells
	channels   []Channel // likewise, in order
}

// unit is one channel of one vendor.
type unit struct {
	vendor   int
	channel  Channel
	lowTrust bool
}

// Compile joins a catalogue with an operator's policy. Mistakes that only show when the two meet (an unknown vendor, site,
// restriction...) are returned all at once, as Problems.
func Compile(c *Catalog, op *Operator, opts Options) (*Policy, error) {
	if err := Check(c, op).Err(); err != nil {
		return nil, err
	}
	p := &Policy{catalog: c, op: op, opts: opts}
	p.addVendors()
	p.addInstruments()
	if err := p.addNames(); err != nil {
		return nil, err
	}
	var err error
	if p.scopes, err = compileScopes(op); err != nil {
		return nil, err
	}
	for i := range p.scopes.list {
		p.byVendor = append(p.byVendor, p.scopes.list[i].byVendor(op))
	}
	p.compileTimelines()
	p.findEras()
	p.who = newWho(op)
	return p, nil
}

// Revision is the digest given to Compile.
func (p *Policy) Revision() string { return p.opts.Revision }

// Catalog is the catalogue that the policy was compiled with.
func (p *Policy) Catalog() *Catalog { return p.catalog }

// KnownAt is the horizon given to Compile.
func (p *Policy) KnownAt() Horizon { return p.opts.KnownAt }

// WithHorizon compiles the same policy as it would be had nothing been published after h.
func (p *Policy) WithHorizon(h Horizon) (*Policy, error) {
	opts := p.opts
	opts.KnownAt = h
	return Compile(p.catalog, p.op, opts)
}

// Operator is the operator's file that the policy was compiled from.
func (p *Policy) Operator() *Operator { return p.op }

// addVendors numbers the catalogue's vendors and then the operator's. The operator may add endpoints to a vendor of the
// catalogue: then both have one number.
func (p *Policy) addVendors() {
	number := make(map[string]int, len(p.catalog.vendorAt))
	for i := range p.catalog.Vendors {
		v := &p.catalog.Vendors[i]
		number[v.ID] = i
		p.vendors = append(p.vendors, vendor{id: v.ID})
	}
	for i := range p.op.Vendors {
		v := &p.op.Vendors[i]
		if _, ok := number[v.ID]; !ok {
			number[v.ID] = len(p.vendors)
			p.vendors = append(p.vendors, vendor{id: v.ID})
		}
	}
	p.endpoints = p.catalog.endpoints.clone()
	p.endpoints.add(p.op.Vendors, number)
	p.ports = p.endpoints.listPorts()
}

// addInstruments takes every restriction that is not off.
func (p *Policy) addInstruments() {
	p.modes = make([]Mode, len(p.catalog.Restrictions))
	for i := range p.catalog.Restrictions {
		r := &p.catalog.Restrictions[i]
		mode, listed := p.op.Settings.Mode, false
		for _, l := range p.op.Restrictions {
			if l.ID == r.ID {
				mode, listed = l.Mode, true
			}
		}
		p.modes[i] = mode
		if mode == Off {
			continue
		}
		in := newInstrument(r, i, mode, listed, p.opts.KnownAt, p.op.Settings.WarnBefore)
		n := len(p.instruments)
		p.instruments = append(p.instruments, in)
		for v := range p.vendors {
			if in.names(p.vendors[v].id) {
				p.vendors[v].instruments = append(p.vendors[v].instruments, n)
			}
		}
	}
}

// Mode is what the operator's file does with a restriction of the catalogue, whichever it is.
func (p *Policy) Mode(restriction string) (Mode, bool) {
	i := slices.IndexFunc(p.catalog.Restrictions, func(r Restriction) bool { return r.ID == restriction })
	if i < 0 {
		return 0, false
	}
	return p.modes[i], true
}

// Enforces tells whether the policy blocks by a restriction of the catalogue, and does not only say what enforcing it would do.
func (p *Policy) Enforces(restriction string) bool {
	i := slices.IndexFunc(p.instruments, func(in instrument) bool { return in.ID == restriction })
	return i >= 0 && p.instruments[i].enforced
}

// names tells whether any text of the restriction names the vendor.
func (in *instrument) names(vendor string) bool {
	return slices.ContainsFunc(in.views, func(v view) bool { return v.names(vendor) })
}

// addNames puts the operator's own endpoints over the catalogue's index, and finds what every class means.
func (p *Policy) addNames() error {
	var err error
	entries := p.endpoints.entries()
	if p.index, err = match.NewIndex(p.catalog.names, entries[len(p.catalog.endpoints.list):]); err != nil {
		return p.endpoints.problems(err)
	}
	p.classes = make([]class, p.index.NumClasses())
	for i := range p.classes {
		p.classes[i] = p.newClass(p.index.Class(match.ClassID(i)))
	}
	for i := range p.classes {
		p.describe(&p.classes[i])
	}

	var selectors []match.Selector
	for i := range p.op.Rules {
		selectors = append(selectors, match.Selector{Hosts: p.op.Rules[i].Target.Hosts, Zones: p.op.Rules[i].Target.Zones})
	}
	for i := range p.op.Waivers {
		selectors = append(selectors, match.Selector{Hosts: p.op.Waivers[i].Target.Hosts, Zones: p.op.Waivers[i].Target.Zones})
	}
	p.selections = match.NewSelections(selectors)
	p.named = make([]voices, p.selections.NumSets())
	for i := range p.named {
		for _, s := range p.selections.Set(match.SetID(i)) {
			if s < len(p.op.Rules) {
				p.named[i].rules = append(p.named[i].rules, s)
			} else {
				p.named[i].waivers = append(p.named[i].waivers, s-len(p.op.Rules))
			}
		}
	}
	return nil
}

func (p *Policy) newClass(m match.Class) class {
	c := class{outcomes: m.Outcomes}
	pin := func(e endpointRef) {
		if e.Pinned {
			c.pinned, c.pinnedBy = true, merge(c.pinnedBy, []uint32{e.meaning})
		}
	}
	for _, id := range m.Entries {
		e := p.endpoints.list[id]
		pin(e)
		c.corporate = c.corporate || e.Channels.Has(Corporate)
		c.neverBlock = c.neverBlock || e.Channels&neverBlock != 0
		for _, ch := range e.Channels.List() {
			u := unit{vendor: e.vendor, channel: ch, lowTrust: e.LowTrust}
			if !slices.Contains(c.units, u) {
				c.units = append(c.units, u)
			}
		}
	}
	for _, id := range m.Outcomes {
		for _, e := range p.index.Class(id).Entries {
			pin(p.endpoints.list[e])
		}
	}
	return c
}
