package proxy

import (
	"context"
	"time"
)

// watch compares the policy clock, and the policy in force, with what the open flows were judged by, until ctx ends. Not by
// one long timer: a clock that is set, or a machine that slept, would pass it by.
func (s *Server) watch(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.flows.tick(s.cfg.Clock().UnixNano(), s.cfg.Policies.Current(), s.judgeAgain)
		}
	}
}
