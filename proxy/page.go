package proxy

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/mail"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// BuiltinPage is the template of the page that browsers get: what an operator can start from to write one of their own.
//
//go:embed deny.html
var BuiltinPage string

var builtinPage = &Page{template: template.Must(template.New("page").Parse(BuiltinPage))}

// maxPageSize bounds what a template of the operator's makes of a refusal, in bytes.
const maxPageSize = 256 << 10

// Page is a template for refusals, which was tried. It is safe for concurrent use.
type Page struct{ template *template.Template }

// PageError is a mistake in a template. Line and Column count from 1; they are 0 where they are not known.
type PageError struct {
	Line, Column int
	Message      string
}

func (e *PageError) Error() string { return e.Message }

// ParsePage reads a template in the syntax of html/template and tries it on a refusal of each kind. The error is a
// [PageError].
func ParsePage(text string) (*Page, error) {
	t, err := template.New("page").Parse(text)
	if err != nil {
		return nil, pageError(err)
	}
	for _, a := range sampleRefusals() {
		var body bytes.Buffer
		if err := t.Execute(&body, a); err != nil {
			return nil, pageError(err)
		}
		if body.Len() > maxPageSize {
			return nil, &PageError{Message: fmt.Sprintf("makes a page of %d bytes; at most %d are sent", body.Len(), maxPageSize)}
		}
	}
	return &Page{t}, nil
}

var pagePlace = regexp.MustCompile(`(?s)^(?:html/)?template: ?[^:]*:(\d+)(?::(\d+))?: (?:executing "[^"]*" at )?(.*)$`)

// pageError takes the place out of an error of html/template.
func pageError(err error) *PageError {
	e := &PageError{Message: err.Error()}
	if m := pagePlace.FindStringSubmatch(e.Message); m != nil {
		e.Line, _ = strconv.Atoi(m[1]) // a number, or empty
		e.Column, _ = strconv.Atoi(m[2])
		if m[2] != "" {
			e.Column++ // html/template counts them from 0
		}
		e.Message = m[3]
	}
	e.Message = strings.ReplaceAll(e.Message, fmt.Sprintf(" in type %T", &refusal{}), "")
	e.Message, _, _ = strings.Cut(e.Message, ": {state") // what html/template was at means nothing to others
	return e
}

// sampleRefusals has what a template must be able to show: a refusal of each kind, with all that may be known and with the
// least of it.
func sampleRefusals() []*refusal {
	operator := Operator{Name: "Example Operator", Contact: "help@example.org", URL: "https://example.org/refused"}
	since := &Since{
		Time:    time.Date(2024, 9, 29, 0, 0, 0, 0, time.FixedZone("", -4*3600)),
		Assumed: "the hour is not stated in the source read",
	}
	full := refusal{
		Status: http.StatusUnavailableForLegalReasons, Title: titlePolicy, Detail: "Refused by this network's policy, modelled on an order (order-1).",
		Error: "http_request_denied", ID: "order-1", Kind: "restriction", Instrument: "Order 1", Citation: "1 EX 1", Source: "https://example.org/order-1",
		Since: since, Host: "updates.example.org", Address: "http://updates.example.org/a/b", Reference: "23456789ABCD", Operator: operator,
	}
	all := []*refusal{&full}
	for _, kind := range []string{"restriction", "rule", "unseen", "default", "guard", "clock", "record", "limit", "protocol", "gateway"} {
		all = append(all, &refusal{Status: http.StatusForbidden, Title: "Title", Detail: "Detail.", ID: "id", Kind: kind})
	}
	return append(all, &refusal{})
}

// html is the page of a refusal. One that a template of the operator's fails at is the built-in one.
func (t *Page) html(a *refusal) []byte {
	var body bytes.Buffer
	if err := t.template.Execute(&body, a); err == nil {
		return body.Bytes()
	}
	if t != builtinPage {
		return builtinPage.html(a)
	}
	return []byte(template.HTMLEscapeString(a.Detail))
}

// Mail is the contact, if it is a mail address and nothing else.
func (o Operator) Mail() string {
	a, err := mail.ParseAddress(o.Contact)
	if err != nil || a.Address != o.Contact {
		return ""
	}
	return o.Contact
}

// slot is a place in a page for what differs from one refusal to the next.
type slot uint8

const (
	slotHost slot = iota
	slotAddress
	slotReference
	slotEnd // none: the page ends
)

// slotMarks stand for the slots while a page is made. Nobody can know them, and no escaping changes them.
var slotMarks = func() (marks [slotEnd]string) {
	for i := range marks {
		marks[i] = "slot" + rand.Text()
	}
	return marks
}()

// segment is a run of a page, and the slot behind it.
type segment struct {
	text []byte
	then slot
}

// split takes a body with marks apart.
func split(body []byte) []segment {
	var segments []segment
	for {
		at, found := len(body), slotEnd
		for s, mark := range slotMarks {
			if i := bytes.Index(body[:at], []byte(mark)); i >= 0 {
				at, found = i, slot(s)
			}
		}
		segments = append(segments, segment{body[:at], found})
		if found == slotEnd {
			return segments
		}
		body = body[at+len(slotMarks[found]):]
	}
}

// told is what the slots of a page are filled with. Values are as they came from the client.
type told [slotEnd]string

// escaped returns what stands in the page.
func (t told) escaped(html bool) (out told) {
	for i, s := range t {
		if html {
			out[i] = htmlText.Replace(s)
		} else {
			out[i] = jsonText(s)
		}
	}
	return out
}

// htmlText escapes text, and what stands in quotes, exactly as html/template does.
var htmlText = strings.NewReplacer("\x00", "\uFFFD", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;")

// fill appends a page.
func fill(out []byte, segments []segment, with told) []byte {
	for _, p := range segments {
		out = append(out, p.text...)
		if p.then != slotEnd {
			out = append(out, with[p.then]...)
		}
	}
	return out
}

// filled is how long a page is when it is filled.
func filled(segments []segment, with told) (size int) {
	for _, p := range segments {
		size += len(p.text)
		if p.then != slotEnd {
			size += len(with[p.then])
		}
	}
	return size
}
