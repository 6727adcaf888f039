package proxy

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gracegate/gracegate/audit"
)

func TestMistakesOfTemplates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]PageError{
		"{{.Host":                        {1, 0, "unclosed action"},
		"<p>\n{{if .Host}}":              {2, 0, "unexpected EOF"},
		"\n\n{{nothing}}":                {3, 0, `function "nothing" not defined`},
		"<p>\n <b>{{.Hots}}":             {2, 7, "<.Hots>: can't evaluate field Hots"},
		"{{.Since.Assumed}}":             {1, 9, "<.Since.Assumed>: nil pointer evaluating *proxy.Since.Assumed"},
		"{{slice .Reference 0 4}}":       {1, 3, "<slice .Reference 0 4>: error calling slice: index out of range: 4"},
		`{{template "other"}}`:           {1, 12, `no such template "other"`},
		"<a href='{{if .Host}}'{{end}}>": {1, 15, "{{if}} branches end in different contexts"},
		`{{printf "%300000d" .Status}}`:  {0, 0, "makes a page of 300000 bytes; at most 262144 are sent"},
		`{{define "a"}}{{.Odd}}{{end}}` + "\n" + `{{template "a" .}}`: {1, 17, "<.Odd>: can't evaluate field Odd"},
	} {
		_, err := ParsePage(text)
		got, ok := err.(*PageError) //nolint:errorlint // it is what is promised
		if !ok {
			t.Errorf("%q: %v", text, err)
		} else if *got != want {
			t.Errorf("%q: %+v, want %+v", text, *got, want)
		}
	}
}

func TestTheBuiltinPageIsATemplateLikeOthers(t *testing.T) {
	t.Parallel()
	if _, err := ParsePage(BuiltinPage); err != nil {
		t.Error(err)
	}
}

// A template of the operator's may do with a refusal whatever a template can: it is executed for each.
func TestTemplateOfTheOperator(t *testing.T) {
	t.Parallel()
	own, err := ParsePage(`{{len .Host}} {{if eq .Host "shop.acme.example"}}shop{{else}}<a title={{.Host}} href="?{{.Address}}">{{.Title}}</a>` +
		`<script>x = {{.Reference}}</script>{{end}}{{with .Since}} {{.Time.Year}}{{end}} {{.Operator.Name}}`)
	if err != nil {
		t.Fatal(err)
	}
	s := pageServer(t, "", func(c *Config) { c.Page = own })
	const title = "Refused by this network&#39;s policy"
	for range 2 {
		for url, want := range map[string]string{
			"http://upd.acme.example/a": `16 <a title=upd.acme.example href="?http%3a%2f%2fupd.acme.example%2fa">` + title + `</a><script>x = "7Q2MK9F4TXAB"</script> 2024 `,
			"http://x.upd.acme.example": `18 <a title=x.upd.acme.example href="?http%3a%2f%2fx.upd.acme.example">` + title + `</a><script>x = "7Q2MK9F4TXAB"</script> 2024 `,
			"http://shop.acme.example/": "17 shop 2024 ",
		} {
			w := httptest.NewRecorder()
			s.refuse(w, asker{html: true}, pageFlow(s, "10.0.0.2:1", url))
			want += "Example University, Network Services"
			if w.Body.String() != want || w.Header().Get("Content-Length") != strconv.Itoa(len(want)) {
				t.Errorf("%s: %v\n%s, want\n%s", url, w.Header(), w.Body, want)
			}
		}
	}
	s.SetPage(nil)
	w := httptest.NewRecorder()
	s.refuse(w, asker{html: true}, pageFlow(s, "10.0.0.2:1", "http://shop.acme.example/"))
	if !strings.Contains(w.Body.String(), "Access to shop.acme.example was refused") {
		t.Errorf("the built-in page is not back: %s", w.Body)
	}
}

// While the template changes, each answer is by one of them, whole.
func TestTemplateChangesWhileRefusing(t *testing.T) {
	t.Parallel()
	own, err := ParsePage("own {{with .Host}}{{slice . 1 3}}{{end}}")
	if err != nil {
		t.Fatal(err)
	}
	s := pageServer(t, "", nil)
	var changing sync.WaitGroup
	done := make(chan struct{})
	changing.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				s.SetPage(own)
				s.SetPage(nil)
			}
		}
	})
	for range 1000 {
		w := httptest.NewRecorder()
		s.refuse(w, asker{html: true}, pageFlow(s, "10.0.0.2:1", "http://shop.acme.example/"))
		if body := w.Body.String(); body != "own ho" && !strings.Contains(body, "Access to shop.acme.example was refused") {
			t.Fatalf("the answer is %q", body)
		}
	}
	close(done)
	changing.Wait()
}

