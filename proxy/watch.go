package proxy

import (
	"context"
	"time"
)

// watch compares the policy clock, whether it can be believed, and the policy in force, with what the open flows were judged by, until
// ctx ends. Not by one long timer: a clock that is set, or a machine that slept, would pass it by.
func (s *Server) watch(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			now := s.cfg.Clock()
			s.flows.tick(now.At.UnixNano(), view{s.cfg.Policies.Current(), now.Turn}, s.judgeAgain)
		}
	}
}
