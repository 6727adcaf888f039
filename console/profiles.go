package console

import (
	"net/http"
	"net/http/pprof" // it registers with http.DefaultServeMux, which nothing here serves
	"strings"
)

const profilesPath = "/debug/pprof/"

// profiles answers what is below profilesPath: the profiles of the Go runtime, as `go tool pprof` asks for them. They move
// the deadline of the answer by the seconds that they are asked to measure.
func profiles(w http.ResponseWriter, r *http.Request) {
	switch strings.TrimPrefix(r.URL.Path, profilesPath) {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default: // the list, or one of those in it
		pprof.Index(w, r)
	}
}
