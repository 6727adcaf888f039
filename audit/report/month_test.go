package report

import (
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/source"
)

// The law of the tests: one instrument whose grace ends within the month, one that is only monitored, one that ends later.
const (
	acmeYAML = `
vendor: acme
name: Acme
sources: {own: {title: "the tests", url: "https://acme.example/endpoints", checked: 2026-01-02, grade: primary}}
endpoints:
  - {zone: upd.acme.example, channels: [signatures, codebase], sources: [own]}
  - {host: cloud.acme.example, channels: [cloud], sources: [own]}
  - {host: shop.acme.example, channels: [sales], sources: [own]}
  - {host: intel.acme.example, channels: [threat-intelligence], sources: [own]}
`
	bearYAML = `
vendor: bear
name: Bear
sources: {own: {title: "the tests", url: "https://bear.example/endpoints", checked: 2026-01-02, grade: primary}}
endpoints:
  - {zone: upd.bear.example, channels: [signatures], sources: [own]}
  - {zone: tele.bear.example, channels: [telemetry], sources: [own]}
`
	order1YAML = `
restriction: us-order-1
title: "Final Determination: Case No. 1, Acme Lab, Inc."
strength: prohibition
zone: America/New_York
revisions:
  - published: 2024-06-20
    source: {title: "Determination", citation: "89 FR 52434", url: "https://regulations.example/2024-13532?a=b&c=d", checked: 2026-01-02, grade: primary}
    binds: [US]
    vendors: [acme]
    exempt: [threat-intelligence]
    phases:
      - {from: 2024-06-20, effect: grace, channels: [signatures, codebase, cloud], assumed: "the day of the announcement"}
      - {from: 2024-07-20, effect: block, channels: [sales], assumed: "the hour is not stated in the source read"}
      - {from: 2024-09-29T00:00:00-04:00, effect: block, channels: [signatures, codebase]}
      - {from: 2024-09-29T00:00:00-04:00, effect: block, channels: [cloud], assumed: "the hour is inferred from signatures"}
`
	order2YAML = `
restriction: au-order-2
title: "Direction 2 on Bear"
strength: directive
zone: Australia/Sydney
revisions:
  - published: 2024-01-10
    source: {title: "Direction", citation: "AU 2/2024", url: "https://directions.example/2", checked: 2026-01-02, grade: secondary}
    binds: [US]
    vendors: [bear]
    phases:
      - {from: 2024-01-10, effect: notice, channels: [telemetry]}
      - {from: 2024-10-01, effect: block, channels: [telemetry]}
`
	order3YAML = `
restriction: us-order-3
title: "Order 3 on Bear"
strength: prohibition
zone: America/New_York
revisions:
  - published: 2024-08-01
    source: {title: "Order", citation: "89 FR 99999", url: "https://regulations.example/3", checked: 2026-01-02, grade: primary}
    binds: [US]
    vendors: [bear]
    phases:
      - {from: 2024-08-01, effect: grace, channels: [signatures]}
      - {from: 2024-12-31, effect: block, channels: [signatures], assumed: "the hour is not stated"}
`
	operatorYAML = `
version: 1
sites:
  - {name: boston, networks: [10.10.0.0/16], jurisdictions: [US]}
  - {name: berlin, networks: [10.20.0.0/16], jurisdictions: []}
  - {name: mirror, networks: [10.20.5.5], relay: true, serves: [boston, berlin]}
default-site: {jurisdictions: []}
persons:
  - {name: us-staff-abroad, users: [jp-desk-4], clients: ["mac:00:16:3e:00:00:04"], jurisdictions: [US]}
restrictions:
  - {id: us-order-1, mode: enforce}
  - {id: au-order-2, mode: monitor}
  - {id: us-order-3, mode: enforce}
rules:
  - id: no-games
    hosts: [games.example]
    reason: "not at work"
    phases: [{from: 2024-09-20T00:00:00Z, effect: block}]
waivers:
  - {id: CHG-1042, clients: [10.10.0.10], vendor: acme, channels: [signatures, codebase], until: 2024-11-30T00:00:00Z, owner: ops@example.org, reason: "replacement scheduled"}
  - {id: CHG-1043, clients: [10.10.200.200], vendor: acme, until: 2024-11-30T00:00:00Z, owner: ops@example.org, reason: "a spare | that <b>nobody</b> switched on"}
`
)

