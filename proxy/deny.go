package proxy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed deny.html
var denyHTML string

var denyTemplate = template.Must(template.New("deny").Parse(denyHTML))

// refusals writes answers that say no.
type refusals struct {
	retryAfter time.Duration
	operator   Operator
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
func (rf *refusals) policy(w http.ResponseWriter, r *http.Request, ruled *ruling) {
	c := ruled.Cause()
	answer := refusal{Status: rf.status(ruled), Title: "Refused by this network's policy", Error: "http_request_denied", ID: c.ID, Kind: c.Kind}
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
	rf.write(w, r, &answer)
}

// guard answers what the road itself refuses.
func (rf *refusals) guard(w http.ResponseWriter, r *http.Request, guard, detail string) {
	rf.write(w, r, &refusal{
		Status: http.StatusForbidden, Title: "Refused by this gateway", Detail: sentence(detail), Error: "http_request_denied",
		ID: guard, Kind: "guard",
	})
}

// fault answers a request that cannot be understood in one way only, and closes the connection.
func (rf *refusals) fault(w http.ResponseWriter, r *http.Request, fault *Fault) {
	rf.write(w, r, fault.refusal())
}

func (f *Fault) refusal() *refusal {
	return &refusal{Status: f.Status, Title: http.StatusText(f.Status), Detail: sentence(f.Detail), ID: f.Code, Kind: "protocol"}
}

// NotAProxyRequest answers a request in origin form for which there is nothing here.
func NotAProxyRequest(w http.ResponseWriter, r *http.Request) {
	(&refusals{}).write(w, r, &refusal{
		Status: http.StatusNotFound, Title: "Not found", ID: "origin-form", Kind: "protocol",
		Detail: "This is a proxy: configure it as one, or fetch /proxy.pac from it.",
	})
}

// response is an answer as the result of a round trip.
func (rf *refusals) response(r *http.Request, a *refusal) *http.Response {
	h := make(http.Header)
	body := rf.render(h, r, a)
	return &http.Response{
		StatusCode: a.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: h, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func (rf *refusals) write(w http.ResponseWriter, r *http.Request, a *refusal) {
	body := rf.render(w.Header(), r, a)
	w.WriteHeader(a.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) //nolint:gosec // html/template and encoding/json have escaped it
	}
}

// render sets the fields of an answer and returns its body.
func (rf *refusals) render(h http.Header, r *http.Request, a *refusal) []byte {
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
	if r.Method == http.MethodConnect || a.Kind == "protocol" {
		h.Set("Connection", "close")
	}
	var body bytes.Buffer
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
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
	return body.Bytes()
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
