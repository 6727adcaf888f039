package proxy

import (
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// cutWithin is how soon after its end by the policy a flow must be gone.
func cutWithin() time.Duration {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return 2 * time.Second
	}
	return time.Second
}

// These go behind operatorYAML.
const (
	ruleYAML = `  - id: no-updates
    vendor: acme
    channels: [signatures]
    reason: "they have a cache now"
    phases: [{from: 2024-01-01T00:00:00Z, effect: block}]
`
	endedRuleYAML = `  - id: not-in-july
    vendor: acme
    channels: [signatures]
    reason: "the line is busy"
    phases: [{from: 2024-01-01T00:00:00Z, effect: block}, {from: 2024-08-01T00:00:00Z, effect: allow}]
`
	waiverYAML = `waivers:
  - {id: CHG-1, vendor: acme, channels: [signatures], until: 2024-12-31T00:00:00Z, owner: ops@test.example, reason: "replacement scheduled"}
`
)

// nameOnly is vendorYAML without the path that only a request tells.
var nameOnly = strings.Replace(vendorYAML, `  - {host: mixed.acme.example, paths: ["/v6/**"], channels: [cloud], sources: [own]}`+"\n", "", 1)

// change puts another law in force, as a reload does.
func (r *rig) change(vendorText, operatorText string) {
	r.t.Helper()
	r.enact(vendorText, operatorText, policy.Options{Revision: "another"})
}

// Every kind of flow, governed and not, is open when something happens that ends the governed ones. Those are cut within a
// second, both sides know that they have not all, and it is written down; the others live on and come to their own end.
func TestCuts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ways   []*way
		law    string
		at     time.Time // when the flows are opened
		strike func(r *rig)
	}{
		"at the deadline":               {ways(), operatorYAML, deadline.Add(-time.Second), func(r *rig) { r.clock.set(deadline) }},
		"long after the deadline":       {light(), operatorYAML, deadline.Add(-time.Hour), func(r *rig) { r.clock.set(deadline.AddDate(1, 0, 0)) }},
		"at the end of a waiver":        {light(), operatorYAML + waiverYAML, deadline.AddDate(0, 1, 0), func(r *rig) { r.clock.set(time.Date(2024, 12, 31, 0, 0, 0, 0, time.UTC)) }},
		"when a waiver is revoked":      {light(), operatorYAML + waiverYAML, deadline.AddDate(0, 1, 0), func(r *rig) { r.change(vendorYAML, operatorYAML) }},
		"when a rule is added":          {ways(), operatorYAML, inGrace, func(r *rig) { r.change(vendorYAML, operatorYAML+ruleYAML) }},
		"when the clock is turned back": {ways(), operatorYAML + endedRuleYAML, deadline.Add(-time.Hour), func(r *rig) { r.clock.set(inGrace) }},
		"when the clock is distrusted":  {light(), operatorYAML, inGrace, func(r *rig) { r.clock.turn(policy.ClockUntrusted) }},
		"when clients become bound":     {light(), strings.Replace(operatorYAML, "[US]", "[]", 1), deadline.AddDate(0, 1, 0), func(r *rig) { r.change(vendorYAML, operatorYAML) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, governed, free := openAll(t, c.ways, c.law, c.at)
			for _, line := range r.seen.all() {
				if strings.HasPrefix(line, "closed") {
					t.Fatalf("before anything happens: %s", line)
				}
			}
			c.strike(r)
			struck := time.Now()
			for _, s := range governed {
				s.isCut(t, r, struck)
			}
			for _, s := range free {
				s.livesOn(t)
			}
			if !t.Failed() {
				checkBooks(t, r, governed, free)
			}
		})
	}
}

// openAll opens one flow of every kind to a governed name, and one to another.
func openAll(t *testing.T, ways []*way, law string, at time.Time) (r *rig, governed, free []*stage) {
	t.Helper()
	secure, roots, _ := secureConfig(t)
	hosts := map[string]string{}
	for i, w := range ways {
		for zone, list := range map[string]*[]*stage{"upd.acme.example": &governed, "free.example": &free} {
			s, addr := newStage(t, w, "w"+string(rune('a'+i))+"."+zone, secure)
			s.roots = roots // only the client looks at them
			hosts[s.host] = addr
			*list = append(*list, s)
		}
	}
	r = newRig(t, rigSetup{hosts: hosts, change: lasting})
	r.change(vendorYAML, law)
	r.clock.set(at)
	for _, s := range slices.Concat(governed, free) {
		s.play(r)
	}
	return r, governed, free
}

