package console

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twoFlows is one that has told all, and one that has just begun.
func twoFlows(limit int) ([]Flow, int) {
	flows := []Flow{
		{
			Kind: "tunnel", State: "warn", Client: netip.MustParseAddrPort("10.10.1.1:50000"), User: "jp-desk-4",
			MAC: "00:16:3e:aa:bb:cc", Hostname: "laptop-7", Host: "s01.upd.kaspersky.com", Port: 443, SNI: "s01.upd.kaspersky.com", Upstream: netip.MustParseAddrPort("[2001:db8::1]:443"),
			Since: time.Date(2026, 11, 23, 13, 0, 0, 5e8, time.FixedZone("", 3600)), BytesIn: 517, BytesOut: 1 << 40,
			NextChange: time.Date(2024, 9, 29, 0, 0, 0, 0, time.FixedZone("", -4*3600)),
		},
		{Kind: "plain", Since: time.Unix(1700000000, 0)},
	}
	return flows[:min(limit, len(flows))], len(flows)
}

func TestFlows(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Flows = twoFlows
	res := ask(New(c), "GET", "localhost", "/debug/flows")
	const want = `{
  "total": 2,
  "shown": 2,
  "order": "oldest first",
  "flows": [
    {
      "kind": "tunnel",
      "state": "warn",
      "client": "10.10.1.1:50000",
      "user": "jp-desk-4",
      "mac": "00:16:3e:aa:bb:cc",
      "hostname": "laptop-7",
      "host": "s01.upd.kaspersky.com",
      "port": 443,
      "sni": "s01.upd.kaspersky.com",
      "upstream": "[2001:db8::1]:443",
      "since": "2026-11-23T12:00:00.5Z",
      "bytes_in": 517,
      "bytes_out": 1099511627776,
      "next_change": "2024-09-29T04:00:00Z"
    },
    {
      "kind": "plain",
      "state": null,
      "client": null,
      "user": null,
      "mac": null,
      "hostname": null,
      "host": null,
      "port": null,
      "sni": null,
      "upstream": null,
      "since": "2023-11-14T22:13:20Z",
      "bytes_in": 0,
      "bytes_out": 0,
      "next_change": null
    }
  ]
}
`
	if diff := cmp.Diff(want, bodyOf(t, res)); res.StatusCode != http.StatusOK || diff != "" {
		t.Errorf("%s (-want +got):\n%s", res.Status, diff)
	}
}

func TestFlowsLimit(t *testing.T) {
	t.Parallel()
	var asked []int
	c := testConfig()
	c.Flows = func(limit int) ([]Flow, int) {
		asked = append(asked, limit)
		return twoFlows(limit)
	}
	h := New(c)
	tests := []struct {
		query              string
		code, limit, shown int
	}{
		{"", 200, 1000, 2},
		{"?limit=", 200, 1000, 2},
		{"?limit=1", 200, 1, 1},
		{"?limit=0", 200, 0, 0}, // how many there are, and nothing of them
		{"?limit=100000", 200, 100000, 2},
		{"?limit=100001", 400, 0, 0},
		{"?limit=-1", 400, 0, 0},
		{"?limit=1.5", 400, 0, 0},
		{"?limit=all", 400, 0, 0},
		{"?limit=99999999999999999999", 400, 0, 0},
	}
	for _, tt := range tests {
		asked = nil
		res := ask(h, "GET", "localhost", "/debug/flows"+tt.query)
		if res.StatusCode != tt.code {
			t.Errorf("%q: %s, want %d", tt.query, res.Status, tt.code)
		}
		if tt.code != http.StatusOK {
			if len(asked) > 0 {
				t.Errorf("%q: the flows are asked for all the same", tt.query)
			}
			continue
		}
		var page flowPage
		if err := json.Unmarshal([]byte(bodyOf(t, res)), &page); err != nil {
			t.Fatal(err)
		}
		if page.Total != 2 || page.Shown != tt.shown || len(page.Flows) != tt.shown || len(asked) != 1 || asked[0] != tt.limit {
			t.Errorf("%q: asked for %v, got %+v", tt.query, asked, page)
		}
	}
}

// What names hosts and clients is behind the token, and is not there where nobody provides it.
func TestFlowsAreGuarded(t *testing.T) {
	t.Parallel()
	c := testConfig()
	if res := ask(New(c), "GET", "localhost", "/debug/flows"); res.StatusCode != http.StatusNotFound {
		t.Errorf("without flows: %s", res.Status)
	}
	c.Flows, c.Pprof, c.Token = twoFlows, true, "open-sesame"
	for _, path := range []string{"/debug/flows", "/debug/pprof/", "/debug/pprof/cmdline"} {
		for code, authorization := range map[int]string{401: wrong, 200: right} {
			if res := ask(New(c), "GET", "localhost", path, "Authorization", authorization); res.StatusCode != code {
				t.Errorf("%s with %q: %s, want %d", path, authorization, res.Status, code)
			}
		}
	}
}
