package proxy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gracegate/gracegate/policy"
)

//go:embed deny.html
var denyHTML string

var denyTemplate = template.Must(template.New("deny").Parse(denyHTML))

// refusals writes answers that say no.
type refusals struct {
	retryAfter time.Duration
	operator   Operator
	pages      *lru.Cache[pageKey, *page] // those for what the policy refuses, which are the same over and over
}

// maxPages bounds the pages that are kept: one a cause and form, so more than any policy has in use.
const maxPages = 1024

func newRefusals(retryAfter time.Duration, operator Operator) *refusals {
	pages, err := lru.New[pageKey, *page](maxPages)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &refusals{retryAfter: retryAfter, operator: operator, pages: pages}
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

type pageKey struct {
	cause policy.Cause
	html  bool
}

// page is an answer but for what depends on the connection.
type page struct {
	status  int
	closing bool // the connection ends behind it
	header  http.Header
	fields  []byte // the same as lines
	body    []byte
}

// refusal is one such answer. It is worded as this network's policy, never as a claim about the law's effect on the reader.
type refusal struct {
	Status  int
	Title   string
	Detail  string
	Error   string // RFC 9209 proxy error type; empty: the client's own mistake
	ID      string // the decisive restriction, rule or setting
	Kind    string // restriction, rule, unseen, default, guard, clock, record, protocol, gateway
	Source  string // address of the restriction's text
	Contact Operator
}

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

// policy answers a request that the policy refuses.
func (rf *refusals) policy(w http.ResponseWriter, by asker, ruled *ruling) {
	key := pageKey{ruled.Cause(), by.html}
	p, ok := rf.pages.Get(key)
	if !ok {
		p = rf.render(by, ruled.refusal(rf.status(ruled)))
		rf.pages.Add(key, p)
	}
	p.write(w, by)
}

// refusal is what is said of a block.
func (r *ruling) refusal(status int) *refusal {
	c := r.Cause()
	answer := refusal{Status: status, Title: "Refused by this network's policy", Error: "http_request_denied", ID: c.ID, Kind: c.Kind}
	switch c.Kind {
	case "restriction":
		answer.Detail = fmt.Sprintf("Refused by this network's policy, modelled on %s (%s).", c.Title, c.ID)
		answer.Source = c.URL
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
	rf.write(w, by, &refusal{
		Status: http.StatusForbidden, Title: "Refused by this gateway", Detail: sentence(detail), Error: "http_request_denied",
		ID: guard, Kind: "guard",
	})
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
	if p.closing {
		p.header.Set("Connection", "close")
	}
	return &http.Response{
		StatusCode: a.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: p.header, Body: io.NopCloser(bytes.NewReader(p.body)), ContentLength: int64(len(p.body)),
	}
}

func (rf *refusals) write(w http.ResponseWriter, by asker, a *refusal) { rf.render(by, a).write(w, by) }

func (p *page) write(w http.ResponseWriter, by asker) {
	if l, ok := w.(*laneWriter); ok {
		l.page(p, by)
		return
	}
	maps.Copy(w.Header(), p.header)
	if p.closing || by.connect {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(p.status)
	if !by.head {
		_, _ = w.Write(p.body) //nolint:gosec // html/template and encoding/json have escaped it
	}
}

// render makes the page of an answer.
func (rf *refusals) render(by asker, a *refusal) *page {
	p := &page{status: a.Status, closing: a.Kind == "protocol", header: make(http.Header)}
	h := p.header
	a.Contact = rf.operator
	h.Set("Cache-Control", "no-store")
	if a.Error != "" {
		h.Set("Proxy-Status", proxyStatus(a.Error, a.ID+": "+a.Detail))
	}
	if a.deliberate() && rf.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(rf.retryAfter.Seconds())))
	}
	if rf.operator.URL != "" && a.Status == http.StatusUnavailableForLegalReasons {
		h.Set("Link", "<"+rf.operator.URL+`>; rel="blocked-by"`) // RFC 7725
	}
	var body bytes.Buffer
	if by.html {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		if err := denyTemplate.Execute(&body, a); err != nil {
			body.WriteString(template.HTMLEscapeString(a.Detail))
		}
	} else {
		h.Set("Content-Type", "application/problem+json")
		body.Write(a.problem())
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	p.body = body.Bytes()
	var fields bytes.Buffer
	_ = h.Write(&fields) // to memory
	p.fields = fields.Bytes()
	return p
}

// deliberate tells that the answer would be the same soon again, so that an updater had better wait.
func (a *refusal) deliberate() bool { return a.Kind != "protocol" && a.Kind != "gateway" }

// problem is the refusal as RFC 9457 problem details.
func (a *refusal) problem() []byte {
	doc := struct {
		Type        string `json:"type"`
		Title       string `json:"title"`
		Status      int    `json:"status"`
		Detail      string `json:"detail"`
		Restriction string `json:"restriction,omitempty"`
		Rule        string `json:"rule,omitempty"`
		Reason      string `json:"reason,omitempty"`
		Source      string `json:"source,omitempty"`
		Operator    string `json:"operator,omitempty"`
		Contact     string `json:"contact,omitempty"`
	}{Type: "about:blank", Title: a.Title, Status: a.Status, Detail: a.Detail, Source: a.Source, Operator: a.Contact.Name, Contact: a.Contact.Contact}
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
