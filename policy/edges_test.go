package policy

import (
	"testing"
	"time"
)

// TestEdges holds every kind of instant to its nanosecond: what was said until then, and what is said from it on. Random law meets some of
// these seldom.
func TestEdges(t *testing.T) {
	const edge = "2026-06-01T00:00:00Z"
	all := func(set func(*Restriction)) func(*Operator) Restriction {
		return func(*Operator) Restriction {
			r := restriction("r", "acme", blockPhase(long, Codebase))
			set(&r)
			return r
		}
	}
	for name, c := range map[string]struct {
		law          func(*Operator) Restriction
		before, then State
	}{
		"a phase":           {all(func(r *Restriction) { r.Revisions[0].Phases[0].From = on(edge) }), Open, Blocked},
		"a stay":            {all(func(r *Restriction) { r.Stays = stayed(on(edge), nil) }), Blocked, Stayed},
		"the end of a stay": {all(func(r *Restriction) { r.Stays = stayed(on(long), onPtr(edge)) }), Stayed, Blocked},
		"the lift of a stay": {all(func(r *Restriction) {
			r.Stays = append(stayed(on(long), nil), Stay{Lifts: "s", Published: on(long), From: on(edge)})
		}), Stayed, Blocked},
		"a licence":      {all(func(r *Restriction) { r.Licences = licensed(on(edge), on(later10)) }), Blocked, Licensed},
		"the end of one": {all(func(r *Restriction) { r.Licences = licensed(on(long), on(edge)) }), Licensed, Blocked},
		"a floor": {all(func(r *Restriction) {
			r.Revisions[0].Phases = []Phase{gracePhase(long, Codebase)}
			r.Revisions[0].Floors = []Floor{{AtLeastUntil: on(edge), Channels: Channels(Codebase)}}
		}), Grace, AfterFloor},
		"a floor, and at once what comes after it": {all(func(r *Restriction) {
			r.Revisions[0].Phases = []Phase{gracePhase(long, Codebase), {From: on(edge), Effect: EffectAllow, Channels: Channels(Codebase)}}
			r.Revisions[0].Floors = []Floor{{AtLeastUntil: on(edge), Channels: Channels(Codebase)}}
		}), Grace, Open},
		"a warning": {func(op *Operator) Restriction {
			op.Settings.WarnBefore = 36 * time.Hour
			return restriction("r", "acme", gracePhase(long, Codebase), blockPhase("2026-06-02T12:00:00Z", Codebase))
		}, Grace, Warn},
		"a rule": {func(op *Operator) Restriction {
			op.Rules = []Rule{{ID: "r", Target: Target{Vendor: "acme"}, Phases: []Phase{{From: on(edge), Effect: EffectBlock}}}}
			return restriction("r", "acme", gracePhase(long, Codebase))
		}, Grace, RuleBlocked},
		"a waiver": {func(op *Operator) Restriction {
			op.Waivers = []Waiver{{ID: "w", Target: Target{Vendor: "acme"}, From: onPtr(edge), Until: on(later10)}}
			return restriction("r", "acme", blockPhase(long, Codebase))
		}, Blocked, Waived},
		"the end of a waiver": {func(op *Operator) Restriction {
			op.Waivers = []Waiver{{ID: "w", Target: Target{Vendor: "acme"}, Until: on(edge)}}
			return restriction("r", "acme", blockPhase(long, Codebase))
		}, Waived, Blocked},
	} {
		op := enforced()
		law := c.law(op)
		p := mustCompile(t, []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Codebase), "u.example")}}}, []Restriction{law}, op)
		f, at := tlsFacts("u.example"), mustTime(edge)
		before := p.Decide(at.Add(-1), f)
		next, _ := before.NextChange()
		if then := p.Decide(at, f); before.State != c.before || then.State != c.then || !next.Equal(at) {
			t.Errorf("%s: %s until %s, then %s; want %s until %s, then %s", name, before.State, next, then.State, c.before, at, c.then)
		}
	}
}

// TestHorizonEdges: what is published at an instant is known from it on.
func TestHorizonEdges(t *testing.T) {
	const edge = "2026-06-01T00:00:00Z"
	for name, c := range map[string]struct {
		set          func(*Restriction)
		before, then State
	}{
		"a revision": {func(r *Restriction) {
			next := r.Revisions[0]
			next.Published, next.Phases = on(edge), []Phase{{From: on(long), Effect: EffectAllow, Channels: Channels(Codebase)}}
			r.Revisions = append(r.Revisions, next)
		}, Blocked, Open},
		"a stay": {func(r *Restriction) {
			r.Stays = stayed(on(long), nil)
			r.Stays[0].Published = on(edge)
		}, Blocked, Stayed},
		"a lift": {func(r *Restriction) {
			r.Stays = append(stayed(on(long), nil), Stay{Lifts: "s", Published: on(edge), From: on(long)})
		}, Stayed, Blocked},
		"a licence": {func(r *Restriction) {
			r.Licences = licensed(on(long), on(later10))
			r.Licences[0].Published = on(edge)
		}, Blocked, Licensed},
	} {
		r := restriction("r", "acme", blockPhase(long, Codebase))
		c.set(&r)
		at, f := mustTime(edge), tlsFacts("u.example")
		state := func(h Horizon, when time.Time) State {
			vendors := []Vendor{{ID: "acme", Endpoints: []Endpoint{hostsOf(Channels(Codebase), "u.example")}}}
			d := mustCompile(t, vendors, []Restriction{r}, enforced(), h).Decide(when, f)
			return d.State
		}
		for _, got := range [][2]State{
			{state(Horizon{At: at.Add(-1)}, at), state(Horizon{At: at}, at)},
			{state(Horizon{Clock: true}, at.Add(-1)), state(Horizon{Clock: true}, at)},
		} {
			if got != [2]State{c.before, c.then} {
				t.Errorf("%s: %s and then %s, want %s and then %s", name, got[0], got[1], c.before, c.then)
			}
		}
	}
}

const later10 = "2035-01-01T00:00:00Z"

func stayed(from Instant, until *Instant) []Stay {
	return []Stay{{ID: "s", Published: on(long), From: from, Until: until, Channels: AllChannels}}
}

func licensed(from, until Instant) []Licence {
	return []Licence{{ID: "l", Published: on(long), From: from, Until: until, Channels: AllChannels}}
}
