package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/config"
	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/export"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/instant"
	"github.com/gracegate/gracegate/policy/source"
	"github.com/gracegate/gracegate/policy/timeline"
)

// All tools say what traffic meets: on 10,000 random cases explain, test, timeline, diff, export and a running gateway agree. Each
// policy is random YAML, read as an operator's would be; its gateway stands at a random instant.
func TestEverythingAgrees(t *testing.T) {
	const policies, each = 40, 250
	binary := buildGateway(t)
	origin := agreeOrigin(t)
	blocked, rows := 0, 0
	for seed := range uint64(policies) {
		w := newAgree(t, seed, origin)
		w.gateway = launch(t, binary, nil, "--policy-file", w.file, "--upstream-hosts", w.upstreams(), "--clock-at", instant.Format(w.at), "--clock-rate", "1e-6")
		for i := range each {
			at := w.at
			if i%2 == 1 { // traffic is at the gateway's instant; all else can be asked about any
				at = w.instants[w.IntN(len(w.instants))].Add(time.Duration(w.IntN(3)-1) * time.Second)
			}
			if w.agree(at, i%2 == 0) == policy.Block {
				blocked++
			}
		}
		if changes := policy.Diff(w.policy, w.policy); len(changes) > 0 {
			t.Errorf("seed %d: the policy differs from itself: %d changes", seed, len(changes))
		}
		rows += w.rowsSeen
		_ = w.gateway.cmd.Process.Kill()
		if t.Failed() {
			t.Fatalf("the policy:\n%s", w.text)
		}
	}
	if rows < policies {
		t.Errorf("only %d cases are on a timeline", rows)
	}
	if blocked < policies*each/20 || blocked > policies*each*19/20 {
		t.Errorf("%d of %d cases are blocked: too one-sided to tell", blocked, policies*each)
	}
}

type agree struct {
	*rand.Rand
	t        *testing.T
	text     string
	file     string
	policy   *policy.Policy
	other    *policy.Policy // to be told from it
	explain  *explainer
	origin   string
	at       time.Time
	instants []time.Time
	exported export.Result
	rows     *timeline.Timeline
	gateway  *process
	rowsSeen int // cases that a row of the timeline was compared with
}

// What is asked for, by whom. The addresses are this machine's, so that traffic can come from them.
var (
	agreeNames = []string{
		"s01.upd.kaspersky.com", "upd.kaspersky.com", "deep.s01.upd.kaspersky.com", "dnl-01.geo.kaspersky.com", "opentip.kaspersky.com",
		"www.kaspersky.com", "products.s.kaspersky-labs.com", "ksn-cinfo-geo.kaspersky-labs.com", "crl.kaspersky.com", "activation-v2.kaspersky.com",
		"update.eset.com", "www.example.org", "xtraining.kaspersky.com", "kav8.zonealarm.com",
	}
	agreeClients = []string{"127.0.10.1", "127.0.20.1", "127.0.40.1", "127.0.0.1"}
)

