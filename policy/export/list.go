package export

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// Entry is a host, or a zone with every name below it that no other entry tells more closely of.
type Entry struct {
	Name  host.Name
	Zone  bool
	Block bool
	Depth int // 0 for a block that lies in no other entry; odd ones are exceptions, even ones are blocks within exceptions

	Within host.Name // the zone entry that it is an exception from; zero at depth 0
	// Apart: there is an entry for the zone of this name, and an exception from it for the host. Each tells of itself alone: the
	// zone of what lies below.
	Apart bool
}

// Result is what is to be written for one client, from Since until Until.
type Result struct {
	Revision string
	For      string    // whom it is for, in words
	Since    time.Time // zero: always
	Until    time.Time // the next instant at which anything in it may change; zero: never
	Entries  []Entry   // by depth, then by name
	// Covered are the hosts that are listed and blocked, and need no entry where a format knows zones: they lie in one that is blocked.
	Covered []host.Name
	Cannot  []string // what no list of names expresses, a line each, in order
}

// List asks a policy about every name that it lists, for a client at an instant. For says in words whom it is for.
func List(p *policy.Policy, at time.Time, client policy.Asker, whom string) Result {
	l := &lister{p: p, at: at, client: client, out: Result{Revision: p.Revision(), For: whom}}
	l.period()
	hosts, zones := l.listed()
	l.zones = make(map[string]place, len(zones))
	for _, n := range zones { // the outer ones first
		below, err := host.Parse("any-other-name." + n.String())
		if err != nil { // nothing lies below so long a name
			below = n
		}
		around := l.around(n)
		l.zones[n.String()] = l.add(Entry{Name: n, Zone: true, Block: l.blocks(below, n.String()+" and below")}, around)
	}
	for _, n := range hosts {
		around, same := l.zones[n.String()]
		if !same {
			around = l.around(n)
		}
		e := Entry{Name: n, Block: l.blocks(n, n.String())}
		if e.Block && around.block && l.out.Entries[around.entry].Name != n {
			l.out.Covered = append(l.out.Covered, n)
		}
		l.add(e, around)
	}
	// The order is total: of a zone and a host with one name, the host is an exception from the zone, or neither lies in the other.
	slices.SortFunc(l.out.Entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Depth, b.Depth), strings.Compare(a.Name.String(), b.Name.String()))
	})
	l.others()
	return l.out
}

type lister struct {
	p      *policy.Policy
	at     time.Time
	client policy.Asker
	zones  map[string]place
	out    Result
}

// place is what is said of the names in a zone that nothing tells more closely of, and how often that turned on the way there.
type place struct {
	block bool
	depth int
	entry int // which says so
}

// outside of all zones nothing is blocked.
var outside = place{depth: -1, entry: -1}

// period finds since when nothing in the policy changed. Until when is found with the names.
func (l *lister) period() {
	for _, at := range l.p.Instants() {
		if at.After(l.at) {
			break
		}
		l.out.Since = at
	}
}

// listed returns every host and zone that an endpoint, rule or waiver names, each once; the outer zones first.
func (l *lister) listed() (hosts, zones []host.Name) {
	hosts, zones = slices.Collect(l.p.KnownHosts()), slices.Collect(l.p.KnownZones())
	for i := range l.p.Operator().Waivers {
		t := &l.p.Operator().Waivers[i].Target
		hosts, zones = append(hosts, t.Hosts...), append(zones, t.Zones...)
	}
	labels := func(n host.Name) int { return strings.Count(n.String(), ".") }
	order := func(a, b host.Name) int {
		return cmp.Or(cmp.Compare(labels(a), labels(b)), strings.Compare(a.String(), b.String()))
	}
	for _, list := range []*[]host.Name{&hosts, &zones} {
		slices.SortFunc(*list, order)
		*list = slices.Compact(*list)
	}
	return hosts, zones
}

