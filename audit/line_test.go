package audit

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

var update = flag.Bool("update", false, "write the golden files anew")

// write returns the line of a record.
func write(t *testing.T, r *Record) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := NewLogSink(&out).Write([]*Record{r}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var (
	realTime   = time.Date(2026, 11, 23, 18, 40, 0, 123456789, time.FixedZone("", 3600))
	beforeEnd  = time.Date(2024, 9, 29, 3, 59, 59, 0, time.UTC)
	graceEnds  = time.Date(2024, 9, 29, 4, 0, 0, 0, time.UTC)
	client     = netip.MustParseAddrPort("10.10.3.4:51200")
	kaspersky  = host.MustParse("s01.upd.kaspersky.com")
	kasperskyA = netip.MustParseAddrPort("198.51.100.7:443")
	cause      = policy.Cause{
		Kind: "restriction", ID: "us-icts-2021-002", Title: "Final Determination: Case No. ICTS-2021-002",
		URL: "https://www.federalregister.gov/d/2024-13532", Mode: policy.Enforce,
	}
)

func goldenRecords() []*Record {
	base := Record{
		Time: realTime, PolicyTime: beforeEnd, Client: client, Site: "boston", Persons: []string{"us-staff"},
		Host: kaspersky, Port: 443, Vendor: "kaspersky", Channels: []policy.Channel{policy.Signatures, policy.Codebase},
		Verdict: policy.Allow, State: policy.Grace, Would: policy.Allow, Cause: cause, Revision: "3f2a",
		NextChange: graceEnds, NextBlock: graceEnds,
	}
	start := base
	start.Event, start.Kind, start.Method, start.Upstream = Start, "tunnel", "CONNECT", kasperskyA
	start.SNI, start.Hello, start.ALPN, start.Status = kaspersky, policy.HelloWithName, "h2,http/1.1", 200

	end := start
	end.Event, end.BytesIn, end.BytesOut, end.Duration, end.Ended = End, 517, 1<<20, 1500*time.Millisecond, "complete"

	cut := end
	cut.Verdict, cut.State, cut.Would, cut.Ended = policy.Block, policy.Blocked, policy.Block, "policy"
	cut.NextChange, cut.NextBlock = time.Time{}, time.Time{}

	refused := base
	refused.Event, refused.Kind, refused.Method, refused.Scheme, refused.Port = Refused, "plain", "GET", "http", 80
	refused.User, refused.MAC, refused.Hostname = "jp-desk-4", "00:16:3e:aa:bb:cc", "laptop-7"
	refused.URL, refused.Path = "http://me:s3cret@s01.upd.kaspersky.com/index/u1313g.xml?key=s3cret#s3cret", "/index/u1313g.xml"
	refused.Sequence, refused.Numbered, refused.Lost = 48211, true, 3
	refused.Reasons = []string{
		"endpoint upd.kaspersky.com kaspersky zone", "decisive phase us-icts-2021-002 kaspersky/signatures blocked from 2024-09-29T04:00:00Z",
	}
	refused.PolicyTime, refused.Status, refused.Reference = graceEnds, 451, "7Q2MK9F4TXAB"
	refused.Verdict, refused.State, refused.Would = policy.Block, policy.Blocked, policy.Block
	refused.NextChange, refused.NextBlock = time.Time{}, time.Time{}

	monitored := base
	monitored.Event, monitored.Kind, monitored.Method, monitored.Scheme, monitored.Port = End, "websocket", "GET", "http", 80
	monitored.State, monitored.Would, monitored.Cause.Mode = policy.Monitored, policy.Block, policy.Monitor
	monitored.Upstream, monitored.Ended = netip.MustParseAddrPort("127.0.0.1:8080"), "client"

	floor := refused
	floor.State, floor.Cause.Floor = policy.AfterFloor, true

	guarded := Record{
		Time: realTime, PolicyTime: beforeEnd, Event: Refused, Kind: "tunnel", Client: client, Site: "boston",
		Method: "CONNECT", Host: host.MustParse("127.0.0.1"), Port: 443, Guard: "loopback", Status: 403,
		Verdict: policy.Allow, State: policy.Unmatched, Would: policy.Allow, Cause: policy.Cause{Kind: "default"}, Revision: "3f2a",
	}

	unseen := Record{
		Time: realTime, PolicyTime: beforeEnd, Event: Refused, Kind: "tunnel", Client: netip.MustParseAddrPort("[2001:db8::5]:40000"),
		Original: netip.MustParseAddr("2001:db8:1::7"), SNI: host.MustParse("example.org"), Hello: policy.HelloUnreadable, ECH: true, ALPN: "a\x1b[31m\xffé",
		Verdict: policy.Block, State: policy.Unseen, Need: policy.NeedRequest, Would: policy.Block,
		Cause: policy.Cause{Kind: "unseen", ID: "unreadable"}, Revision: "3f2a",
	}
	setBack := Record{
		Time: realTime.AddDate(-1, 0, 0), PolicyTime: realTime, Event: ClockTurn, Clock: policy.ClockUntrusted, Sequence: 48213, Numbered: true,
		Turn: &Turn{What: "set-back", Why: "the machine's clock shows 2025-11-23T17:40:00Z, 365d0h behind the 2026-11-23T17:40:00Z that is due"},
	}
	accepted := Record{
		Time: graceEnds, PolicyTime: graceEnds, Event: ClockTurn, User: "ops",
		Turn: &Turn{What: "accepted", Why: "ticket \"7\":\nthe year was wrong", Before: realTime},
	}
	return []*Record{&start, &end, &cut, &refused, &monitored, &floor, &guarded, &unseen, &setBack, &accepted, {}}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	const file = "testdata/lines.jsonl"
	var got string
	for _, r := range goldenRecords() {
		got += write(t, r)
	}
	compareGolden(t, file, got)
}

// compareGolden compares lines with those of a file, or writes it anew, and looks for credentials in them.
func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
	if strings.Contains(got, "s3cret") {
		t.Error("a credential is in the lines")
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		r    Record
		want string
	}{
		{Record{Event: Refused, Host: kaspersky}, "blocked s01.upd.kaspersky.com"},
		{Record{Event: Refused, Host: kaspersky, Guard: "port"}, "refused s01.upd.kaspersky.com"},
		{Record{Event: Start, Host: kaspersky, Verdict: policy.Allow}, "opened s01.upd.kaspersky.com"},
		{Record{Event: End, Host: kaspersky, Verdict: policy.Allow}, "passed s01.upd.kaspersky.com"},
		{Record{Event: End, Host: kaspersky, Verdict: policy.Block}, "cut s01.upd.kaspersky.com"},
		{Record{Event: End, Host: kaspersky, Verdict: policy.Allow, Ended: "cut"}, "cut s01.upd.kaspersky.com"},
		{Record{Event: Refused, SNI: kaspersky, Upstream: kasperskyA}, "blocked s01.upd.kaspersky.com"},
		{Record{Event: Refused, Upstream: kasperskyA}, "blocked 198.51.100.7:443"},
		{Record{}, "blocked a flow without a destination"},
	}
	for _, tt := range tests {
		if got := message(&tt.r); got != tt.want {
			t.Errorf("message of %s: %q, want %q", tt.r.Event, got, tt.want)
		}
	}
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{
		"", "a", "s01.upd.kaspersky.com", "http://me:s3cret@example.com/a?b", "\x00\n\r\u2028\u202e\xff", `"},{"`, "\\", "ü😀",
		strings.Repeat("\xff", 3000), strings.Repeat("😀", 3000), strings.Repeat(`"`, 3000),
	} {
		f.Add(s, s, s, s, s, uint8(len(s)), int64(len(s)))
	}
	f.Fuzz(func(t *testing.T, url, path, name, user, other string, small uint8, large int64) {
		r := &Record{
			Time: time.Unix(large, large), PolicyTime: time.Unix(0, large), Event: Event(small), Kind: other,
			Client: client, User: user, MAC: other, Site: other, Persons: strings.SplitAfter(user, "a"),
			Method: other, Scheme: other, Port: uint16(large), URL: url, Path: path, Hello: policy.Hello(small), ECH: small%2 == 0,
			ALPN: other, Vendor: other, Channels: []policy.Channel{policy.Channel(small)},
			Verdict: policy.Verdict(small), State: policy.State(small), Need: policy.Need(small), Would: policy.Verdict(small),
			Cause:    policy.Cause{Kind: name, ID: other, Title: user, URL: other, Mode: policy.Mode(small), Floor: true},
			Revision: other, NextChange: time.Unix(large, 0), NextBlock: time.Unix(-large, 0), Guard: name,
			Upstream: kasperskyA, Status: int(large), BytesIn: large, BytesOut: large, Duration: time.Duration(large), Ended: other,
		}
		// A name is canonical or absent.
		r.Host, _ = host.Parse(name)
		r.SNI, _ = host.Parse(other)
		checkLine(t, r, write(t, r))
	})
}

func checkLine(t *testing.T, r *Record, line string) {
	t.Helper()
	body, found := strings.CutSuffix(line, "\n")
	if !found || len(line) > 128<<10 {
		t.Fatalf("a line of %d bytes that ends in %q", len(line), line[max(0, len(line)-1):])
	}
	for i := range len(body) {
		if body[i] < ' ' || body[i] > '~' {
			t.Fatalf("byte %#x in %s", body[i], body)
		}
	}
	var values map[string]any
	if err := json.Unmarshal([]byte(body), &values); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	for _, key := range []string{"@timestamp", "message", "event.kind", "event.action", "gracegate.verdict", "gracegate.state"} {
		if values[key] == nil && (key != "@timestamp" || !r.Time.IsZero()) {
			t.Errorf("no %s in %s", key, body)
		}
	}
	// Each key once, since a reader would keep only one of them.
	dec := json.NewDecoder(strings.NewReader(body))
	seen := map[string]bool{}
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		if seen[key.(string)] {
			t.Errorf("%s twice in %s", key, body)
		}
		seen[key.(string)] = true
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			t.Fatal(err)
		}
	}
	if full, _ := values["url.full"].(string); strings.ContainsAny(full, "?#") {
		t.Errorf("url.full is %q", full)
	}
}
