package main

import (
	"testing"
	"time"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy/instant"
)

// TestHorizonsAreForgotten asks for more instants as-known-at than are kept.
func TestHorizonsAreForgotten(t *testing.T) {
	t.Parallel()
	x, err := newExplainer(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3 * maxHorizons {
		q := question{Host: "s01.upd.kaspersky.com", AsKnownAt: instant.Format(first.AddDate(0, 0, i))}
		for range 2 {
			a, err := x.answer(&q)
			if err != nil {
				t.Fatal(err)
			}
			if got := instant.Format(a.known.At); got != q.AsKnownAt {
				t.Fatalf("known at %s, want %s", got, q.AsKnownAt)
			}
		}
	}
	if n := x.horizon.Len(); n != maxHorizons {
		t.Errorf("%d policies are kept, want %d", n, maxHorizons)
	}
}
