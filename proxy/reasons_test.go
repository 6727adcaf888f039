package proxy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// A record tells all that was weighed, and which of it decided.
func TestRecordsTellTheirReasons(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.get("http://cloud.acme.example/a")
	rec := r.recorded(audit.Refused)
	want := []string{
		"endpoint cloud.acme.example acme host",
		"decisive phase test-2024-001 acme/cloud blocked from 2024-07-01T00:00:00Z",
	}
	if !slices.Equal(rec.Reasons, want) {
		t.Errorf("%q, want %q", rec.Reasons, want)
	}
}

// Reasons that were kept are those that would be found anew, whoever asks for whatever path at whatever instant.
func TestKeptReasonsAreThoseFoundAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	rnd := rand.New(rand.NewPCG(3, 4))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	at := deadline
	g := gate{policies: r.cfg.Policies, clock: func() Instant { return Instant{At: at} }, recorder: r.cfg.Recorder}
	shared := newReasons()
	for range 5000 {
		at = deadline.Add(time.Duration(rnd.IntN(400)-300) * 24 * time.Hour)
		names := []string{"a.upd.acme.example", "cloud.acme.example", "reports.acme.example", "mixed.acme.example", "licence.acme.example", "games.example", "free.example"}
		f := policy.Facts{
			Client: netip.MustParseAddr(pick("10.0.0.1", "10.0.0.2")), Stage: policy.StageRequest, Method: "GET", Scheme: "http",
			Authority: host.MustParse(pick(names...)), Port: uint16(80 + 27120*rnd.IntN(2)),
		}
		switch rnd.IntN(3) {
		case 0:
			f.Inner, f.Path = f.Authority, pick("/", "/v6/a", "/v6/b", "/v7/")
		case 1:
			f.Stage, f.Hello, f.SNI = policy.StageHello, policy.HelloWithName, host.MustParse(pick(names...))
		case 2:
			f.Stage, f.Hello = policy.StageHello, policy.HelloNoName
		}
		ruling := g.decide(&f)
		got, want := shared.of(&ruling, &f), newReasons().of(&ruling, &f)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v at %v: %s\nfound anew: %s", f, at, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
