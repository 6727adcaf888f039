package proxy

import (
	"bytes"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
	"github.com/gracegate/gracegate/policy/source"
)

var update = flag.Bool("update", false, "write the golden pages anew")

// The law of the pages: an instrument with a long name, that speaks in a zone, and does not state every hour.
const (
	pageVendorYAML = `
vendor: acme
name: Acme
sources: {own: {title: "the tests", url: "https://acme.example/endpoints", checked: 2026-01-02, grade: primary}}
endpoints:
  - {zone: upd.acme.example, channels: [signatures], sources: [own]}
  - {host: cloud.acme.example, channels: [cloud], sources: [own]}
  - {host: shop.acme.example, channels: [sales], sources: [own]}
  - {host: mixed.acme.example, channels: [signatures, sales], sources: [own]}
`
	pageRestrictionYAML = `
restriction: us-icts-2021-002
title: "Final Determination: Case No. ICTS-2021-002, Acme Lab, Inc."
strength: prohibition
zone: America/New_York
revisions:
  - published: 2024-06-20
    source: {title: "Determination", citation: "89 FR 52434", url: "https://regulations.example/fedreg/2024/06/24/2024-13532.html?a=b&c=d", checked: 2026-01-02, grade: primary}
    binds: [US]
    vendors: [acme]
    phases:
      - {from: 2024-06-20, effect: grace, channels: [signatures, cloud], assumed: "the day of the announcement"}
      - {from: 2024-07-20, effect: block, channels: [sales], assumed: "the hour is not stated in the source read"}
      - {from: 2024-09-29T00:00:00-04:00, effect: block, channels: [signatures]}
      - {from: 2024-09-29T00:00:00-04:00, effect: block, channels: [cloud], assumed: "the hour is inferred from signatures"}
`
	pageOperatorYAML = `
version: 1
default-site: {jurisdictions: [US]}
restrictions: [{id: us-icts-2021-002, mode: enforce}]
rules:
  - id: no-games
    hosts: [games.example]
    reason: "not at work"
    phases: [{from: 2024-01-01T00:00:30.5Z, effect: block}]
  - id: odd
    hosts: [odd.example]
    reason: "<script>alert('&\"')</script>"
    phases: [{from: 2024-01-01T00:00:00+01:00, effect: block}]
waivers:
  - {id: CHG-1, clients: [10.0.0.1], hosts: [upd.acme.example], until: 2024-12-01T00:00:00+02:00, owner: "o@example.org", reason: "later"}
settings: {SETTINGS}
`
)

var pageTime = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// pageServer is a server under the law of the pages.
func pageServer(t *testing.T, settings string, change func(*Config)) *Server {
	t.Helper()
	vendor, problems := source.Vendor(source.File{Name: "acme.yaml", Data: []byte(pageVendorYAML)}, nil)
	restriction, more := source.Restriction(source.File{Name: "us-icts-2021-002.yaml", Data: []byte(pageRestrictionYAML)})
	operator, evenMore := source.Operator(source.File{Name: "policy.yaml", Data: []byte(strings.ReplaceAll(pageOperatorYAML, "SETTINGS", settings))})
	if err := slices.Concat(problems, more, evenMore).Err(); err != nil {
		t.Fatal(err)
	}
	catalog, err := policy.NewCatalog([]policy.Vendor{vendor}, []policy.Restriction{restriction}, []policy.Jurisdiction{{ID: "US", Name: "Us"}}, "digest")
	if err != nil {
		t.Fatal(err)
	}
	holder := &policy.Holder{}
	if err := holder.Reload(func(*policy.Policy) (*policy.Policy, error) {
		return policy.Compile(catalog, &operator, policy.Options{Revision: "test", ClockFaults: policy.Block, RecordFaults: policy.Block})
	}); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Policies: holder, Clock: func() Instant { return Instant{At: pageTime} }, Recorder: noRecorder{}, Observer: noObserver{},
		Dialer: NewDialer(DialConfig{}), Ports: func(uint16) bool { return false },
		Log: zap.NewNop(), RetryAfter: time.Hour,
		Operator: Operator{Name: "Example University, Network Services", Contact: "helpdesk@example.edu", URL: "https://network.example.edu/refused"},
	}
	if change != nil {
		change(&cfg)
	}
	s := New(cfg)
	t.Cleanup(s.quiet.close)
	return s
}

// pageFlow is a flow that was judged, with a reference that stays the same from run to run.
func pageFlow(s *Server, client, url string) *flow {
	rest, tls := strings.CutPrefix(url, "https://")
	rest = strings.TrimPrefix(rest, "http://")
	authority, path, seen := strings.Cut(rest, "/")
	name, port, err := host.ParseAuthority(authority)
	if err != nil {
		panic(err) // a mistake of the test
	}
	f := newPlainFlow(netip.MustParseAddrPort(client), http.MethodGet, name, port, "/"+path, "", url)
	if !seen {
		f.facts.Stage, f.facts.Path = policy.StageAuthority, ""
	}
	if tls {
		f.facts.Scheme = "https"
	}
	if port == 0 {
		f.facts.Port = map[string]uint16{"http": 80, "https": 443}[f.facts.Scheme]
	}
	f.reference = "7Q2MK9F4TXAB"
	s.judge(f)
	return f
}

