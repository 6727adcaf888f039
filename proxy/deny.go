package proxy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusals writes answers that say no.
type refusals struct {
	retryAfter time.Duration
	operator   Operator
	pages      *pages // nil: by the built-in template, and none is kept
}

func newRefusals(retryAfter time.Duration, operator Operator, template *Page) *refusals {
	return &refusals{retryAfter: retryAfter, operator: operator, pages: newPages(template)}
}

// template is what pages are made by.
func (rf *refusals) template() *Page {
	if rf.pages == nil {
		return builtinPage
	}
	return rf.pages.template.Load()
}

// asker is what an answer needs to know of the request.
type asker struct {
	connect bool // a refusal of CONNECT ends the connection
	head    bool // no body is sent
	html    bool // for a browser
}

func askerOf(r *http.Request) asker {
	return asker{r.Method == http.MethodConnect, r.Method == http.MethodHead, strings.Contains(r.Header.Get("Accept"), "text/html")}
}

// page is an answer but for what depends on the connection, and what its slots are filled with.
type page struct {
	status   int
	closing  bool // the connection ends behind it
	html     bool
	header   http.Header // without Content-Length
	fields   []byte      // the same as lines
	segments []segment

	// A template of the operator's may do anything with what differs between refusals: it is executed for each.
	template *Page // nil: the segments are filled
	refusal  *refusal
}

// refusal is one such answer. It is worded as this network's policy, never as a claim about the law's effect on the reader.
// Its exported fields and their methods are what a template may show: docs/page.md is their manual. Any may be empty.
type refusal struct {
	Status int
	Title  string
	Detail string
	Error  string // RFC 9209 proxy error type; empty: the client's own mistake
	ID     string // the decisive restriction, rule or setting
	Kind   string // restriction, rule, unseen, default, guard, clock, record, limit, protocol, gateway

	Instrument string // what the policy is modelled on, by its title
	Citation   string // of the instrument
	Source     string // address of the instrument's text
	Since      *Since // from when on it is refused; nil where that has no date

	Host      string // that was asked for; empty where that is not known
	Address   string // with scheme, port and path, as far as they are known: see flow.address
	Reference string // of the record; empty where there is none

	Operator Operator
}

// titlePolicy is how refusals of the policy are headed.
const titlePolicy = "Refused by this network's policy"

// status is the code of a refusal: 451 for a restriction, 503 where the gateway itself has trouble, 403 for everything else.
func (rf *refusals) status(r *ruling) int {
	switch r.Cause().Kind {
	case "restriction":
		return http.StatusUnavailableForLegalReasons
	case "clock", "record":
		return http.StatusServiceUnavailable
	default:
		return http.StatusForbidden
	}
}

// policy answers a flow that the policy refuses.
func (rf *refusals) policy(w http.ResponseWriter, by asker, f *flow) {
	rf.kept(by, f).write(w, by, f.told(by.html))
}

// kept is the page for what the policy refuses, which is the same over and over but for its slots.
func (rf *refusals) kept(by asker, f *flow) *page {
	kept := rf.pages.of(f.ruling.policy)
	key := pageKey{f.ruling.Decision, by.html}
	p, ok := kept.list.Get(key)
	if !ok {
		p = rf.slotted(by, kept.template, f)
		kept.list.Add(key, p)
	}
	return p
}

// slotted makes the page of a decision, with slots for what its refusals differ in.
func (rf *refusals) slotted(by asker, template *Page, f *flow) *page {
	a := f.ruling.refusal(rf.status(&f.ruling))
	a.Since = sinceOf(&f.ruling)
	if by.html && template != builtinPage {
		p := rf.head(by, a)
		p.template, p.refusal = template, a
		return p
	}
	a.Host, a.Address, a.Reference = slotMarks[slotHost], slotMarks[slotAddress], slotMarks[slotReference]
	return rf.renderBy(template, by, a)
}

