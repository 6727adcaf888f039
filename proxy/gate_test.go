package proxy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// A reader finds every verdict on live traffic in one place.
func TestThereIsOneGate(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var calls, importers []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Name == "Decide" || s.Sel.Name == "Explain") {
				calls = append(calls, e.Name()+" "+s.Sel.Name)
			}
			return true
		})
		for _, i := range file.Imports {
			if strings.Contains(i.Path.Value, "goproxy") {
				importers = append(importers, e.Name())
			}
		}
	}
	if len(calls) != 1 || calls[0] != "gate.go Decide" {
		t.Errorf("the policy is asked in %v, want gate.go alone, once", calls)
	}
	if len(importers) != 1 || importers[0] != "forwarder.go" {
		t.Errorf("goproxy is imported by %v, want forwarder.go alone", importers)
	}
}

func TestTheGateAsksAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	facts := policy.Facts{Authority: host.MustParse("upd.acme.example"), Port: 443, Scheme: "https"}
	for _, c := range []struct {
		failing bool
		clock   policy.ClockState
		at      time.Time
		verdict policy.Verdict
		state   policy.State
	}{
		{false, policy.ClockTrusted, inGrace, policy.Allow, policy.Grace},
		{true, policy.ClockTrusted, inGrace, policy.Block, policy.RecordFault},
		{false, policy.ClockUntrusted, inGrace, policy.Block, policy.ClockFault},
		{false, policy.ClockTrusted, inGrace, policy.Allow, policy.Grace},
		{true, policy.ClockUntrusted, deadline, policy.Block, policy.Blocked},
		{false, policy.ClockTrusted, deadline.Add(-1), policy.Allow, policy.Warn},
	} {
		r.failing.Store(c.failing)
		r.clock.turn(c.clock)
		r.clock.set(c.at)
		d := r.gate.decide(&facts)
		if d.Verdict != c.verdict || d.State != c.state || !d.at.Equal(c.at) || d.policy != r.policies.Current() || d.took < 0 {
			t.Errorf("%+v: %v %v at %v", c, d.Verdict, d.State, d.at)
		}
	}
}
