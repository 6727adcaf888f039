package catalog_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/source"
)

// mirror is a host of nobody's, where only a path tells what is fetched.
var mirror = host.MustParse("mirror.example")

// american is a client that the built-in policy's default site takes for one in the United States.
var american = netip.MustParseAddr("192.0.2.7")

// TestAddedRestrictionChangesNothing begins with the one restriction that the built-in policy enforces, and adds all others of the
// binary, as they are and once more bound to the clients of that policy and to every vendor, with those that histories make up:
// nothing that it decides may become different, for any name of the catalogue, at any instant that means something.
func TestAddedRestrictionChangesNothing(t *testing.T) {
	t.Parallel()
	c := load(t, "", false)
	enforced, shipped := split(t, c.Restrictions, "us-icts-2021-002")
	bare, err := policy.NewCatalog(c.Vendors, enforced, c.Jurisdictions, "")
	if err != nil {
		t.Fatal(err)
	}
	bound := append(boundToAll(c, slices.Concat(shipped, madeUp(t))), blockEverything(c))
	all := slices.Concat(shipped, bound)
	with := compile(t, extended(t, bare, all...), builtin(t))
	ats := instants(slices.Concat(enforced, all))
	before := compile(t, bare, builtin(t))
	flows := flowsOf(t, c)
	if len(shipped) < 15 || len(flows) < 1000 || len(ats) < 200 {
		t.Fatalf("%d restrictions, %d flows at %d instants are too few to prove anything", len(shipped), len(flows), len(ats))
	}
	for i := range flows {
		for _, at := range ats {
			if got, want := said(with.Decide(at, &flows[i])), said(before.Decide(at, &flows[i])); got != want {
				t.Fatalf("%s:%d%s at %s: %+v, and %+v before", flows[i].Authority, flows[i].Port, flows[i].Path, at, got, want)
			}
		}
	}

	// The same catalogue, under a policy that enforces what is in it: what was added and bound does bind these clients.
	enforcing := builtin(t)
	enforcing.Settings.Mode = policy.Enforce
	p := compile(t, extended(t, bare, all...), enforcing)
	for _, r := range bound {
		if !slices.ContainsFunc(flows, func(f policy.Facts) bool {
			return slices.ContainsFunc(ats, func(at time.Time) bool {
				e := p.Explain(at, &f)
				return slices.ContainsFunc(e.Reasons, func(why policy.Reason) bool {
					return why.Restriction == r.ID && why.Effect != policy.OutOfScope.String()
				})
			})
		}) {
			t.Errorf("%s would not matter if it were enforced", r.ID)
		}
	}
}

// TestNeverBlock blocks all channels of all vendors: what carries revocation, connectivity or what is local passes all the
// same, and nothing else does.
func TestNeverBlock(t *testing.T) {
	t.Parallel()
	c := load(t, "", false)
	op := builtin(t)
	op.Settings.Mode = policy.Enforce
	p := compile(t, extended(t, c, blockEverything(c)), op)
	ats := instants(c.Restrictions)
	seen := map[policy.Verdict]int{}
	for _, f := range flowsOf(t, c) {
		channels := p.Explain(ats[0], &f).Channels                // at every instant the same
		if len(channels) == 0 || f.Stage != policy.StageRequest { // what a path would tell is not told yet
			continue
		}
		if f.Authority == mirror { // a fingerprint of low confidence blocks nothing
			continue
		}
		want := policy.Block
		if slices.ContainsFunc(channels, func(ch policy.Channel) bool {
			return ch == policy.Revocation || ch == policy.Connectivity || ch == policy.Local
		}) {
			want = policy.Allow
		}
		for _, at := range ats {
			d := p.Decide(at, &f)
			if d.Verdict != want || (want == policy.Allow) != (d.State == policy.NeverBlock) {
				t.Fatalf("%s:%d%s at %s, %s: %s (%s), want %s", f.Authority, f.Port, f.Path, at, channels, d.Verdict, d.State, want)
			}
			seen[want]++
		}
	}
	if seen[policy.Allow] == 0 || seen[policy.Block] == 0 {
		t.Errorf("nothing was seen to prove it on: %v", seen)
	}
}

// verdict is all of a decision that a client, a record or explain can tell.
type verdict struct {
	verdict, would        policy.Verdict
	state                 policy.State
	need                  policy.Need
	governed              bool
	nextChange, nextBlock time.Time
}

func said(d policy.Decision) verdict {
	v := verdict{verdict: d.Verdict, would: d.Would, state: d.State, need: d.Need, governed: d.Governed}
	v.nextChange, _ = d.NextChange()
	v.nextBlock, _ = d.NextBlock()
	return v
}

