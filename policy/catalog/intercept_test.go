package catalog_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// TestInterceptable pins what a CA could sign for under the built-in policy, and once the operator's rules block more.
func TestInterceptable(t *testing.T) {
	t.Parallel()
	law := load(t, "", false)
	permits := func(p *policy.Policy, name string) bool {
		return slices.ContainsFunc(p.Interceptable(), host.MustParse(name).Within)
	}
	p := compile(t, law, builtin(t))
	for name, want := range map[string]bool{
		"kav8.zonealarm.com": true, "s01.upd.kaspersky.com": true, "www.kaspersky.com": true, "windowsupdate.com": false,
		"slscr.update.microsoft.com": false, "swscan.apple.com": false, "zonealarm.com": false, "www.bank.example": false,
	} {
		if got := permits(p, name); got != want {
			t.Errorf("built in, %s: %t, want %t", name, got, want)
		}
	}
	if unmet := p.Unmet(); len(unmet) > 0 {
		t.Errorf("built in, unmet: %v", unmet)
	}

	op := builtin(t)
	op.Settings.BlockPage = true
	for _, vendor := range []string{"microsoft", "apple"} {
		op.Rules = append(op.Rules, policy.Rule{
			ID: vendor, Reason: "a test", Target: policy.Target{Vendor: vendor},
			Phases: []policy.Phase{{Effect: policy.EffectBlock, From: policy.Instant{At: time.Unix(0, 0)}}},
		})
	}
	p = compile(t, law, op)
	for name, want := range map[string]bool{
		"dl.windowsupdate.com": true, "update.microsoft.com": false, "slscr.update.microsoft.com": false, "swscan.apple.com": false,
	} {
		if got := permits(p, name); got != want {
			t.Errorf("with rules, %s: %t, want %t", name, got, want)
		}
	}
	var files []string
	for _, problem := range p.Unmet() {
		files = append(files, problem.Pos.File)
		if problem.Pos.Line == 0 || problem.Pos.Column == 0 || problem.Hint == "" {
			t.Errorf("%+v has no place or no hint", problem)
		}
	}
	if len(files) != 3 || files[0] == files[2] {
		t.Errorf("unmet in %q, want one of Apple's endpoints and two of Microsoft's", files)
	}
}
