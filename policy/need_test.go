package policy

import (
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy/host"
)

// TestNeed pins what must be seen, which Decide asks for only where it could change the verdict at that instant.
func TestNeed(t *testing.T) {
	byPath := Endpoint{Hosts: names("p.example"), Paths: patterns("/v6/**"), Channels: Channels(Signatures), Sources: someSource}
	pinned := byPath
	pinned.Hosts, pinned.Pinned = names("pinned.example"), true
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{
		byPath, pinned, hostsOf(Channels(Signatures), "u.example"), hostsOf(Channels(Corporate), "www.example"),
		{Hosts: names("shop.example"), Paths: patterns("/shop/**"), Channels: Channels(Sales), Sources: someSource},
		hostsOf(Channels(Corporate, Sales), "shop.example"),
	}}}
	law := []Restriction{restriction("r", "acme", blockPhase("2024-01-01T00:00:00Z", Signatures, Sales))}
	const before, after = "2023-12-31T23:59:59.999999999Z", "2024-01-01T00:00:00Z"
	quiet := func(op *Operator) { op.Settings.Unseen.Unreadable = Allow }
	page := func(op *Operator) { op.Settings.BlockPage = true }
	blind := func(op *Operator) { op.Settings.Unseen.Request = Block }

	for _, c := range []struct {
		name    string
		host    string
		stage   Stage
		at      string
		set     func(*Operator)
		verdict Verdict
		state   State
		need    Need
	}{
		{"a hello could be unreadable", "www.example", StageAuthority, before, nil, Allow, Open, NeedHello},
		{"nothing is blocked, nothing to look for", "www.example", StageAuthority, before, quiet, Allow, Open, NeedNothing},
		{"a hello could name what is blocked", "www.example", StageAuthority, after, quiet, Allow, Open, NeedHello},
		{"blocked already", "u.example", StageAuthority, after, nil, Block, Blocked, NeedNothing},
		{"the hello is seen", "www.example", StageHello, after, nil, Allow, Open, NeedNothing},
		{"no path is blocked yet", "p.example", StageHello, before, nil, Allow, Open, NeedNothing},
		{"some paths are blocked", "p.example", StageHello, after, nil, Allow, Unseen, NeedRequest},
		{"some paths are blocked, seen at the authority", "p.example", StageAuthority, after, nil, Allow, Unseen, NeedRequest},
		{"some paths are blocked, and what stays unseen is", "p.example", StageHello, after, blind, Block, Unseen, NeedRequest},
		{"pinned: no looking inside", "pinned.example", StageHello, after, nil, Allow, Unseen, NeedNothing},
		{"corporate with a path that can tell", "shop.example", StageHello, after, nil, Allow, Unseen, NeedRequest},
		{"a page for a block by name", "u.example", StageHello, after, page, Block, Blocked, NeedRequest},
		{"no page before it blocks", "u.example", StageHello, before, page, Allow, Open, NeedNothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := enforced()
			if c.set != nil {
				c.set(op)
			}
			f := tlsFacts(c.host)
			f.Stage = c.stage
			if c.stage == StageAuthority {
				f.SNI, f.Hello = host.Name{}, HelloUnseen
			}
			d := mustCompile(t, vendors, law, op).Decide(mustTime(c.at), f)
			if d.Verdict != c.verdict || d.State != c.state || d.Need != c.need {
				t.Errorf("got %s (%s), need %q; want %s (%s), need %q", d.Verdict, d.State, d.Need, c.verdict, c.state, c.need)
			}
		})
	}
}