// refusal is what is said of a block.
func (r *ruling) refusal(status int) *refusal {
	c := r.Cause()
	answer := refusal{Status: status, Title: titlePolicy, Error: "http_request_denied", ID: c.ID, Kind: c.Kind}
	switch c.Kind {
	case "restriction":
		answer.Detail = fmt.Sprintf("Refused by this network's policy, modelled on %s (%s).", c.Title, c.ID)
		answer.Instrument, answer.Citation, answer.Source = c.Title, citation(restriction(r.policy, c.ID)), c.URL
	case "rule":
		answer.Detail = fmt.Sprintf("Refused by this network's policy: rule %s: %s.", c.ID, strings.TrimSuffix(c.Title, "."))
	case "unseen":
		answer.Detail = "Refused by this network's policy: what the connection is for cannot be seen (unseen." + c.ID + ")."
	case "default":
		answer.Detail = "Refused by this network's policy: it allows only destinations that it knows."
	case "clock":
		answer.Detail = "The gateway's clock cannot be trusted, so that it cannot tell what is allowed now."
	case "record":
		answer.Detail = "The gateway cannot record what passes at present, and its policy wants that."
	}
	return &answer
}

// guard answers what the road itself refuses.
func (rf *refusals) guard(w http.ResponseWriter, by asker, guard, detail string) {
	rf.write(w, by, guardRefusal(guard, detail))
}

func guardRefusal(guard, detail string) *refusal {
	return &refusal{
		Status: http.StatusForbidden, Title: "Refused by this gateway", Detail: sentence(detail), Error: "http_request_denied",
		ID: guard, Kind: "guard",
	}
}

// fault answers a request that cannot be understood in one way only, and closes the connection.
func (rf *refusals) fault(w http.ResponseWriter, by asker, fault *Fault) {
	rf.write(w, by, fault.refusal())
}

func (f *Fault) refusal() *refusal {
	return &refusal{Status: f.Status, Title: http.StatusText(f.Status), Detail: sentence(f.Detail), ID: f.Code, Kind: "protocol"}
}

// NotAProxyRequest answers a request in origin form for which there is nothing here.
func NotAProxyRequest(w http.ResponseWriter, r *http.Request) {
	(&refusals{}).write(w, askerOf(r), &refusal{
		Status: http.StatusNotFound, Title: "Not found", ID: "origin-form", Kind: "protocol",
		Detail: "This is a proxy: configure it as one, or fetch /proxy.pac from it.",
	})
}

// response is an answer as the result of a round trip.
func (rf *refusals) response(r *http.Request, a *refusal) *http.Response {
	p := rf.render(askerOf(r), a)
	body := p.body(told{})
	p.header.Set("Content-Length", strconv.Itoa(len(body)))
	if p.closing {
		p.header.Set("Connection", "close")
	}
	return &http.Response{
		StatusCode: a.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: p.header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func (rf *refusals) write(w http.ResponseWriter, by asker, a *refusal) {
	rf.render(by, a).write(w, by, told{})
}

func (p *page) write(w http.ResponseWriter, by asker, t told) {
	if l, ok := w.(*laneWriter); ok {
		l.page(p, by, t)
		return
	}
	body := p.body(t)
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if p.closing || by.connect {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(p.status)
	if !by.head {
		_, _ = w.Write(body) //nolint:gosec // html/template, encoding/json and escaped have escaped it
	}
}

// body is the page as it is sent.
func (p *page) body(t told) []byte {
	if p.template != nil {
		return p.executed(t)
	}
	with := t.escaped(p.html)
	return fill(make([]byte, 0, filled(p.segments, with)), p.segments, with)
}

// executed is the page as the operator's template has it.
func (p *page) executed(t told) []byte {
	a := *p.refusal
	a.Host, a.Address, a.Reference = t[slotHost], t[slotAddress], t[slotReference]
	return p.template.html(&a)
}

// render makes the page of an answer.
func (rf *refusals) render(by asker, a *refusal) *page { return rf.renderBy(rf.template(), by, a) }

func (rf *refusals) renderBy(template *Page, by asker, a *refusal) *page {
	p := rf.head(by, a)
	if by.html {
		p.segments = split(template.html(a))
	} else {
		p.segments = split(a.problem())
	}
	return p
}

// head makes all of a page but its body.
func (rf *refusals) head(by asker, a *refusal) *page {
	p := &page{status: a.Status, closing: a.Kind == "protocol", html: by.html, header: make(http.Header)}
	h := p.header
	a.Operator = rf.operator
	h.Set("Cache-Control", "no-store")
	if a.Error != "" {
		h.Set("Proxy-Status", proxyStatus(a.Error, cmp.Or(a.ID, a.Kind)+": "+a.Detail))
	}
	if a.Status == http.StatusProxyAuthRequired {
		h.Set("Proxy-Authenticate", challenge)
	}
	if a.deliberate() && rf.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(rf.retryAfter.Seconds())))
	}
	if rf.operator.URL != "" && a.Status == http.StatusUnavailableForLegalReasons {
		h.Set("Link", "<"+rf.operator.URL+`>; rel="blocked-by"`) // RFC 7725
	}
	if by.html {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	} else {
		h.Set("Content-Type", "application/problem+json")
	}
	var fields bytes.Buffer
	_ = h.Write(&fields) // to memory
	p.fields = fields.Bytes()
	return p
}

