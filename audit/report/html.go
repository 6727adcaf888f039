package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"time"
)

var (
	//go:embed report.html
	pageText string

	//go:embed report.css
	pageStyle string
)

// page is made with the style that its own security policy names by digest: nothing else is ever applied, fetched or run.
var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"style":  func() template.CSS { return template.CSS(pageStyle) }, //nolint:gosec // G203: our own, embedded
	"policy": func() string { return securityPolicy },
	"count":  count, "plural": plural, "size": size, "asked": asked, "left": left,
	"second":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"minute":  func(t time.Time) string { return exactly(t.UTC(), "") },
	"rfc3339": func(t time.Time) string { return rfc3339(&t) },
	"int64":   func(n int) int64 { return int64(n) },
	"maxRows": func() int { return maxRows },
}).Parse(pageText))

var securityPolicy = func() string {
	digest := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'; base-uri 'none'; form-action 'none'"
}()

// WriteHTML writes the report as a page that stands alone: it fetches nothing, runs nothing, prints on A4, and is light or dark as
// its reader wants it.
func (r *Report) WriteHTML(w io.Writer) error { return page.Execute(w, r) }