// refusedPages is every kind of refusal. Each writes one answer.
var refusedPages = []struct {
	name     string
	settings string
	change   func(*Config)
	say      func(s *Server, w http.ResponseWriter, by asker)
}{
	{name: "restriction", say: refusing("http://s01.upd.acme.example/index/u1313g.xml?key=s3cret")},
	{name: "restriction-assumed", say: refusing("https://cloud.acme.example")},
	{name: "restriction-bare", change: func(c *Config) { c.Operator = Operator{} }, say: refusing("http://shop.acme.example:8080/")},
	{name: "rule", say: refusing("http://games.example/chess")},
	{name: "rule-odd", say: refusing("http://odd.example/%22%3E%3Cscript%3E"), change: func(c *Config) {
		c.Operator = Operator{Name: `<b>"O'Neill & Sons"</b>`, Contact: `call <+1 555 0100> & ask`, URL: "https://example.org/?a='b'&c=<d>"}
	}},
	{name: "unseen", settings: "unseen: {address: block}", say: refusing("https://192.0.2.1")},
	{name: "default", settings: "default: block", say: refusing("http://free.example/")},
	{name: "record", change: func(c *Config) { c.Recorder = brokenRecorder{} }, say: func(s *Server, w http.ResponseWriter, by asker) {
		s.cfg.Clock, s.gate.clock = nil, func() Instant { return Instant{At: inGrace} }
		refusing("http://upd.acme.example/")(s, w, by)
	}},
	{name: "clock", say: func(s *Server, w http.ResponseWriter, by asker) {
		s.cfg.Clock, s.gate.clock = nil, func() Instant { return Instant{At: inGrace, State: policy.ClockUntrusted} }
		refusing("http://upd.acme.example/")(s, w, by)
	}},
	{name: "guard-port", say: func(s *Server, w http.ResponseWriter, by asker) {
		s.wrongPort(w, by, pageFlow(s, "10.0.0.2:1", "http://free.example:25/a"))
	}},
	{name: "guard-client", say: func(s *Server, w http.ResponseWriter, by asker) {
		s.refusals.guard(w, by, "client", "this address may not use this proxy")
	}},
	{name: "limit", say: func(s *Server, w http.ResponseWriter, by asker) { s.refusals.limited(w, by, limitRate) }},
	{name: "protocol", say: func(s *Server, w http.ResponseWriter, by asker) {
		s.refusals.fault(w, by, badRequest("bare-lf", "a line of the head ends with a line feed alone"))
	}},
	{name: "gateway", say: func(s *Server, w http.ResponseWriter, by asker) {
		f := pageFlow(s, "10.0.0.2:1", "https://bank.example/login")
		s.refusals.write(w, by, s.about(f, failure{
			http.StatusBadGateway, "certificate", "tls_certificate_error",
			"the certificate of the origin is not valid: it expired on 2026-01-02. The request was not sent",
		}.refusal()))
	}},
	{name: "gateway-long", say: func(s *Server, w http.ResponseWriter, by asker) {
		label := strings.Repeat("long", 15)
		f := pageFlow(s, "10.0.0.2:1", "http://"+label+"."+label+"."+label+".example/"+strings.Repeat("path-without-an-end/", 40))
		s.refusals.write(w, by, s.about(f, failureOf(&DialError{Reason: "dns"}).refusal()))
	}},
}

func refusing(url string) func(*Server, http.ResponseWriter, asker) {
	return func(s *Server, w http.ResponseWriter, by asker) { s.refuse(w, by, pageFlow(s, "10.0.0.2:1", url)) }
}

type brokenRecorder struct{ noRecorder }

func (brokenRecorder) Failing() bool { return true }

// What is said of each kind of refusal, in both forms. Where HTTP/2 or net/http answers, the bytes are the same as in the fast
// lane but for the order of the fields.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, c := range refusedPages {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := pageServer(t, c.settings, c.change)
			for _, form := range []string{"html", "json"} {
				w := httptest.NewRecorder()
				c.say(s, w, asker{html: form == "html"})
				if n := w.Header().Get("Content-Length"); n != strconv.Itoa(w.Body.Len()) {
					t.Errorf("%s: Content-Length %s of %d bytes", form, n, w.Body.Len())
				}
				if strings.Contains(w.Body.String(), "s3cret") {
					t.Errorf("%s: the query is shown", form)
				}
				for _, mark := range slotMarks {
					if strings.Contains(w.Body.String(), mark) {
						t.Errorf("%s: a slot is not filled", form)
					}
				}
				golden(t, filepath.Join("testdata", "page", c.name+"."+form), answerText(w))
			}
		})
	}
}

// answerText is the status, the fields in order, and the body, without what says nothing about the page.
func answerText(w *httptest.ResponseRecorder) []byte {
	var b bytes.Buffer
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") { // a file that a browser shows has no head
		b.WriteString(strconv.Itoa(w.Code) + "\n")
		_ = w.Header().Write(&b)
		b.WriteString("\n")
	}
	b.Write(w.Body.Bytes())
	return bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n"))
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", file, diff)
	}
}