func TestPathSeen(t *testing.T) {
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{
		{Hosts: names("p.example"), Paths: patterns("/v6/**"), Channels: Channels(Signatures), Sources: someSource},
		{Paths: patterns("/index/u[0-9].xml"), Channels: Channels(Signatures), LowTrust: true, Sources: someSource},
	}}}
	p := mustCompile(t, vendors, []Restriction{restriction("r", "acme", blockPhase(long, Signatures))}, enforced())
	for _, c := range []struct {
		host, path string
		verdict    Verdict
		state      State
	}{
		{"p.example", "/v6/a", Block, Blocked},
		{"p.example", "/version.txt", Allow, Unmatched},
		{"p.example", "", Allow, Unseen},
		{"192.0.2.9", "/index/u1.xml", Allow, Monitored},
		{"192.0.2.9", "/index/ux.xml", Allow, Unmatched},
	} {
		f := plainFacts(c.host)
		f.Path = c.path
		if d := p.Decide(mustTime(then), f); d.Verdict != c.verdict || d.State != c.state || d.Need != NeedNothing {
			t.Errorf("%s%s: got %s (%s), need %q; want %s (%s)", c.host, c.path, d.Verdict, d.State, d.Need, c.verdict, c.state)
		}
	}
}

// TestTrouble pins what becomes of traffic while the clock or the record cannot be relied on: nothing, unless it is governed.
func TestTrouble(t *testing.T) {
	c, err := NewCatalog([]Vendor{{ID: "acme", Endpoints: []Endpoint{
		hostsOf(Channels(Signatures), "u.example"), hostsOf(Channels(Revocation), "crl.example"),
	}}}, []Restriction{restriction("r", "acme", blockPhase("2024-01-01T00:00:00Z", Signatures))}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(c, enforced(), Options{ClockFaults: Block, RecordFaults: Block})
	if err != nil {
		t.Fatal(err)
	}
	lenient, err := Compile(c, enforced(), Options{ClockFaults: Allow, RecordFaults: Allow})
	if err != nil {
		t.Fatal(err)
	}
	const before, after = "2023-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
	for _, x := range []struct {
		host, at string
		clock    ClockState
		record   RecordState
		p        *Policy
		verdict  Verdict
		state    State
	}{
		{"u.example", before, ClockUntrusted, RecordWorks, p, Block, ClockFault},
		{"u.example", before, ClockTrusted, RecordFails, p, Block, RecordFault},
		{"u.example", after, ClockUntrusted, RecordFails, p, Block, Blocked},
		{"u.example", before, ClockUntrusted, RecordFails, lenient, Allow, Open},
		{"crl.example", before, ClockUntrusted, RecordFails, p, Allow, NeverBlock},
		{"other.example", before, ClockUntrusted, RecordFails, p, Allow, Unmatched},
	} {
		f := tlsFacts(x.host)
		f.Clock, f.Record = x.clock, x.record
		if d := x.p.Decide(mustTime(x.at), f); d.Verdict != x.verdict || d.State != x.state {
			t.Errorf("%s at %s: got %s (%s), want %s (%s)", x.host, x.at, d.Verdict, d.State, x.verdict, x.state)
		}
	}
}

// TestFarInstants: Decide is total, also outside of what 64 bits of nanoseconds can tell.
func TestFarInstants(t *testing.T) {
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Signatures), "u.example")}}}
	p := mustCompile(t, vendors, []Restriction{restriction("r", "acme", blockPhase(long, Signatures))}, enforced())
	for at, want := range map[time.Time]State{
		{}: Open, time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC): Open, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC): Blocked,
		time.Unix(1<<62, 0): Blocked, time.Unix(-1<<62, 0): Open,
	} {
		if d := p.Decide(at, tlsFacts("u.example")); d.State != want {
			t.Errorf("at %s: %s, want %s", at, d.State, want)
		}
	}
}

func TestNextBlocks(t *testing.T) {
	vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Signatures), "u.example")}}}
	stayed := restriction("stayed", "acme", blockPhase(long, Signatures))
	stayed.Stays = []Stay{{ID: "s", Published: on(long), From: on(long), Until: onPtr(soon), Channels: AllChannels}}
	over := restriction("over", "acme", blockPhase(long, Signatures))
	watched := restriction("watched", "acme", blockPhase(soon, Signatures))
	watched.Strength = AdviceOnly
	p := mustCompile(t, vendors, []Restriction{stayed, over, watched}, enforced())
	got := p.NextBlocks(mustTime(then))
	if len(got) != 1 || !got["stayed"].Equal(mustTime(soon)) {
		t.Errorf("got %v, want only stayed at %s", got, soon)
	}
}
