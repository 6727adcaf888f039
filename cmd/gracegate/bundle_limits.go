package main

import (
	"fmt"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/bundle"
)

// checkLimits tells which waivers of the operator's own file a bundle does not allow. Without a bundle, all are.
func checkLimits(b *bundle.Bundle, waivers []policy.Waiver) (problems policy.Problems) {
	if b == nil {
		return nil
	}
	for i := range waivers {
		w := &waivers[i]
		if w.ID == "" || w.Until.At.IsZero() { // it could not be read, and that is told already
			continue
		}
		switch most := b.Limits.Max(); {
		case b.Limits.Forbidden:
			problems.Add(w.Pos, "take it out; who signs the bundle may put it in there", "waiver %q: version %d of the bundle allows no waivers beside its own", w.ID, b.Version)
		case most > 0 && w.From == nil:
			problems.Add(w.Pos, "add from:", "waiver %q has no beginning, and version %d of the bundle lets a waiver last %s", w.ID, b.Version, spanText(most))
		case most > 0 && w.Until.At.Sub(w.From.At) > most:
			problems.Add(w.Pos, "end it earlier; who signs the bundle may put it in there", "waiver %q lasts %s, and version %d of the bundle lets a waiver last %s", w.ID, spanText(w.Until.At.Sub(w.From.At)), b.Version, spanText(most))
		}
	}
	return problems
}

// spanText writes a duration as policy files have it.
func spanText(d time.Duration) string {
	const day = 24 * time.Hour
	text := ""
	if days := d / day; days > 0 {
		text = fmt.Sprintf("%dd", days)
	}
	if rest := d % day; rest > 0 || text == "" {
		text += rest.String()
	}
	return text
}