func builtin(t *testing.T) *policy.Operator {
	t.Helper()
	op, problems := source.Operator(catalog.Builtin())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return &op
}

func compile(t *testing.T, c *policy.Catalog, op *policy.Operator) *policy.Policy {
	t.Helper()
	p, err := policy.Compile(c, op, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// extended is a catalogue with restrictions more.
func extended(t *testing.T, c *policy.Catalog, more ...policy.Restriction) *policy.Catalog {
	t.Helper()
	with, err := policy.NewCatalog(c.Vendors, slices.Concat(c.Restrictions, more), c.Jurisdictions, "")
	if err != nil {
		t.Fatal(err)
	}
	return with
}

// split parts restrictions into the one of an id and the others.
func split(t *testing.T, all []policy.Restriction, id string) (one, others []policy.Restriction) {
	t.Helper()
	for _, r := range all {
		if r.ID == id {
			one = append(one, r)
		} else {
			others = append(others, r)
		}
	}
	if len(one) != 1 {
		t.Fatalf("%d restrictions are called %s", len(one), id)
	}
	return one, others
}

// madeUp are the restrictions of histories that have their own.
func madeUp(t *testing.T) (all []policy.Restriction) {
	t.Helper()
	for _, dir := range historyDirs(t) {
		if h := loadHistory(t, dir); h.alone {
			all = append(all, h.catalog.Restrictions...)
		}
	}
	return all
}

// boundToAll are copies of restrictions under other names, bound to the United States and to every vendor of c.
func boundToAll(c *policy.Catalog, restrictions []policy.Restriction) (all []policy.Restriction) {
	for _, r := range restrictions {
		r.ID = "added-" + r.ID
		r.Revisions, r.Licences = slices.Clone(r.Revisions), slices.Clone(r.Licences)
		for i := range r.Revisions {
			r.Revisions[i].Binds, r.Revisions[i].Vendors = []string{"US"}, vendorIDs(c)
		}
		for i := range r.Licences {
			r.Licences[i].Vendors = vendorIDs(c)
		}
		all = append(all, r)
	}
	return all
}

// blockEverything is a restriction on all channels of all vendors, since long ago.
func blockEverything(c *policy.Catalog) policy.Restriction {
	long := policy.Instant{At: time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC), Zone: time.UTC}
	return policy.Restriction{
		ID: "added-block-everything", Title: "No", Strength: policy.Prohibition, Verified: true, Zone: time.UTC,
		Revisions: []policy.Revision{{
			Published: long, Binds: []string{"US"}, Vendors: vendorIDs(c),
			Phases: []policy.Phase{{From: long, Effect: policy.EffectBlock, Channels: policy.AllChannels}},
		}},
	}
}

// instants are those at which something changes in restrictions, their neighbours, and the beginnings of warnings.
func instants(rs []policy.Restriction) []time.Time {
	var all []time.Time
	for i := range rs {
		for _, m := range mutations(&rs[i]) {
			if m.at != nil {
				all = append(all, m.at.Add(-1), *m.at, m.at.Add(1), m.at.Add(-30*24*time.Hour))
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// flowsOf are flows to every name of a catalogue, below its zones too, on each of its ports and paths, at every stage.
func flowsOf(t *testing.T, c *policy.Catalog) (flows []policy.Facts) {
	t.Helper()
	example := strings.NewReplacer("**", "some/file", "*", "some", "[0-9]", "1")
	for i := range c.Vendors {
		for _, e := range c.Vendors[i].Endpoints {
			names := slices.Concat(e.Hosts, e.Zones)
			for _, zone := range e.Zones {
				names = append(names, host.MustParse("some.name."+zone.String()))
			}
			if len(names) == 0 { // a fingerprint
				names = []host.Name{mirror}
			}
			ports := []uint16{80, 443}
			for _, r := range e.Ports {
				ports = append(ports, r.First, r.Last)
			}
			paths := []string{"/"}
			for _, p := range e.Paths {
				paths = append(paths, example.Replace(p.String()))
			}
			for _, name := range names {
				for _, port := range ports {
					tls := policy.Facts{Client: american, Scheme: "https", Authority: name, Port: port}
					hello := tls
					hello.Stage, hello.Hello, hello.SNI = policy.StageHello, policy.HelloWithName, name
					flows = append(flows, tls, hello)
					for _, path := range paths {
						flows = append(flows, policy.Facts{
							Client: american, Scheme: "http", Stage: policy.StageRequest,
							Authority: name, Inner: name, Port: port, Path: path,
						})
					}
				}
			}
		}
	}
	return flows
}