func testPolicy(tb testing.TB) *policy.Policy {
	tb.Helper()
	var vendors []policy.Vendor
	var restrictions []policy.Restriction
	var problems policy.Problems
	for name, text := range map[string]string{"acme.yaml": acmeYAML, "bear.yaml": bearYAML} {
		v, more := source.Vendor(source.File{Name: name, Data: []byte(text)}, nil)
		vendors, problems = append(vendors, v), append(problems, more...)
	}
	for name, text := range map[string]string{"us-order-1.yaml": order1YAML, "au-order-2.yaml": order2YAML, "us-order-3.yaml": order3YAML} {
		r, more := source.Restriction(source.File{Name: name, Data: []byte(text)})
		restrictions, problems = append(restrictions, r), append(problems, more...)
	}
	op, more := source.Operator(source.File{Name: "policy.yaml", Data: []byte(operatorYAML)})
	if err := append(problems, more...).Err(); err != nil {
		tb.Fatal(err)
	}
	catalog, err := policy.NewCatalog(vendors, restrictions, []policy.Jurisdiction{{ID: "US", Name: "Us"}}, "0123456789abcdef")
	if err != nil {
		tb.Fatal(err)
	}
	p, err := policy.Compile(catalog, &op, policy.Options{Revision: "fedcba9876543210", RecordFaults: policy.Block})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

var (
	monthSince = time.Date(2024, 9, 15, 0, 0, 0, 0, time.UTC)
	monthUntil = time.Date(2024, 10, 15, 0, 0, 0, 0, time.UTC)
)

func monthOptions() *Options {
	return &Options{
		At: monthUntil, Since: monthSince, Until: monthUntil,
		Operator: Operator{"Example University, Network Services", "helpdesk@example.edu", "https://network.example.edu/refused"},
		Gateway:  "egress-1.example.edu", Software: "gracegate 1.0.0", PolicyFile: "/etc/gracegate/policy.yaml",
		Recorded:  &Recorded{monthSince.Add(-48 * time.Hour), monthUntil},
		Integrity: &Integrity{Checked: true, Verified: true, Records: 123456, Checkpoint: "9f2c11d07a55", CheckpointAt: monthUntil.Add(-time.Minute)},
	}
}

// record is what the gateway would write of a flow: decided by the policy, at the time.
func record(p *policy.Policy, at time.Time, kind string, f policy.Facts) *audit.Record {
	d := p.Decide(at, &f)
	r := &audit.Record{
		Time: at, PolicyTime: at, Event: audit.End, Kind: kind, Client: netip.AddrPortFrom(f.Client, 40000), User: f.User, MAC: f.MAC,
		Method: f.Method, Scheme: f.Scheme, Host: f.Authority, Port: f.Port, Path: f.Path, SNI: f.SNI, Hello: f.Hello,
		Verdict: d.Verdict, State: d.State, Cause: d.Cause(), Revision: d.Revision(),
	}
	r.Site, _ = p.Who(&f)
	r.Vendor, r.Channels = d.Endpoint()
	if r.Verdict == policy.Block {
		r.Event = audit.Refused
	}
	return r
}

// tunnelTo and plainTo are the facts of flows as the road sees them.
func tunnelTo(name string) policy.Facts {
	n := host.MustParse(name)
	return policy.Facts{
		Stage: policy.StageHello, Method: "CONNECT", Scheme: "https", Authority: n, Port: 443, SNI: n, Hello: policy.HelloWithName,
	}
}

func plainTo(name, path string) policy.Facts {
	n := host.MustParse(name)
	return policy.Facts{Stage: policy.StageRequest, Method: "GET", Scheme: "http", Authority: n, Port: 80, Inner: n, Path: path}
}

// month is what so many devices ask for in thirty days around the deadline: the same for the same seed. Some are known by their
// MAC, some have a user, one is a relay, one has a waiver, and a third of those that are refused give up in time.
func month(p *policy.Policy, devices int, seed uint64) []*audit.Record {
	rnd := rand.New(rand.NewPCG(seed, 1))
	deadline := time.Date(2024, 9, 29, 4, 0, 0, 0, time.UTC)
	var list []*audit.Record
	for i := range devices {
		client, mac, user := deviceOf(i)
		quits := monthUntil
		if rnd.IntN(3) == 0 {
			quits = deadline.Add(time.Duration(rnd.IntN(14*24)) * time.Hour)
		}
		for at := monthSince.Add(time.Duration(rnd.IntN(86400)) * time.Second); at.Before(quits); at = at.Add(time.Duration(1+rnd.IntN(12*3600)) * time.Second) {
			kind, f := "tunnel", tunnelTo(fmt.Sprintf("s%02d.upd.acme.example", rnd.IntN(20)))
			switch rnd.IntN(12) {
			case 0:
				f = tunnelTo("cloud.acme.example")
			case 1:
				kind, f = "plain", plainTo(fmt.Sprintf("dl%d.upd.acme.example", rnd.IntN(3)), fmt.Sprintf("/index/u%d.xml", rnd.IntN(1000)))
			case 2:
				f = tunnelTo("intel.acme.example")
			case 3, 4:
				f = tunnelTo(fmt.Sprintf("d%d.upd.bear.example", rnd.IntN(5)))
			case 5:
				f = tunnelTo("tele.bear.example")
			case 6:
				if i%9 == 0 {
					f = tunnelTo("shop.acme.example")
				}
			case 7:
				if i%11 == 0 {
					f = tunnelTo("games.example")
				}
			}
			f.Client, f.MAC, f.User = client, mac, user
			r := record(p, at.Add(time.Duration(rnd.IntN(1e9))), kind, f)
			if r.Verdict == policy.Allow {
				r.BytesIn, r.BytesOut = int64(500+rnd.IntN(1000)), int64(rnd.IntN(20<<20))
			}
			if i%50 == 7 && rnd.IntN(20) == 0 {
				r.Guard, r.Event = "port", audit.Refused
			}
			list = append(list, r)
		}
		if i%6 == 1 { // a tunnel that was open at the deadline
			f := tunnelTo("s00.upd.acme.example")
			f.Client, f.MAC, f.User = client, mac, user
			r := record(p, deadline.Add(time.Duration(i)*time.Microsecond), "tunnel", f)
			if r.Verdict == policy.Block {
				r.Event, r.Ended, r.BytesOut = audit.End, "cut", 1<<20
			}
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b *audit.Record) int { return a.PolicyTime.Compare(b.PolicyTime) })
	return list
}

func deviceOf(i int) (client netip.Addr, mac, user string) {
	switch {
	case i == 3:
		return netip.MustParseAddr("10.20.5.5"), "", ""
	case i%4 == 0:
		mac = fmt.Sprintf("00:16:3e:00:%02x:%02x", i/256, i%256)
	case i%7 == 2:
		user = fmt.Sprintf("jp-desk-%d", i)
	}
	site := byte(10)
	if i%5 == 4 {
		site = 20
	}
	return netip.AddrFrom4([4]byte{10, site, byte(i / 200), byte(i % 200)}), mac, user
}

// sum adds records up as the database does, in its order.
func sum(list []*audit.Record) []audit.Seen {
	at := map[audit.SeenKey]int{}
	var all []audit.Seen
	for _, r := range list {
		if !audit.Counts(r) {
			continue
		}
		key := audit.KeyOf(r)
		i, ok := at[key]
		if !ok {
			i = len(all)
			at[key] = i
			all = append(all, audit.Seen{SeenKey: key, First: r.PolicyTime.UTC(), Last: r.PolicyTime.UTC()})
		}
		s := &all[i]
		if r.PolicyTime.Before(s.First) {
			s.First = r.PolicyTime.UTC()
		}
		if r.PolicyTime.After(s.Last) {
			s.Last = r.PolicyTime.UTC()
		}
		s.Flows++
		if r.Ended == "cut" {
			s.Cuts++
		}
		s.BytesIn += r.BytesIn
		s.BytesOut += r.BytesOut
	}
	slices.SortStableFunc(all, func(a, b audit.Seen) int {
		return cmp.Or(
			a.Hour.Compare(b.Hour), a.Client.Compare(b.Client), cmp.Compare(a.User, b.User), cmp.Compare(a.MAC, b.MAC),
			cmp.Compare(a.Host.String(), b.Host.String()), cmp.Compare(a.Path, b.Path), cmp.Compare(a.State, b.State),
		)
	})
	return all
}

// each gives rows as a database does.
func each(all []audit.Seen) iter.Seq2[audit.Seen, error] {
	return func(yield func(audit.Seen, error) bool) {
		for i := range all {
			if !yield(all[i], nil) {
				return
			}
		}
	}
}

func build(tb testing.TB, p *policy.Policy, o *Options, all []audit.Seen) *Report {
	tb.Helper()
	r, err := Build(p, o, each(all))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
