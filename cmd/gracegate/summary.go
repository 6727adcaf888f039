package main

import (
	"fmt"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

// summary is the gateway in a line, for who asks the service manager how it is.
func (g *gateway) summary() string {
	p, now := g.policy(), g.clock.Now()
	text := "policy " + p.Revision() + ", "
	var first string
	blocks := p.NextBlocks(now)
	for id, at := range blocks {
		if earlier := at.Compare(blocks[first]); first == "" || earlier < 0 || earlier == 0 && id < first {
			first = id
		}
	}
	if first == "" {
		text += "no block ahead"
	} else {
		text += "next block " + instant.Format(blocks[first]) + " by " + first
	}
	if g.clock.Simulated() {
		text += ", on a simulated clock"
	}
	if s := g.clock.status(); !s.Trusted {
		text += "; the clock cannot be believed: " + s.Detail
	}
	if b := g.bundles.status(); b != nil && b.Expired {
		text += fmt.Sprintf("; version %d of the bundle has expired", b.Version)
	}
	if problem, _ := g.authority.outOfForce(time.Now()); problem != "" {
		text += "; nothing is intercepted: " + problem
	}
	if g.reloads.lastError() != "" {
		text += "; the last reload failed, see the log"
	}
	return text
}

// answer asks the parts that every flow needs. It returns once all have answered, and so never while one hangs.
func (g *gateway) answer() {
	g.policy().Decide(g.clock.Now(), &policy.Facts{})
	g.status()
	g.openFlows(1)
}