// around finds the closest listed zone that a name lies in, and what is said there.
func (l *lister) around(n host.Name) place {
	if !n.IsAddr() {
		for zone, ok := n.Parent(); ok; zone, ok = zone.Parent() {
			if at, listed := l.zones[zone.String()]; listed {
				return at
			}
		}
	}
	return outside
}

// add takes an entry that says something else than what lies around it.
func (l *lister) add(e Entry, around place) place {
	if e.Block == around.block {
		return around
	}
	e.Depth = around.depth + 1
	if around.entry >= 0 {
		zone := &l.out.Entries[around.entry]
		e.Within, e.Apart = zone.Name, zone.Name == e.Name
		zone.Apart = zone.Apart || e.Apart
	}
	l.out.Entries = append(l.out.Entries, e)
	return place{e.Block, e.Depth, len(l.out.Entries) - 1}
}

// blocks asks about a name as a client over TLS and one of plain HTTP would, and notes what a list of names cannot tell.
func (l *lister) blocks(n host.Name, shown string) bool {
	tls := l.ask(n, 443)
	plain := l.ask(n, 80)
	switch {
	case tls.Verdict == policy.Allow && tls.State == policy.Inseparable:
		l.cannot("%s: passes, since it carries other pages too", shown)
	case tls.Need == policy.NeedRequest && tls.State == policy.Unseen:
		l.cannot("%s: some paths are blocked and some are not", shown)
	case tls.Verdict != plain.Verdict:
		l.cannot("%s: port 443 %s, port 80 %s", shown, tls.Verdict, plain.Verdict)
		return false
	}
	return tls.Verdict == policy.Block
}

// ask decides about a name, and notes when that may change.
func (l *lister) ask(n host.Name, port uint16) policy.Decision {
	d := policy.Destination{Host: n, Port: port}
	f := d.Facts(&l.client)
	if port == 80 {
		f.Scheme, f.Stage, f.Hello, f.SNI = "http", policy.StageAuthority, policy.HelloUnseen, host.Name{}
	}
	decision := l.p.Decide(l.at, &f)
	if next, changes := decision.NextChange(); changes {
		l.changes(next)
	}
	return decision
}

// changes notes that something in the result may be otherwise from an instant on.
func (l *lister) changes(at time.Time) {
	if l.out.Until.IsZero() || at.Before(l.out.Until) {
		l.out.Until = at
	}
}

func (l *lister) cannot(format string, args ...any) {
	l.out.Cannot = append(l.out.Cannot, fmt.Sprintf(format, args...))
}

// others notes what depends on more than a name: ports of endpoints, fingerprints, and clients that are treated otherwise.
func (l *lister) others() {
	for _, vendors := range [][]policy.Vendor{l.p.Catalog().Vendors, l.p.Operator().Vendors} {
		for i := range vendors {
			for j := range vendors[i].Endpoints {
				l.ports(&vendors[i].Endpoints[j])
			}
		}
	}
	for i := range l.p.Operator().Waivers {
		w := &l.p.Operator().Waivers[i]
		switch {
		case w.Clients.Empty() || !l.at.Before(w.Until.At):
		case w.From != nil && l.at.Before(w.From.At):
			l.changes(w.From.At)
		default:
			l.cannot("waiver %s: it is for some clients only", w.ID)
			l.changes(w.Until.At)
		}
	}
	if s := l.p.Operator().Settings; s.Default == policy.Block {
		l.cannot("settings.default: names that nothing lists are blocked")
	}
	slices.Sort(l.out.Cannot)
	l.out.Cannot = slices.Compact(l.out.Cannot)
}

// ports notes an endpoint of which other ports are treated otherwise than 443.
func (l *lister) ports(e *policy.Endpoint) {
	for _, n := range slices.Concat(e.Hosts, e.Zones) {
		for _, r := range e.Ports {
			if usual, own := l.ask(n, 443), l.ask(n, r.First); usual.Verdict != own.Verdict {
				l.cannot("%s: port 443 %s, port %d %s", n, usual.Verdict, r.First, own.Verdict)
			}
		}
	}
}