func newAgree(t *testing.T, seed uint64, origin string) *agree {
	t.Helper()
	w := &agree{Rand: rand.New(rand.NewPCG(seed, 4)), t: t, origin: origin}
	w.text = w.policyText()
	w.file = filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(w.file, []byte(w.text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Policy.File = w.file
	var err error
	if w.explain, err = newExplainer(cfg); err != nil {
		t.Fatalf("%v\n%s", err, w.text)
	}
	w.policy = w.explain.policy
	second := *cfg
	second.Policy.File = filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(second.Policy.File, []byte(w.policyText()), 0o600); err != nil {
		t.Fatal(err)
	}
	if w.other, err = (&law{cfg: &second}).build(nil); err != nil {
		t.Fatal(err)
	}
	w.instants = w.policy.Instants()
	w.at = w.instants[w.IntN(len(w.instants))].Add(time.Duration(w.IntN(3)-1) * time.Second)
	asker := policy.Asker{Client: netip.MustParseAddr(agreeClients[3])}
	w.exported = export.List(w.policy, w.at, asker, "one client")
	if w.rows, err = timeline.Build(w.policy, &timeline.Options{At: w.at}); err != nil {
		t.Fatal(err)
	}
	return w
}

// policyText is a random policy over the shipped catalogue.
func (w *agree) policyText() string {
	pick := func(list ...string) string { return list[w.IntN(len(list))] }
	day := func() string {
		return time.Date(2024, time.Month(1+w.IntN(24)), 1+w.IntN(28), w.IntN(24), 0, 0, 0, time.UTC).Format(time.RFC3339)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\ndefault-site: {jurisdictions: [%s]}\nsites:\n", pick("", "US", "AU-commonwealth", "US, US-federal"))
	fmt.Fprintf(&b, "  - {name: boston, networks: [127.0.10.0/24], jurisdictions: [US]}\n  - {name: berlin, networks: [127.0.20.0/24], jurisdictions: []}\n")
	fmt.Fprintf(&b, "  - {name: canberra, networks: [127.0.40.0/24], jurisdictions: [AU-commonwealth]}\nrestrictions:\n")
	for _, id := range []string{"us-icts-2021-002", "au-pspf-002-2025", "us-bod-17-01"} {
		fmt.Fprintf(&b, "  - {id: %s, mode: %s}\n", id, pick("enforce", "enforce", "monitor", `"off"`))
	}
	target := func() string {
		return pick("vendor: kaspersky", "vendor: kaspersky, channels: [codebase]", "vendor: eset", "hosts: [www.example.org]", "zones: [kaspersky.com]", "zones: [upd.kaspersky.com]")
	}
	b.WriteString("rules:\n")
	for i := range 1 + w.IntN(2) {
		fmt.Fprintf(&b, "  - {id: rule-%d, %s, final: %v, reason: r, phases: [{from: %s, effect: block}, {from: 2027-0%d-01T00:00:00Z, effect: %s}]}\n",
			i, target(), w.IntN(3) == 0, day(), 1+i, pick("allow", "grace", "block"))
	}
	b.WriteString("waivers:\n")
	for i := range 1 + w.IntN(2) {
		fmt.Fprintf(&b, "  - {id: waiver-%d, %s, %suntil: %s, owner: o@example.org, reason: r}\n", i, target(), pick("", "clients: [127.0.10.1], ", "sites: [canberra], "), day())
	}
	fmt.Fprintf(&b, "settings: {mode: %s, multi-channel: %s, default: %s, after-floor: %s}\n", pick("monitor", "enforce", `"off"`), pick("any", "all"), pick("allow", "allow", "allow", "block"), pick("warn", "block"))
	return b.String()
}

func (w *agree) upstreams() string {
	type upstream struct {
		Name    string `json:"name"`
		Address string `json:"address"`
	}
	var list []upstream
	for _, n := range agreeNames {
		list = append(list, upstream{n, w.origin})
	}
	text, err := json.Marshal(list)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// agree asks everybody about one random case, and returns what they say.
func (w *agree) agree(at time.Time, live bool) policy.Verdict {
	name, client := agreeNames[w.IntN(len(agreeNames))], agreeClients[w.IntN(len(agreeClients))]
	q := question{Host: name, Client: client, At: instant.Format(at)}
	plain := w.IntN(2) == 0
	if plain {
		q.URL, q.Host = "http://"+name+"/", ""
	}
	wrong := func(who string, got any, d *policy.Decision) {
		w.t.Helper()
		w.t.Errorf("%s at %s for %s, plain: %v: %s says %v, and the policy %s (%s)", name, instant.Format(at), client, plain, who, got, d.Verdict, d.State)
	}
	facts, err := q.facts()
	if err != nil {
		w.t.Fatal(err)
	}
	d := w.policy.Decide(at, &facts)

	a, err := w.explain.answer(&q)
	if err != nil {
		w.t.Fatal(err)
	}
	if a.Verdict != d.Verdict || a.State != d.State {
		wrong("explain", a.State, &d)
	}
	w.asScenario(&q, at, &d, wrong)
	differences := policy.Compare(w.policy, w.other, &facts)
	then := w.other.Decide(at, &facts)
	told := slices.ContainsFunc(differences, func(x policy.Difference) bool { return !at.Before(x.From) && (x.Until.IsZero() || at.Before(x.Until)) })
	a1, b1 := d.Cause(), then.Cause()
	if differs := d.Verdict != then.Verdict || d.State != then.State || d.Need != then.Need || a1.Kind != b1.Kind || a1.ID != b1.ID; told != differs {
		wrong("diff", told, &d)
	}
	if !plain && at.Equal(w.at) && client == agreeClients[3] && !w.cannotExport(name) && w.exports(name) != (d.Verdict == policy.Block) && w.policy.Operator().Settings.Default == policy.Allow {
		wrong("export", w.exports(name), &d)
	}
	if !plain {
		w.onTimeline(name, client, at, &d, wrong)
	}
	if live && plain {
		if got := w.request(name, client); got != d.Verdict {
			wrong("the gateway", got, &d)
		}
	}
	return d.Verdict
}

// asScenario has gracegate test ask what is expected.
func (w *agree) asScenario(q *question, at time.Time, d *policy.Decision, wrong func(string, any, *policy.Decision)) {
	text := fmt.Sprintf("cases:\n  - {at: %s, client: %s, url: %q, expect: {verdict: %s, state: %s}}\n", instant.Format(at), q.Client, q.URL, d.Verdict, d.State)
	if q.Host != "" {
		text = strings.Replace(text, `url: ""`, "host: "+q.Host, 1)
	}
	list, problems := source.ReadScenarios(source.File{Name: "case.yaml", Data: []byte(text)})
	if err := problems.Err(); err != nil {
		w.t.Fatalf("%v\n%s", err, text)
	}
	ask := tester{policies: map[string]*policy.Policy{}, run: regexp.MustCompile("")}
	s := &scenario{Case: list.Cases[0]}
	s.prepare(&ask, w.policy, &problems)
	if ask.cases = []*scenario{s}; len(problems) > 0 {
		w.t.Fatal(problems)
	}
	if ask.ask(); len(s.wrong) > 0 {
		wrong("test", s.wrong, d)
	}
}

// onTimeline finds a row of the client's site in which a destination has the name, and the span that holds.
func (w *agree) onTimeline(name, client string, at time.Time, d *policy.Decision, wrong func(string, any, *policy.Decision)) {
	site, _ := w.policy.Who(&policy.Facts{Client: netip.MustParseAddr(client)})
	if a, ok := w.policy.AskerOf(site); !ok || a.Client.String() != client { // a waiver for one client is not on it
		return
	}
	i := slices.IndexFunc(w.rows.Sites, func(s timeline.Site) bool { return slices.Contains(s.Names, site) })
	if i < 0 {
		return
	}
	for _, g := range w.rows.Sites[i].Groups {
		for _, row := range g.Rows {
			if g.Hypothetical || !slices.ContainsFunc(row.Destinations, func(x policy.Destination) bool {
				return x.Host.String() == name && x.Port == 443 && x.Path == ""
			}) {
				continue
			}
			w.rowsSeen++
			for _, span := range row.Spans {
				holds := (span.From == nil || !at.Before(span.From.At)) && (span.Until == nil || at.Before(span.Until.At))
				if holds && (span.Verdict != d.Verdict || span.State != d.State) {
					wrong("timeline", span.State, d)
				}
			}
		}
	}
}

// exports tells whether the list of what is blocked by name has a name: its closest entry counts.
func (w *agree) exports(name string) bool {
	n, block, closest := host.MustParse(name), false, -1
	for _, e := range w.exported.Entries {
		if e.Name == n && !e.Zone {
			return e.Block
		}
		if e.Zone && n.Within(e.Name) && len(e.Name.String()) > closest {
			block, closest = e.Block, len(e.Name.String())
		}
	}
	return block
}

func (w *agree) cannotExport(name string) bool {
	return slices.ContainsFunc(w.exported.Cannot, func(line string) bool { return strings.HasPrefix(line, name+":") || strings.HasPrefix(line, name+" ") })
}

// request asks the gateway for a page, from the client's address.
func (w *agree) request(name, client string) policy.Verdict {
	w.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: patience}
	c, err := dialer.DialContext(w.t.Context(), "tcp", w.gateway.proxy)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", name, name); err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return policy.Allow
	case http.StatusForbidden, http.StatusUnavailableForLegalReasons:
		return policy.Block
	}
	w.t.Fatalf("%s for %s answers %s\n%s", name, client, answer.Status, w.gateway.log())
	return 0
}

// agreeOrigin answers every request.
func agreeOrigin(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }), ReadHeaderTimeout: patience}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}
