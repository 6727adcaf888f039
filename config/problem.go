package config

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is one mistake in the settings.
type Problem struct {
	Where   string // "gracegate.yaml:3:5", "flag --limits-idle", "environment GRACEGATE_LIMITS_IDLE", "" if in no one place
	Key     string // "limits.idle", "upstream.hosts[0].name"; "" if it concerns no setting
	Value   string // as it was written; "" where the mistake is not a value
	Message string // quotes Value
	Hint    string // what to write instead; may be ""
}

// Error returns one line: place, key, message, and the hint in parentheses.
func (p Problem) Error() string {
	s := p.Message
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Where != "" {
		s = p.Where + ": " + s
	}
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Errors is every mistake found at once; never empty when it is returned as an error.
type Errors []Problem

// Error returns a line for each problem: those of the file in its order, then those of the environment and the flags.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// wrong is what a parser says of a text: a predicate that follows the quoted text, and what to write instead. A nil
// *wrong means that nothing is.
type wrong struct{ what, hint string }

// of makes the problem of a value that a parser refused.
func (w *wrong) of(where, value string) Problem {
	return Problem{Where: where, Value: value, Message: quote(value) + " " + w.what, Hint: w.hint}
}

const maxShown = 100

// quote escapes a value to one line of printable ASCII and shows at most its first 100 bytes.
func quote(s string) string {
	if len(s) > maxShown {
		return strconv.QuoteToASCII(strings.ToValidUTF8(s[:maxShown], "")) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// source is where values were written: a file, whose nodes have positions, or a flag or variable, whose nodes have none.
type source struct {
	name   string // "gracegate.yaml", "flag --limits-idle", "environment GRACEGATE_LIMITS_IDLE"
	isFile bool
}

func (s source) at(n *yaml.Node) string {
	if !s.isFile {
		return s.name
	}
	return s.name + ":" + strconv.Itoa(n.Line) + ":" + strconv.Itoa(n.Column)
}