// deliberate tells that the answer would be the same soon again, so that an updater had better wait. Who may log in need not.
func (a *refusal) deliberate() bool {
	return a.Kind != "protocol" && a.Kind != "gateway" && a.Status != http.StatusProxyAuthRequired
}

// problem is the refusal as RFC 9457 problem details.
func (a *refusal) problem() []byte {
	doc := struct {
		Type        string `json:"type"`
		Title       string `json:"title"`
		Status      int    `json:"status"`
		Detail      string `json:"detail"`
		Instance    string `json:"instance,omitempty"`
		Host        string `json:"host,omitempty"`
		Restriction string `json:"restriction,omitempty"`
		Rule        string `json:"rule,omitempty"`
		Reason      string `json:"reason,omitempty"`
		Since       string `json:"since,omitempty"`
		Assumed     string `json:"since_assumed,omitempty"`
		Source      string `json:"source,omitempty"`
		Operator    string `json:"operator,omitempty"`
		Contact     string `json:"contact,omitempty"`
	}{
		Type: "about:blank", Title: a.Title, Status: a.Status, Detail: a.Detail, Host: a.Host, Source: a.Source,
		Operator: a.Operator.Name, Contact: a.Operator.Contact,
	}
	if a.Reference != "" {
		doc.Instance = "urn:gracegate:" + a.Reference
	}
	if a.Since != nil {
		doc.Since, doc.Assumed = a.Since.RFC3339(), a.Since.Assumed
	}
	switch a.Kind {
	case "restriction":
		doc.Restriction = a.ID
	case "rule":
		doc.Rule = a.ID
	default:
		doc.Reason = strings.TrimSuffix(a.Kind+"."+a.ID, ".")
	}
	body, err := json.MarshalIndent(doc, "", "  ")
	if err != nil { // strings and numbers alone cannot fail
		return []byte("{}")
	}
	return append(body, '\n')
}

// jsonText is a text as it stands between the quotes of a JSON string.
func jsonText(s string) string {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || strings.IndexByte(`"\<>&`, c) >= 0 {
			quoted, err := json.Marshal(s)
			if err != nil { // a string cannot fail
				return ""
			}
			return string(quoted[1 : len(quoted)-1])
		}
	}
	return s
}

// proxyStatus is an RFC 9209 field: the details are a structured-field string, so ASCII only, quotes and backslashes escaped.
func proxyStatus(errorType, details string) string {
	var b strings.Builder
	for _, c := range details {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ' || c > '~':
			b.WriteByte('?')
		default:
			b.WriteRune(c)
		}
	}
	return `gracegate; error=` + errorType + `; details="` + b.String() + `"`
}

// sentence makes a message of the program one that can stand alone.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}
