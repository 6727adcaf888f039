package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
	"github.com/gracegate/gracegate/policy/source"
)

// differsFrom tells how an answer is not what is expected, or nothing.
func differsFrom(want *source.Expect, e *policy.Explanation) string {
	got := answered(want.Key, e)
	expected := slices.Clone(want.Values)
	switch want.Key {
	case "from", "next-change", "next-block":
		for i, text := range expected { // written in any offset
			if at, err := instant.Parse(text); err == nil {
				expected[i] = instant.Format(at)
			}
		}
	case "channels":
		expected = strings.Fields(strings.Join(expected, " "))
	}
	if slices.Equal(got, expected) {
		return ""
	}
	return fmt.Sprintf("%s: want %s, got %s", want.Key, orNone(expected), orNone(got))
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " | ")
}

// answered returns what an answer has for one of source.Expectations; nothing stands for none.
func answered(key string, e *policy.Explanation) []string {
	word := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	at := func(t time.Time, ok bool) []string {
		if !ok {
			return nil
		}
		return []string{instant.Format(t)}
	}
	cause := e.Cause()
	switch key {
	case "verdict":
		return word(e.Verdict.String())
	case "state":
		return word(e.State.String())
	case "need":
		return word(e.Need.String())
	case "would":
		return word(e.Would.String())
	case "reason":
		return word(cause.ID)
	case "restriction", "rule", "waiver":
		if cause.Kind != key {
			return nil
		}
		return word(cause.ID)
	case "vendor":
		return word(e.Vendor)
	case "channels":
		return channelWords(e.Channels)
	case "from":
		for _, r := range e.Reasons {
			if r.Decisive && r.From != nil {
				return at(r.From.At, true)
			}
		}
		return nil
	case "next-change":
		return at(e.NextChange())
	case "next-block":
		return at(e.NextBlock())
	case "reasons":
		return weighed(e.Reasons)
	}
	return nil
}

// weighed are the reasons but for the endpoints, which are the same at every instant, in words.
func weighed(reasons []policy.Reason) (lines []string) {
	for i := range reasons {
		if reasons[i].Kind != "endpoint" {
			lines = append(lines, reasons[i].Line())
		}
	}
	return lines
}
