package console

import (
	"encoding/json"
	"log"
	"maps"
	"net/http"
	"strings"
	"time"
)

// Config is what the admin listener needs. Every field without a remark is required.
type Config struct {
	Listen string   // HOST:PORT listened on; a literal HOST is known as a Host header, as loopback is
	Hosts  []string // further names and addresses, without port, that a Host header may carry
	Token  string   // asked for by everything but /healthz; empty: nobody is asked

	Status   func() Status
	Settings func() any // the settings in force without secrets, marshalled as JSON by /configz
	Version  any        // marshalled as JSON by /version
	Metrics  http.Handler
	// Pages are those that the listener of the proxy has too, by path, such as /proxy.pac and /cacert.
	Pages map[string]http.Handler
	// Flows gives the open flows, the oldest first and at most limit of them, and how many are open. If nil, /debug/flows is
	// not there.
	Flows func(limit int) (oldest []Flow, open int)
	Pprof bool // serve profiles below /debug/pprof/
}

type console struct {
	hosts hosts
	token *token // nil: none is asked for
	pages map[string]http.Handler
	pprof bool
}

// New makes the handler of the admin listener: /healthz, /readyz, /metrics, /version, /configz, /debug/flows, Pages and
// what is below /debug/pprof/, for GET and HEAD. Refusals are text: 405 for other methods, 421 for a Host header that is not known, 403 from another origin,
// 401 without the token, 429 after too many wrong ones, 404 for other paths.
func New(c Config) http.Handler {
	h := &console{
		hosts: newHosts(c.Listen, c.Hosts),
		pages: map[string]http.Handler{
			"/healthz": http.HandlerFunc(healthy),
			"/readyz":  ready(c.Status),
			"/metrics": c.Metrics,
			"/version": document(func() any { return c.Version }),
			"/configz": document(c.Settings),
		},
		pprof: c.Pprof,
	}
	maps.Copy(h.pages, c.Pages)
	if c.Flows != nil {
		h.pages["/debug/flows"] = openFlows(c.Flows)
	}
	if c.Token != "" {
		h.token = newToken(c.Token)
	}
	return h
}

// ServeHTTP implements http.Handler.
func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guardBrowser(w.Header())
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD are answered here")
		return
	case !c.hosts.known(r.Host):
		refuse(w, http.StatusMisdirectedRequest, "this name is not known as the gateway's: add it to admin.hosts")
		return
	case !sameOrigin(r):
		refuse(w, http.StatusForbidden, "requests from other origins are refused")
		return
	case c.token != nil && r.URL.Path != "/healthz" && !c.token.admits(w, r):
		return
	}
	page, found := c.pages[r.URL.Path]
	switch {
	case found:
		page.ServeHTTP(w, r)
	case c.pprof && strings.HasPrefix(r.URL.Path, profilesPath):
		profiles(w, r)
	default:
		refuse(w, http.StatusNotFound, "no such page")
	}
}

// guardBrowser keeps a browser from running, framing, sniffing or keeping what is answered.
func guardBrowser(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // a client that went away needs no answer
}

func document(value func() any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, value()) })
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		refuse(w, http.StatusInternalServerError, "this page cannot be written as JSON: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // a client that went away needs no answer
}

// refuse answers with a text that holds nothing of the request.
func refuse(w http.ResponseWriter, code int, text string) { http.Error(w, text, code) }

// Server returns the server of the admin listener: HTTP/1 only, 10 s for a request, 30 s for its answer beside the time that
// a profile measures, 16 KiB of head.
// What goes wrong with connections is written to faults; if nil, to the standard logger.
func Server(handler http.Handler, faults *log.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:                      handler,
		Protocols:                    protocols,
		DisableGeneralOptionsHandler: true, // or OPTIONS * would pass by the handler
		ReadHeaderTimeout:            10 * time.Second,
		ReadTimeout:                  10 * time.Second,
		WriteTimeout:                 30 * time.Second,
		IdleTimeout:                  time.Minute,
		MaxHeaderBytes:               16 << 10,
		ErrorLog:                     faults,
	}
}
