package console

import "net/http"

// Status is what /readyz tells.
type Status struct {
	Revision       string // of the policy in force; empty: none is loaded
	ReloadError    string // why the last reload failed; empty: it did not
	Bundle         *Bundle
	Clock          Clock
	ClockNeeded    bool   // nothing governed is let through while the clock cannot be believed (clock.untrusted: block-governed)
	RecordsFail    bool   // records are being lost
	RecordsNeeded  bool   // nothing is let through while records are being lost (audit.on-failure: block)
	RecordsLost    uint64 // since the start
	RecordsWaiting int
	CAProblem      string // why the CA of interception signs nothing, and what to do; empty if it does, or there is none
	DatabaseError  string // why the database of what was seen is behind; empty: it is not
	CADue          bool   // the CA of interception should have been renewed by now
	Draining       bool   // the process is on its way out
}

// readiness is the body of /readyz.
type readiness struct {
	Ready    bool     `json:"ready"`
	Problems []string `json:"problems"` // also those that leave it ready
	Policy   struct {
		Loaded       bool   `json:"loaded"`
		Revision     string `json:"revision"`
		LastReloadOK bool   `json:"last_reload_ok"`

		Bundle *Bundle `json:"bundle,omitempty"`
	} `json:"policy"`
	Clock    Clock `json:"clock"`
	Recorder struct {
		Failing bool   `json:"failing"`
		Lost    uint64 `json:"lost"`
		Waiting int    `json:"waiting"`
	} `json:"recorder"`
	Draining bool `json:"draining"`
}

// judge says whether traffic should be sent here. A failed reload is a problem, but what was loaded before is enforced on;
// lost records, or a clock that cannot be believed, stop traffic only where the operator asked for that.
func (s Status) judge() readiness {
	r := readiness{Ready: true, Problems: []string{}, Draining: s.Draining}
	problem := func(there, fatal bool, text string) {
		if there {
			r.Problems = append(r.Problems, text)
			r.Ready = r.Ready && !fatal
		}
	}
	problem(s.Revision == "", true, "no policy is loaded")
	problem(s.ReloadError != "", false, "the last reload failed, what it could not read stays as it was: "+s.ReloadError)
	s.Bundle.judge(problem)
	problem(s.RecordsFail, s.RecordsNeeded, "records are being lost")
	problem(!s.Clock.Trusted, s.ClockNeeded, "the clock cannot be believed: "+s.Clock.Detail)
	problem(s.Clock.MarkError != "", false, "the clock's mark is not kept, a restart may turn it back: "+s.Clock.MarkError)
	problem(s.CAProblem != "", false, "nothing is intercepted: "+s.CAProblem)
	problem(s.DatabaseError != "", false, "the database of what was seen is behind, reports are not up to date: "+s.DatabaseError)
	problem(s.CADue, false, "the CA nears its end: gracegate ca renew")
	problem(s.Draining, true, "shutting down")

	r.Policy.Loaded, r.Policy.Revision, r.Policy.LastReloadOK = s.Revision != "", s.Revision, s.ReloadError == ""
	r.Policy.Bundle = s.Bundle
	r.Clock = s.Clock
	r.Clock.inUTC()
	r.Recorder.Failing, r.Recorder.Lost, r.Recorder.Waiting = s.RecordsFail, s.RecordsLost, s.RecordsWaiting
	return r
}

func ready(status func() Status) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		body := status().judge()
		code := http.StatusOK
		if !body.Ready {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, body)
	})
}
