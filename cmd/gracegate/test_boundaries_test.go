package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
)

// Each waiver adds the cases about itself, however many others there are.
func TestBoundariesGrowWithWaivers(t *testing.T) {
	t.Parallel()
	shipped, err := catalog.Load("", false)
	if err != nil {
		t.Fatal(err)
	}
	none, ten, twenty := casesWithWaivers(t, shipped, 0), casesWithWaivers(t, shipped, 10), casesWithWaivers(t, shipped, 20)
	if ten <= none || twenty-ten != ten-none {
		t.Errorf("%d cases without waivers, %d with ten, %d with twenty", none, ten, twenty)
	}
}

func casesWithWaivers(t *testing.T, shipped *policy.Catalog, n int) int {
	t.Helper()
	op := &policy.Operator{Settings: policy.DefaultSettings(), Restrictions: []policy.Listing{{ID: "us-icts-2021-002", Mode: policy.Enforce}}}
	op.Settings.Mode = policy.Off
	op.DefaultSite.Jurisdictions = []string{"US"}
	for i := range n {
		at := time.Date(2025, 1, 1+i, 0, 0, 0, 0, time.UTC)
		op.Waivers = append(op.Waivers, policy.Waiver{
			ID: fmt.Sprint("W-", i), Clients: policy.Clients{Networks: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)}},
			Target: policy.Target{Vendor: "kaspersky"}, Until: policy.Instant{At: at}, Owner: "ops@example.org", Reason: "a test",
		})
	}
	p, err := policy.Compile(shipped, op, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := boundaries(&text, p); err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text.Bytes(), []byte("\n  - {at: "))
}
