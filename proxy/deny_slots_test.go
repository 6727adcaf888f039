package proxy

import (
	"bytes"
	"encoding/json"
	"html"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// dullPage is a page without slots: the template, or the encoder, is given what came.
func dullPage(a refusal, t told, asHTML bool) string {
	a.Host, a.Address, a.Reference = t[slotHost], t[slotAddress], t[slotReference]
	if asHTML {
		return string(builtinPage.html(&a))
	}
	return string(a.problem())
}

// FuzzSlots compares pages that are filled with pages that are made whole, whatever a client's words hold.
func FuzzSlots(f *testing.F) {
	for _, seed := range []string{"games.example", `"><script>alert(1)</script>`, "a&b'c+d\x00e\x7f", "\u202e\u2028\xff\xfe", "{{.Detail}}", `\u0022`, slotMarks[slotHost]} {
		f.Add(seed, "http://"+seed+"/", "not at "+seed)
	}
	rf := &refusals{operator: Operator{Name: "O", Contact: "a@b.example", URL: "https://o.example/"}}
	f.Fuzz(func(t *testing.T, name, address, reason string) {
		if name == "" || address == "" {
			t.Skip("a slot is never filled with nothing: its row would not be there")
		}
		for _, mark := range slotMarks {
			if strings.Contains(reason, mark) {
				t.Skip("nobody can know the marks")
			}
		}
		with := told{slotHost: name, slotAddress: address, slotReference: "23456789ABCD"}
		for _, asHTML := range []bool{true, false} {
			a := refusal{Status: http.StatusForbidden, Title: titlePolicy, Detail: reason, Kind: "rule", ID: "r", Operator: rf.operator}
			marked := a
			marked.Host, marked.Address, marked.Reference = slotMarks[slotHost], slotMarks[slotAddress], slotMarks[slotReference]
			p := rf.render(asker{html: asHTML}, &marked)
			got := string(p.body(with))
			if want := dullPage(a, with, asHTML); got != want {
				t.Fatalf("filled:\n%s\nmade whole:\n%s", got, want)
			}
			lane := p.appendBody(nil, with, true)
			if want := "Content-Length: " + strconv.Itoa(len(got)) + "\r\n\r\n" + got; string(lane) != want {
				t.Fatalf("in the lane:\n%s\nwant:\n%s", lane, want)
			}
			if head := p.appendBody(nil, with, false); !bytes.HasPrefix(lane, head) || len(lane)-len(head) != len(got) {
				t.Fatalf("HEAD: %q", head)
			}
			if asHTML && (strings.Contains(got, "<script") || !strings.Contains(html.UnescapeString(got), strings.ReplaceAll(name, "\x00", "\uFFFD"))) {
				t.Fatalf("%q is not shown as text:\n%s", name, got)
			}
			if !asHTML && !json.Valid([]byte(got)) {
				t.Fatalf("no JSON: %s", got)
			}
		}
	})
}

// One cause can hold since different instants, by different words. Each refusal tells its own, also after a first page was kept.
func TestPagesTellTheirOwnSince(t *testing.T) {
	t.Parallel()
	s := pageServer(t, "", nil)
	for range 2 {
		for _, c := range []struct{ client, url, since, local, assumed string }{
			{"10.0.0.2:1", "http://upd.acme.example/", "2024-09-29T04:00:00Z", "29 September 2024, 00:00 (UTC-04:00)", ""},
			{"10.0.0.2:1", "http://cloud.acme.example/", "2024-09-29T04:00:00Z", "29 September 2024, 00:00 (UTC-04:00)", "the hour is inferred from signatures"},
			{"10.0.0.2:1", "http://shop.acme.example/", "2024-07-20T04:00:00Z", "20 July 2024, 00:00 (UTC-04:00)", "the hour is not stated in the source read"},
			{"10.0.0.1:1", "http://upd.acme.example/", "2024-11-30T22:00:00Z", "1 December 2024, 00:00 (UTC+02:00)", ""}, // its waiver has ended
			{"10.0.0.2:1", "http://games.example/", "2024-01-01T00:00:30.5Z", "", ""},
		} {
			f := pageFlow(s, c.client, c.url)
			since := sinceOf(&f.ruling)
			if since == nil || since.RFC3339() != c.since || since.Local() != c.local || since.Assumed != c.assumed {
				t.Errorf("%s: %+v", c.url, since)
			}
			w := httptest.NewRecorder()
			s.refuse(w, asker{}, f)
			var problem struct {
				Since, Host, Instance string
				Assumed               string `json:"since_assumed"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			if problem.Since != c.since || problem.Assumed != c.assumed || problem.Host != f.facts.Authority.String() || problem.Instance != "urn:gracegate:7Q2MK9F4TXAB" {
				t.Errorf("%s: %+v", c.url, problem)
			}
		}
	}
	if n := s.refusals.pages.of(s.cfg.Policies.Current()).list.Len(); n != 5 {
		t.Errorf("%d pages are kept, want 5", n)
	}
}

func TestSinceOfAMixedEndpoint(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{"": "2024-07-20T04:00:00Z", "multi-channel: all": "2024-09-29T04:00:00Z"} {
		s := pageServer(t, settings, nil)
		f := pageFlow(s, "10.0.0.2:1", "http://mixed.acme.example/")
		if since := sinceOf(&f.ruling); since == nil || since.RFC3339() != want {
			t.Errorf("%q: %+v, want %s", settings, since, want)
		}
	}
}

func TestKeptPagesGoWithTheirPolicyAndTemplate(t *testing.T) {
	t.Parallel()
	one, other := pageServer(t, "", nil), pageServer(t, "default: block", nil)
	keep := one.refusals.pages
	first := keep.of(one.cfg.Policies.Current())
	if keep.of(one.cfg.Policies.Current()) != first {
		t.Error("the pages of one policy are not kept")
	}
	second := keep.of(other.cfg.Policies.Current())
	if second == first || keep.of(other.cfg.Policies.Current()) != second {
		t.Error("another policy does not have pages of its own")
	}
	own, err := ParsePage("own")
	if err != nil {
		t.Fatal(err)
	}
	one.SetPage(own)
	if third := keep.of(other.cfg.Policies.Current()); third == second || third.template != own {
		t.Error("another template does not have pages of its own")
	}
	one.SetPage(nil)
	if keep.of(other.cfg.Policies.Current()).template != builtinPage {
		t.Error("without a template it is not the built-in one")
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[2-9A-HJ-NP-Z]{12}$`)
	seen := make(map[string]bool)
	last := ""
	for range 10000 {
		r := newReference()
		if !form.MatchString(r) || seen[r] {
			t.Fatalf("%q: seen before %t", r, seen[r])
		}
		alike := 0
		for i := range last {
			if last[i] == r[i] {
				alike++
			}
		}
		if alike > 8 {
			t.Fatalf("%s is too much like %s", r, last)
		}
		seen[r], last = true, r
	}
	for _, n := range []uint64{0, 1, 1<<60 - 1, 1 << 60, math.MaxUint64} {
		if got, again := referenceOf(n), referenceOf(n%(1<<60)); got != again {
			t.Errorf("%d: %s and %s", n, got, again)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	s := pageServer(t, "", nil)
	for url, want := range map[string]string{
		"http://free.example/":                            "http://free.example/",
		"http://free.example:81/a/%41?key=secret#part":    "http://free.example:81/a/%41",
		"https://free.example":                            "https://free.example",
		"https://free.example:8443/a":                     "https://free.example:8443/a",
		"https://[2001:db8::1]":                           "https://[2001:db8::1]",
		"http://free.example/\u202e\x1b[31m \xff":         "http://free.example/%E2%80%AE%1B[31m%20%FF",
		"http://B\u00fccher.example/":                     "http://xn--bcher-kva.example/",
		"http://free.example/" + strings.Repeat("a", 400): "http://free.example/" + strings.Repeat("a", maxAddress-23) + "...",
	} {
		if got := pageFlow(s, "10.0.0.2:1", url).address(); got != want {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
}

func TestSinceInWords(t *testing.T) {
	t.Parallel()
	ny, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Skipf("no zones here: %v", err)
	}
	for _, c := range []struct {
		at         time.Time
		utc, local string
	}{
		{time.Date(2024, 9, 29, 0, 0, 0, 0, ny), "29 September 2024, 04:00 UTC", "29 September 2024, 00:00 (UTC-04:00)"},
		{time.Date(2024, 12, 31, 20, 0, 0, 0, ny), "1 January 2025, 01:00 UTC", "31 December 2024, 20:00 (UTC-05:00)"},
		{time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), "2 January 2024, 03:04:05 UTC", ""},
		{time.Date(2024, 1, 2, 3, 4, 0, 1, time.FixedZone("", 5*3600+1800)), "1 January 2024, 21:34:00.000000001 UTC", "2 January 2024, 03:04:00.000000001 (UTC+05:30)"},
	} {
		if s := (&Since{Time: c.at}); s.UTC() != c.utc || s.Local() != c.local {
			t.Errorf("%v: %q, %q", c.at, s.UTC(), s.Local())
		}
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	for contact, want := range map[string]string{
		"help@example.org": "help@example.org", "": "", "Help <help@example.org>": "", "help@example.org, room 5": "", "+1 555 0100": "",
		"javascript:alert(1)": "",
	} {
		if got := (Operator{Contact: contact}).Mail(); got != want {
			t.Errorf("%q: %q, want %q", contact, got, want)
		}
	}
}

// The texts of the page stand out from their ground in both schemes, as WCAG 2 wants it (AA: 4.5 to 1).
func TestContrast(t *testing.T) {
	t.Parallel()
	colour := regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6})`)
	light, dark, ok := strings.Cut(BuiltinPage, "@media (prefers")
	if !ok {
		t.Fatal("no dark scheme")
	}
	for scheme, css := range map[string]string{"light": light, "dark": dark} {
		at := make(map[string]float64)
		for _, m := range colour.FindAllStringSubmatch(css, -1) {
			n, _ := strconv.ParseUint(m[2], 16, 32)
			at[m[1]] = 0.2126*linear(n>>16) + 0.7152*linear(n>>8&255) + 0.0722*linear(n&255)
		}
		for _, text := range []string{"text", "quiet", "link"} {
			for _, ground := range []string{"sheet", "ground"} {
				a, b := at[text], at[ground]
				if ratio := (max(a, b) + .05) / (min(a, b) + .05); len(at) < 6 || ratio < 4.5 {
					t.Errorf("%s: %s on %s is %.2f to 1", scheme, text, ground, ratio)
				}
			}
		}
	}
}

func linear(n uint64) float64 {
	c := float64(n) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}

// Nothing is fetched and nothing runs, whatever the page shows.
func TestThePageStandsAlone(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{"<script", "<img", "<link", "@import", "url(", "src=", "onload", "<form", "<iframe"} {
		if strings.Contains(strings.ToLower(BuiltinPage), odd) {
			t.Errorf("the page has %q", odd)
		}
	}
	for _, want := range []string{`<html lang="en">`, "<main>", "<h1>", `name="viewport"`, "overflow-wrap: anywhere", "@media print"} {
		if strings.Count(BuiltinPage, want) != 1 {
			t.Errorf("the page has %q %d times", want, strings.Count(BuiltinPage, want))
		}
	}
}

// A decision must stay something that a page can be kept by.
var _ = map[policy.Decision]bool{}
