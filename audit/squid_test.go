package audit

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy/host"
)

func squidLines(t *testing.T, records ...*Record) string {
	t.Helper()
	var out bytes.Buffer
	if n, err := NewSquidSink(&out).Write(records); err != nil || n != len(records) {
		t.Fatalf("%d of %d written, %v", n, len(records), err)
	}
	return out.String()
}

// What a real Squid 5.7 wrote of requests, and what is written of the same ones; the number of bytes and the type are left
// out, since a refusal's page is another one, and types are not recorded.
func TestSquidAsSquid(t *testing.T) {
	t.Parallel()
	at := func(ms int64) time.Time { return time.UnixMilli(1795556607000 + ms) }
	from, direct := netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:18080")
	end := Record{Event: End, Kind: "plain", Method: "GET", Client: from, Status: 200, BytesOut: 266, Upstream: direct, Duration: time.Millisecond, Ended: "complete"}
	records := make([]*Record, 9)
	for i := range records {
		r := end
		records[i] = &r
	}
	for i, ms := range []int64{61, 70, 79, 86, 92, 128, 136, 151, 166} {
		records[i].Time = at(ms)
	}
	records[0].URL = "http://127.0.0.1:18080/a"
	records[1].URL = "http://127.0.0.1:18080/a?b=c%20d"
	refuse := func(r *Record) { r.Event, r.Status, r.Upstream, r.Ended = Refused, 403, netip.AddrPort{}, "refused" }
	refuse(records[2])
	records[2].URL = "http://blocked.example/x"
	refuse(records[3])
	tunnel := func(r *Record, name string, port uint16) {
		r.Kind, r.Method, r.Host, r.Port, r.URL, r.Duration = "tunnel", "CONNECT", host.MustParse(name), port, "https://"+name, 0
	}
	tunnel(records[3], "blocked.example", 443)
	tunnel(records[4], "127.0.0.1", 18080)
	records[5].URL, records[5].User, records[5].Duration = "http://127.0.0.1:18080/auth", "j\x1bü%", 0
	records[6].URL, records[6].Status, records[6].Upstream = "http://127.0.0.1:1/refused", 503, netip.MustParseAddrPort("127.0.0.1:1")
	records[7].URL, records[7].Status, records[7].Upstream = "http://nosuch.invalid/", 502, netip.AddrPort{}
	records[8].URL, records[8].Status, records[8].Upstream = "http://[::1]:18080/v6", 503, netip.MustParseAddrPort("[::1]:18080")

	real, err := os.ReadFile("testdata/squid-5.7.log")
	if err != nil {
		t.Fatal(err)
	}
	alike := func(lines string) []string {
		lines = regexp.MustCompile(`(/\d{3}) \d+ `).ReplaceAllString(lines, "$1 BYTES ")
		return strings.Split(regexp.MustCompile(`(?m) \S+$`).ReplaceAllString(lines, " TYPE"), "\n")
	}
	if diff := cmp.Diff(alike(string(real)), alike(squidLines(t, records...))); diff != "" {
		t.Errorf("(-squid +ours):\n%s", diff)
	}
}

func TestSquidGolden(t *testing.T) {
	t.Parallel()
	const file = "testdata/lines.squid"
	refused := Record{Event: Refused, Client: client, Status: 403}
	odd := refused
	odd.Method, odd.URL, odd.User = "GE\x1bT", "http://a.example/\u2028\xff\"x y", "jp desk\n1795556607.061 0 10.0.0.1 TCP_MISS/200"
	long := refused
	long.URL, long.User = "http://a.example/"+strings.Repeat("a", 64<<10), strings.Repeat("\n", 64<<10)
	dash := refused
	dash.User, dash.SNI, dash.Port = "-", kaspersky, 443
	aborted := Record{Event: End, Kind: "plain", Method: "GET", URL: "http://a.example/", Client: client, Status: 200, Ended: "client"}
	idle := aborted
	idle.Ended = "idle"
	unreached := Record{Event: End, Kind: "tunnel", Method: "CONNECT", Host: kaspersky, Port: 443, Client: client, Status: 502, Ended: "refused"}
	tunnelCut := unreached
	tunnelCut.Upstream, tunnelCut.Status, tunnelCut.Ended = kasperskyA, 200, "cut"
	loggedOut, tunnelLoggedOut := aborted, tunnelCut
	loggedOut.Ended, tunnelLoggedOut.Ended = "logged-out", "logged-out"
	got := squidLines(t, append(goldenRecords(), &odd, &long, &dash, &aborted, &idle, &unreached, &tunnelCut, &loggedOut, &tunnelLoggedOut)...)
	compareGolden(t, file, got)
}

// squidLine is the documented format, with printable ASCII in each field.
var squidLine = regexp.MustCompile(`^-?\d+\.\d{3} +-?\d+ [!-~]+ [A-Z_]+/-?\d{2,} -?\d+ [!-~]+ [!-~]+ [!-~]+ HIER_[A-Z]+/[!-~]+ -\n$`)

// A record is one line of ten fields, whatever a client sent.
func FuzzSquid(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, "a b\n", "\x1b\u2028\xff")
	}
	f.Fuzz(func(t *testing.T, seed uint64, some, other string) {
		r := randomRecord(rand.New(rand.NewPCG(seed, 2)), some, other)
		got := squidLines(t, r)
		switch {
		case !Counts(r):
			if got != "" {
				t.Errorf("a line of what is not over: %q", got)
			}
		case !squidLine.MatchString(got), len(got) > 10<<10:
			t.Errorf("%q", got)
		}
	})
}

// A flow that is not over has no line, and holds up none.
func TestSquidSkipsStarts(t *testing.T) {
	t.Parallel()
	out := &output{}
	n, err := NewSquidSink(out).Write([]*Record{{Event: Start}, {Event: End}, {Event: Start}})
	if n != 3 || err != nil || strings.Count(out.String(), "\n") != 1 || len(out.writes) != 1 {
		t.Errorf("%d, %v, %v: %q", n, err, out.writes, out.String())
	}
	if n, err = NewSquidSink(out).Write([]*Record{{Event: Start}}); n != 1 || err != nil || len(out.writes) != 1 {
		t.Errorf("%d, %v, %v", n, err, out.writes)
	}
}
