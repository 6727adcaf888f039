package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestUnmet(t *testing.T) {
	at := func(line int, e Endpoint) Endpoint {
		e.Pinned, e.Pos = true, Pos{File: "acme.yaml", Line: line, Column: 5}
		return e
	}
	vendors := func() []Vendor {
		return []Vendor{{ID: "acme", Endpoints: []Endpoint{
			at(50, hostsOf(Channels(Signatures), "u.example", "v.example")),
			at(40, zonesOf(Channels(Signatures), "z.example")),
			at(30, Endpoint{Hosts: names("p.example"), Paths: patterns("/v6/**"), Channels: Channels(Signatures), Sources: someSource}),
			at(20, hostsOf(Channels(Codebase), "c.example")),
			at(10, Endpoint{Hosts: names("l1.example", "l2.example"), Channels: Channels(Signatures), Sources: someSource, FromList: "list.txt"}),
			hostsOf(Channels(Signatures), "seen.example"),
		}}}
	}
	law := []Restriction{restriction("r", "acme", blockPhase(long, Signatures))}
	page := func(op *Operator) { op.Settings.BlockPage = true }
	const path = "acme.yaml:30:5 p.example path"

	for _, c := range []struct {
		name string
		set  func(*Operator)
		want []string
	}{
		{"a path that stays unseen", nil, []string{path}},
		{"pages that are not shown", page, []string{
			"acme.yaml:10:5 list.txt page", path, "acme.yaml:40:5 z.example page", "acme.yaml:50:5 u.example page",
		}},
		{"nothing is blocked", func(op *Operator) { page(op); op.Settings.Mode = Monitor }, nil},
		{"nobody is bound", func(op *Operator) { page(op); op.DefaultSite.Jurisdictions = nil }, nil},
		{"one site is bound", func(op *Operator) {
			op.DefaultSite.Jurisdictions = nil
			op.Sites = []Site{{Name: "s", Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, Jurisdictions: []string{"US"}}}
		}, []string{path}},
		{"a rule for names below a zone", func(op *Operator) {
			page(op)
			op.Settings.Mode = Monitor
			op.Rules = []Rule{{ID: "1", Target: Target{Hosts: names("h.z.example")}, Phases: []Phase{{From: on(soon), Effect: EffectBlock}}}}
		}, []string{"acme.yaml:40:5 z.example page"}},
		{"a rule for a host, not for what is beside it", func(op *Operator) {
			page(op)
			op.Settings.Mode = Monitor
			op.Rules = []Rule{{ID: "1", Target: Target{Hosts: names("c.example")}, Phases: []Phase{{From: on(soon), Effect: EffectBlock}}}}
		}, []string{"acme.yaml:20:5 c.example page"}},
		{"a waiver for as long as there is law", func(op *Operator) {
			op.Waivers = []Waiver{{ID: "w", Target: Target{Hosts: names("p.example")}, Until: on("2250-01-01T00:00:00Z")}}
		}, []string{path}}, // a waiver has an end
		{"one verdict by name", func(op *Operator) {
			op.Rules = []Rule{{ID: "1", Final: true, Target: Target{Hosts: names("p.example")}, Phases: []Phase{{From: on(long), Effect: EffectBlock}}}}
			op.Restrictions = []Listing{{ID: "r", Mode: Monitor}}
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := enforced()
			if c.set != nil {
				c.set(op)
			}
			p := mustCompile(t, vendors(), law, op)
			var got []string
			for _, problem := range p.Unmet() {
				got = append(got, unmetText(problem))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// unmetText is the place, the endpoint and the kind of a problem.
func unmetText(p Problem) string {
	kind := "page"
	if strings.Contains(p.Message, "judged by its path") {
		kind = "path"
	}
	return fmt.Sprintf("%s %s %s", p.Pos, strings.Split(p.Message, `"`)[1], kind)
}

func TestUnmetIsBounded(t *testing.T) {
	var endpoints []Endpoint
	for i := range 3 * maxUnmet {
		e := hostsOf(Channels(Signatures), fmt.Sprintf("h%d.example", i))
		e.Pinned, e.Pos = true, Pos{File: "acme.yaml", Line: i + 1}
		endpoints = append(endpoints, e)
	}
	op := enforced()
	op.Settings.BlockPage = true
	p := mustCompile(t, []Vendor{{ID: "acme", Endpoints: endpoints}}, []Restriction{restriction("r", "acme", blockPhase(long, Signatures))}, op)
	list := p.Unmet()
	if want := fmt.Sprintf("%d more endpoints", 2*maxUnmet); len(list) != maxUnmet+1 || !strings.HasPrefix(list[maxUnmet].Message, want) {
		t.Errorf("%d problems, the last %q; want %d, the last %q", len(list), list[len(list)-1].Message, maxUnmet+1, want)
	}
	if got := list[0].Message; got != `endpoint "h0.example" is pinned and blocked by name at times: it is never intercepted, so no page is shown` {
		t.Errorf("the first problem is %q", got)
	}
}

// TestUnmetEqualsDull compares with asking about every name at every instant for every client.
func TestUnmetEqualsDull(t *testing.T) {
	t.Parallel()
	told := 0
	for seed := range uint64(150) {
		w := newWorld(seed)
		w.op.Settings.BlockPage = w.IntN(2) == 0
		line := 0
		for _, vendors := range [][]Vendor{w.vendors, w.op.Vendors} {
			for i := range vendors {
				for j := range vendors[i].Endpoints {
					line++
					e := &vendors[i].Endpoints[j]
					e.Pos = Pos{File: "world", Line: line, Column: 1}
					e.Pinned = e.Pinned || w.IntN(3) == 0 && len(e.Hosts)+len(e.Zones) > 0
				}
			}
		}
		p := mustCompile(t, w.vendors, w.restrictions, w.op, w.horizon)
		var got []string
		for _, problem := range p.Unmet() {
			got = append(got, unmetText(problem))
		}
		want := w.dull().unmet()
		told += len(want)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: got  %q\nwant %q", seed, got, want)
		}
	}
	if told < 30 {
		t.Errorf("only %d problems", told)
	}
}

func (w *dull) unmet() []string {
	by := map[*Endpoint]string{}
	probes := w.probes()
	for _, n := range interceptedNames() {
		for i := range 4 * len(worldClients) {
			f := &Facts{Stage: StageHello, Client: netip.MustParseAddr(worldClients[i/4]), User: []string{"", "ann"}[i%2], Port: []uint16{80, 443}[i/2%2]}
			outcomes, _ := w.find(n, f)
			pinned := slices.DeleteFunc(slices.Concat(outcomes...), func(e found) bool { return !e.Pinned })
			if len(pinned) == 0 {
				continue
			}
			for _, at := range probes {
				kind := ""
				switch r := w.name(n, outcomes, f, at); {
				case r.state == Unseen:
					kind = "path"
				case r.verdict == Block && (r.state == Blocked || r.state == RuleBlocked || r.state == AfterFloor) && w.op.Settings.BlockPage:
					kind = "page"
				default:
					continue
				}
				for _, e := range pinned {
					if by[e.Endpoint] != "path" {
						by[e.Endpoint] = kind
					}
				}
			}
		}
	}
	var list Problems
	for e, kind := range by {
		list.Add(e.Pos, "", "%s %s", e.label(), kind)
	}
	var text []string
	for _, problem := range list.sorted() {
		text = append(text, fmt.Sprintf("%s %s", problem.Pos, problem.Message))
	}
	return text
}