// isCut makes sure that both sides learn in time that the flow was cut.
func (s *stage) isCut(t *testing.T, r *rig, struck time.Time) {
	t.Helper()
	by := struck.Add(cutWithin())
	wait := func(side string, from <-chan ending) (ending, bool) {
		timeout := time.NewTimer(max(time.Until(by), 0) + 500*time.Millisecond)
		defer timeout.Stop()
		select {
		case e := <-from:
			if late := e.at.Sub(by); late > 0 {
				t.Errorf("%s: cut for the %s %v too late", s.name, side, late)
			}
			return e, true
		case <-timeout.C:
			t.Errorf("%s: the %s knows of no cut", s.name, side)
			return ending{}, false
		}
	}
	if s.deaf { // it reads only after that
		if _, ok := wait("origin", s.origin); !ok {
			return
		}
	}
	e, ok := wait("client", s.client)
	if ok && !isReset(e.err) && (!s.framed || !errors.Is(e.err, io.ErrUnexpectedEOF)) {
		t.Errorf("%s: the client sees %v, which may pass for an end", s.name, e.err)
	}
	if s.deaf || !ok {
		return
	}
	if s.frozen { // nor does the origin
		s.end()
		by = time.Now().Add(patience)
	}
	if e, ok = wait("origin", s.origin); ok && s.kind != "plain" && !isReset(e.err) && !errors.Is(e.err, io.ErrUnexpectedEOF) {
		t.Errorf("%s: the origin sees %v, which may pass for an end", s.name, e.err)
	}
}

// livesOn makes sure that the flow can still come to its proper end.
func (s *stage) livesOn(t *testing.T) {
	t.Helper()
	select {
	case e := <-s.client:
		t.Errorf("%s: ungoverned, and yet it ends with %v", s.name, e.err)
		return
	default:
	}
	s.end()
	select {
	case e := <-s.client:
		if e.err != nil {
			t.Errorf("%s: ungoverned, and yet it ends with %v", s.name, e.err)
		}
	case <-time.After(2 * patience):
		t.Errorf("%s: ungoverned, and yet it does not go on", s.name)
	}
}

// checkBooks makes sure that the record and the observer know what became of every flow.
func checkBooks(t *testing.T, r *rig, governed, free []*stage) {
	t.Helper()
	flows := len(governed) + len(free)
	eventually(t, "every flow is closed", func() bool { return r.seen.count("closed") >= flows })
	ends := map[string][]audit.Record{}
	for _, rec := range r.records.all() {
		if rec.Event != audit.Start {
			ends[rec.Host.String()] = append(ends[rec.Host.String()], rec)
		}
	}
	cut := map[string]int{}
	for _, s := range governed {
		cut[s.kind]++
		if len(ends[s.host]) != 1 {
			t.Errorf("%s: %d records of its end", s.name, len(ends[s.host]))
		}
		for _, rec := range ends[s.host] {
			if rec.Event != audit.End || rec.Ended != "cut" || rec.Verdict != policy.Block || rec.Kind != s.kind || rec.PolicyTime.Before(r.clock.now().At) {
				t.Errorf("%s: recorded as %+v", s.name, rec)
			}
		}
	}
	for kind, n := range cut {
		if got := r.seen.count("closed " + kind + " cut"); got != n {
			t.Errorf("%d flows of kind %s are counted as cut, of %d", got, kind, n)
		}
	}
	if n := r.seen.count("decided"); n != flows {
		t.Errorf("%d flows were counted by their decision %d times", flows, n)
	}
}

// eventually waits for a condition that nobody reports.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for timeout := time.After(patience); !holds(); {
		select {
		case <-look.C:
		case <-timeout:
			t.Fatalf("never: %s", what)
		}
	}
}

// A refusal after the deadline is not what a cut leaves behind: who comes back is told why.
func TestWhoComesBackAfterACutIsRefused(t *testing.T) {
	t.Parallel()
	w := downloads()[1]
	s, addr := newStage(t, w, "upd.acme.example", nil)
	r := newRig(t, rigSetup{hosts: map[string]string{s.host: addr}})
	s.play(r)
	r.clock.set(deadline)
	s.isCut(t, r, time.Now())
	r.get("http://upd.acme.example/file").want(t, http.StatusUnavailableForLegalReasons)
	r.refused("upd.acme.example:443", "", http.StatusUnavailableForLegalReasons)
}
