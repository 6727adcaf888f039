package policy

import (
	"testing"

	"github.com/gracegate/gracegate/policy/host"
)

// The seven steps of the law, each case pinning the order of two neighbours: were they swapped, the wanted result could not
// come about, as the case says. An order of the steps other than the right one has some neighbours swapped, so that some case
// fails under it; TestEverySwapFails shows that with a twin whose order can be changed.

const (
	long = "2020-01-01T00:00:00Z" // a phase that began long ago
	then = "2025-01-01T00:00:00Z" // when the cases ask
	soon = "2026-01-01T00:00:00Z"
)

type stepCase struct {
	name         string
	vendors      []Vendor
	restrictions []Restriction
	op           func(*Operator)
	facts        *Facts
	verdict      Verdict
	state        State
}

func stepCases() []stepCase {
	acme := func(e ...Endpoint) []Vendor { return []Vendor{{ID: "acme", Endpoints: e}} }
	sig, code := Channels(Signatures), Channels(Codebase)
	blockAll := restriction("r", "acme", blockPhase(long, AllChannels.List()...))

	exempting := restriction("exempting", "acme", blockPhase(long, Signatures))
	exempting.Revisions[0].Exempt = sig
	stayed := restriction("stayed", "acme", blockPhase(long, Signatures))
	stayed.Stays = []Stay{{ID: "s", Published: on(long), From: on(long), Channels: AllChannels}}
	licensed := restriction("licensed", "acme", blockPhase(long, Signatures))
	licensed.Licences = []Licence{{ID: "l", Published: on(long), From: on(long), Until: on(soon), Channels: AllChannels}}
	everything := stayed
	everything.ID = "everything"
	everything.Licences = licensed.Licences
	everything.Revisions = exempting.Revisions
	stayedAndLicensed := stayed
	stayedAndLicensed.Licences = licensed.Licences

	rule := func(id string, final bool) func(*Operator) {
		return func(op *Operator) {
			op.Rules = append(op.Rules, Rule{
				ID: id, Final: final, Target: Target{Vendor: "acme", Channels: sig},
				Phases: []Phase{{From: on(long), Effect: EffectBlock, Channels: AllChannels}},
			})
		}
	}
	waiver := func(channels ChannelSet) func(*Operator) {
		return func(op *Operator) {
			op.Waivers = append(op.Waivers, Waiver{ID: "w", Target: Target{Vendor: "acme", Channels: channels}, Until: on(soon), Owner: "o"})
		}
	}
	both := func(fs ...func(*Operator)) func(*Operator) {
		return func(op *Operator) {
			for _, f := range fs {
				f(op)
			}
		}
	}
	two := func(authority, sni string) *Facts {
		f := tlsFacts(authority)
		f.SNI = host.MustParse(sni)
		return f
	}
	noName := tlsFacts("u.example")
	noName.Hello, noName.SNI = HelloNoName, host.Name{}
	strictSNI := func(op *Operator) { op.Settings.Unseen.NoSNI = Block }

	return []stepCase{
		{"within 1: exemption before stay", acme(hostsOf(sig, "u.example")), []Restriction{everything}, nil, tlsFacts("u.example"), Allow, Exempt},
		{"within 1: stay before licence", acme(hostsOf(sig, "u.example")), []Restriction{stayedAndLicensed}, nil, tlsFacts("u.example"), Allow, Stayed},
		{"within 1: licence before phase", acme(hostsOf(sig, "u.example")), []Restriction{licensed}, nil, tlsFacts("u.example"), Allow, Licensed},
		{
			"1 before 2: an exemption lifts only its own restriction",
			acme(hostsOf(sig, "u.example")),
			[]Restriction{exempting, blockAll},
			nil, tlsFacts("u.example"), Block, Blocked,
		},
		{
			"1 before 2: a stay lifts only its own restriction",
			acme(hostsOf(sig, "u.example")),
			[]Restriction{stayed, blockAll},
			nil, tlsFacts("u.example"), Block, Blocked,
		},
		{
			"2 before 3: the operator's rule stands where no restriction does",
			acme(hostsOf(sig, "u.example")), nil, rule("own", false), tlsFacts("u.example"), Block, RuleBlocked,
		},
		{
			"within 3: final rule before waiver",
			acme(hostsOf(sig, "u.example")), nil, both(rule("own", true), waiver(sig)), tlsFacts("u.example"), Block, RuleBlocked,
		},
		{
			"within 3: waiver before rule",
			acme(hostsOf(sig, "u.example")), nil, both(rule("own", false), waiver(sig)), tlsFacts("u.example"), Allow, Waived,
		},
		{
			"3 before 4: a waiver for one channel leaves the other blocked",
			acme(hostsOf(sig|code, "u.example")),
			[]Restriction{blockAll},
			waiver(sig), tlsFacts("u.example"), Block, Blocked,
		},
		{
			"4 before 5: a never-block channel protects the whole endpoint",
			acme(hostsOf(sig|Channels(Revocation), "u.example")),
			[]Restriction{blockAll},
			nil, tlsFacts("u.example"), Allow, NeverBlock,
		},
		{
			"within 5: a final rule reaches a never-block endpoint",
			acme(hostsOf(sig|Channels(Revocation), "u.example")), nil, rule("own", true), tlsFacts("u.example"), Block, RuleBlocked,
		},
		{
			"5 before 6: a never-block name protects only itself",
			acme(hostsOf(sig, "u.example"), hostsOf(Channels(Revocation), "crl.example")),
			[]Restriction{blockAll},
			nil,
			two("crl.example", "u.example"), Block, Blocked,
		},
		{
			"6 before 7: what is blocked by name is not blamed on what stayed unseen",
			acme(hostsOf(sig, "u.example")),
			[]Restriction{blockAll},
			strictSNI, noName, Block, Blocked,
		},
		{
			"7 stands beside a name that passes",
			acme(hostsOf(sig, "u.example")), nil, strictSNI, noName, Block, Unseen,
		},
	}
}

func (c *stepCase) operator() *Operator {
	op := enforced()
	if c.op != nil {
		c.op(op)
	}
	return op
}

func TestSteps(t *testing.T) {
	for _, c := range stepCases() {
		t.Run(c.name, func(t *testing.T) {
			p := mustCompile(t, c.vendors, c.restrictions, c.operator())
			d := p.Decide(mustTime(then), c.facts)
			if d.Verdict != c.verdict || d.State != c.state {
				t.Errorf("got %s (%s), want %s (%s)", d.Verdict, d.State, c.verdict, c.state)
			}
		})
	}
}

func TestEverySwapFails(t *testing.T) {
	for swap := range numSwaps {
		failed := 0
		for _, c := range stepCases() {
			w := dull{vendors: c.vendors, restrictions: c.restrictions, op: c.operator(), swap: swap}
			got := w.decide(mustTime(then), c.facts)
			if got.verdict != c.verdict || got.state != c.state {
				failed++
				if swap == swapNone {
					t.Errorf("%s: the twin says %s (%s), want %s (%s)", c.name, got.verdict, got.state, c.verdict, c.state)
				}
			}
		}
		if swap != swapNone && failed == 0 {
			t.Errorf("no case fails when %s", swapWords[swap])
		}
	}
}