// What no try could find fails at one refusal alone: that gets the built-in page.
func TestTemplateThatFails(t *testing.T) {
	t.Parallel()
	own, err := ParsePage(`{{if eq .Host "games.example"}}{{slice .Host 0 99}}{{end}}own`)
	if err != nil {
		t.Fatal(err)
	}
	s := pageServer(t, "", func(c *Config) { c.Page = own })
	for url, want := range map[string]string{"http://games.example/": "Access to games.example was refused", "http://shop.acme.example/": "own"} {
		w := httptest.NewRecorder()
		s.refuse(w, asker{html: true}, pageFlow(s, "10.0.0.2:1", url))
		if w.Code/100 != 4 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", url, w.Code, w.Body)
		}
	}
}

// Every refusal that is recorded tells the reference of its record, in either form, in either lane, and to HEAD as to GET.
func TestReferencesFindTheRecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{
		hosts: map[string]string{"upd.acme.example": "127.0.0.1:1"},
		change: func(c *Config) {
			c.Ungoverned = false
			c.Limits.PerDestination = 0
		},
	})
	const html, json = "text/html", "*/*"
	for name, c := range map[string]struct {
		request string
		status  int
		event   audit.Event
		host    string
	}{
		"restriction":         {"GET http://cloud.acme.example/a?b", http.StatusUnavailableForLegalReasons, audit.Refused, "cloud.acme.example"},
		"not in the lane":     {"OPTIONS http://cloud.acme.example/", http.StatusUnavailableForLegalReasons, audit.Refused, "cloud.acme.example"},
		"rule":                {"GET http://games.example/", http.StatusForbidden, audit.Refused, "games.example"},
		"tunnel":              {"CONNECT cloud.acme.example:443", http.StatusUnavailableForLegalReasons, audit.Refused, "cloud.acme.example"},
		"port":                {"GET http://free.example:25/", http.StatusForbidden, audit.Refused, "free.example"},
		"port of a tunnel":    {"CONNECT free.example:25", http.StatusForbidden, audit.Refused, "free.example"},
		"destination":         {"GET http://127.0.0.1/", http.StatusForbidden, audit.Refused, "127.0.0.1"},
		"destination, others": {"OPTIONS http://127.0.0.1/", http.StatusForbidden, audit.Refused, "127.0.0.1"},
		"unreachable":         {"GET http://upd.acme.example/", http.StatusBadGateway, audit.End, "upd.acme.example"},
		"unreachable tunnel":  {"CONNECT upd.acme.example:443", http.StatusBadGateway, audit.End, "upd.acme.example"},
	} {
		for _, accept := range []string{html, json} {
			w := r.wire()
			method, _, _ := strings.Cut(c.request, " ")
			a := w.send(c.request+" HTTP/1.1\r\nHost: x\r\nAccept: "+accept+"\r\n\r\n").answer(method).want(t, c.status)
			before, after := `"instance": "urn:gracegate:`, `"`
			if accept == html {
				before, after = `<code class="reference">`, "<"
			}
			_, rest, _ := strings.Cut(a.body, before)
			reference, _, _ := strings.Cut(rest, after)
			if len(reference) != referenceSize || !strings.Contains(a.body, c.host) {
				t.Errorf("%s: %q in %s", name, reference, a.body)
				continue
			}
			rec := r.records.wait(t, "record "+reference, func(rec audit.Record) bool { return rec.Reference == reference })
			if rec.Event != c.event || rec.Status != c.status || rec.Host.String() != c.host {
				t.Errorf("%s: %+v", name, rec)
			}
		}
	}
	for _, rec := range r.records.all() {
		if rec.Reference == "" {
			t.Errorf("a refusal without a reference: %+v", rec)
		}
	}
}

func TestWithoutARecordThereIsNoReference(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{change: func(c *Config) { c.Ungoverned = false }})
	a := r.get("http://nowhere.example/").want(t, http.StatusBadGateway)
	if strings.Contains(a.body, "instance") || !strings.Contains(a.body, `"host": "nowhere.example"`) {
		t.Errorf("the answer is %s", a.body)
	}
	r.wire().send("GET http://a\nb HTTP/1.1\r\n\r\n").answer(http.MethodGet).want(t, http.StatusBadRequest)
	if all := r.records.all(); len(all) > 0 {
		t.Errorf("recorded: %v", all)
	}
}

// HEAD is answered with the length that GET has, and nothing behind it.
func TestHeadOfAPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	w := r.wire()
	for _, accept := range []string{"text/html", "*/*"} {
		rest := " http://cloud.acme.example/ HTTP/1.1\r\nHost: x\r\nAccept: " + accept + "\r\n\r\n"
		get := w.send("GET"+rest).answer(http.MethodGet).want(t, http.StatusUnavailableForLegalReasons)
		head := w.send("HEAD"+rest).answer(http.MethodHead).want(t, http.StatusUnavailableForLegalReasons)
		if head.body != "" || head.ContentLength != get.ContentLength || int(get.ContentLength) != len(get.body) {
			t.Errorf("%s: %d and %d bytes, %q", accept, get.ContentLength, head.ContentLength, head.body)
		}
	}
}
