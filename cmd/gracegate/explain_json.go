package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

// maxLine bounds a line of `explain -`.
const maxLine = 1 << 20

// The JSON of an answer. What is absent is null.
type answerJSON struct {
	At          string       `json:"at"`
	KnownAt     *string      `json:"known_at"`
	Client      *string      `json:"client"`
	Site        *string      `json:"site"`
	Persons     []string     `json:"persons"`
	User        *string      `json:"user"`
	MAC         *string      `json:"mac"`
	Method      *string      `json:"method"`
	Scheme      *string      `json:"scheme"`
	Host        *string      `json:"host"`
	Destination *string      `json:"destination"`
	Port        uint16       `json:"port"`
	SNI         *string      `json:"sni"`
	Path        *string      `json:"path"`
	Vendor      *string      `json:"vendor"`
	Channels    []string     `json:"channels"`
	Verdict     string       `json:"verdict"`
	State       string       `json:"state"`
	Need        *string      `json:"need"`
	Reasons     []reasonJSON `json:"reasons"`
	NextChange  *string      `json:"next_change"`
	NextBlock   *string      `json:"next_block"`
	Would       string       `json:"would"`
	Revision    string       `json:"revision"`
}

type reasonJSON struct {
	Kind        string      `json:"kind"`
	ID          *string     `json:"id"`
	Restriction *string     `json:"restriction"`
	Vendor      *string     `json:"vendor"`
	Channel     *string     `json:"channel"`
	Effect      *string     `json:"effect"`
	From        *string     `json:"from"`
	Until       *string     `json:"until"`
	Assumed     *string     `json:"assumed"`
	Condition   *string     `json:"condition,omitempty"`
	Decisive    bool        `json:"decisive"`
	File        *string     `json:"file"`
	Line        *int        `json:"line"`
	Source      *sourceJSON `json:"source"`
}

type sourceJSON struct {
	Title    *string `json:"title"`
	Citation *string `json:"citation"`
	URL      *string `json:"url"`
	Grade    string  `json:"grade"`
}

func (a *answer) json() answerJSON {
	f := &a.facts
	j := answerJSON{
		At: instant.Format(a.At), KnownAt: orNull(knownText(a.known)), Client: addressOrNull(f.Client), Site: orNull(a.Site), Persons: orEmpty(a.Persons),
		User: orNull(f.User), MAC: orNull(f.MAC), Method: orNull(f.Method), Scheme: orNull(f.Scheme), Host: orNull(named(f).String()), Port: f.Port,
		SNI: orNull(f.SNI.String()), Path: orNull(f.Path), Vendor: orNull(a.Vendor), Channels: channelWords(a.Channels),
		Verdict: a.Verdict.String(), State: a.State.String(), Need: orNull(a.Need.String()), Would: a.Would.String(),
		Revision: a.Revision(), Reasons: []reasonJSON{},
	}
	if f.Transparent {
		j.Destination = orNull(f.Authority.String())
	}
	if a.guard != "" {
		j.Reasons = append(j.Reasons, reasonJSON{
			Kind: "guard", ID: &a.guard, Effect: orNull("block"), Decisive: true,
			Source: &sourceJSON{Title: &a.detail, Grade: policy.GradeOperator.String()}, // the operator's setting would open it
		})
	} else {
		j.NextChange, j.NextBlock = instantText(a.NextChange()), instantText(a.NextBlock())
	}
	for i := range a.Reasons {
		j.Reasons = append(j.Reasons, newReasonJSON(&a.Reasons[i], a.guard != ""))
	}
	return j
}

func newReasonJSON(r *policy.Reason, overruled bool) reasonJSON {
	j := reasonJSON{
		Kind: r.Kind, ID: orNull(r.ID), Restriction: orNull(r.Restriction), Vendor: orNull(r.Vendor), Channel: orNull(r.Channel),
		Effect: orNull(r.Effect), Condition: orNull(r.Condition), Decisive: r.Decisive && !overruled, File: orNull(r.Pos.File),
	}
	if r.Pos.Line > 0 {
		j.Line = &r.Pos.Line
	}
	if r.From != nil {
		j.From, j.Assumed = instantOrNull(r.From.At), orNull(r.From.Assumed)
	}
	if r.Until != nil {
		j.Until = instantOrNull(r.Until.At)
		if j.Assumed == nil {
			j.Assumed = orNull(r.Until.Assumed)
		}
	}
	j.Source = newSourceJSON(r.Source)
	return j
}

func newSourceJSON(s *policy.Source) *sourceJSON {
	if s == nil {
		return nil
	}
	return &sourceJSON{orNull(s.Title), orNull(s.Citation), orNull(s.URL), s.Grade.String()}
}

func knownText(h policy.Horizon) string {
	switch {
	case h.Clock:
		return "clock"
	case !h.At.IsZero():
		return instant.Format(h.At)
	default:
		return ""
	}
}

func (a *answer) writeJSON(w io.Writer) error { return writeJSON(w, a.json()) }

// lines answers a JSON question a line, with the flags as defaults. A question that cannot be answered gets {"error"} and does
// not end the run; it makes the exit code 2.
func (x *explainer) lines(in io.Reader, out io.Writer, defaults *question, failOn string) error {
	buffered := bufio.NewWriter(out)
	enc := json.NewEncoder(buffered)
	enc.SetEscapeHTML(false)
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 64<<10), maxLine)
	bad, hits := 0, 0
	for n := 1; scan.Scan(); n++ {
		if len(bytes.TrimSpace(scan.Bytes())) == 0 {
			continue
		}
		var err error
		a, problem := x.line(scan.Bytes(), *defaults)
		if problem != nil {
			bad++
			err = enc.Encode(map[string]any{"error": problem.Error(), "line": n})
		} else {
			if a.Verdict.String() == failOn {
				hits++
			}
			err = enc.Encode(a.json())
		}
		if err != nil {
			return failed(err, "")
		}
		if err := buffered.Flush(); err != nil {
			return failed(err, "")
		}
	}
	switch err := scan.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return invalid(fmt.Errorf("a line of standard input is longer than %d bytes", maxLine), "one JSON object a line")
	case err != nil:
		return failed(err, "")
	case bad > 0:
		return invalid(errors.New(counted(bad, "question", "questions")+" could not be answered"), "see the lines with error")
	case hits > 0:
		return &codedError{code: exitMatched}
	}
	return nil
}

func (x *explainer) line(text []byte, q question) (*answer, error) {
	if err := q.read(text); err != nil {
		return nil, err
	}
	return x.answer(&q)
}

// read takes a question from a line of JSON; what that leaves out stays as it is.
func (q *question) read(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var kind *json.UnmarshalTypeError
	switch err := d.Decode(q); {
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("not a question: an object is wanted, not %s", kind.Value)
	case errors.As(err, &kind):
		return fmt.Errorf("not a question: key %q wants a %s, not %s", kind.Field, kind.Type, kind.Value)
	case err != nil:
		return fmt.Errorf("not a question: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if d.More() {
		return errors.New("not a question: more than one value on the line")
	}
	return nil
}
