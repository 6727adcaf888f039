package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// heapRoom is how much garbage may gather before it is collected, where the runtime's own rule (as much as is in use) would
	// let less: under load a small heap is otherwise collected dozens of times a second, for a seventh of all CPU time.
	heapRoom = 32 << 20

	usualGC  = 100 // percent of what is in use: the runtime's own rule
	rarestGC = 400
)

// gcPercent is how much garbage, in percent of what is in use, may gather beside so many bytes in use.
func gcPercent(live uint64) int {
	return int(min(max(heapRoom*100/max(live, 1), usualGC), rarestGC))
}

// tuneHeap follows what is in use, until ctx ends. It leaves the word to who sets GOGC.
func tuneHeap(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	in := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	set := usualGC
	defer func() { debug.SetGCPercent(usualGC) }()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		metrics.Read(in)
		// A change stops the world for a moment, so it is made where it matters.
		if want := gcPercent(in[0].Value.Uint64()); want < set*3/4 || want > set*5/4 || want == usualGC && set != usualGC {
			debug.SetGCPercent(want)
			set = want
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
