package source

import (
	"slices"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"a.example":                 "a.example",
		"":                          "",
		"{a,b}.example":             "a.example b.example",
		"{www.,}a.example":          "www.a.example a.example",
		"s{00..02}.example":         "s00.example s01.example s02.example",
		"s{8..11}":                  "s8 s9 s10 s11",
		"s{08..11}":                 "s08 s09 s10 s11",
		"s{0..10}":                  "s0 s1 s2 s3 s4 s5 s6 s7 s8 s9 s10",
		"{a,b}{1..2}":               "a1 a2 b1 b2",
		"{7..7}":                    "7",
		"{000..001}":                "000 001",
		"{0..9999}":                 "10000 names",
		"{0..10000}":                "! more than 10000 names",
		"{0..99}{0..99}":            "10000 names",
		"{0..99}{0..99}{a,b}":       "! more than 10000 names",
		"{0..999999999999999999}":   "! {0..999999999999999999} is neither alternatives, {a,b}, nor a range of numbers, {00..19}",
		"{9..1}":                    "! the range {9..1} counts down",
		"{09..100}":                 "! the range {09..100} has zeros in front of one number, and another width at the other",
		"{9..010}":                  "! the range {9..010} has zeros in front of one number, and another width at the other",
		"{00..1}":                   "! the range {00..1} has zeros in front of one number, and another width at the other",
		"{a}":                       "! {a} is neither alternatives, {a,b}, nor a range of numbers, {00..19}",
		"{}":                        "! {} is neither alternatives, {a,b}, nor a range of numbers, {00..19}",
		"{a..b}":                    "! {a..b} is neither alternatives, {a,b}, nor a range of numbers, {00..19}",
		"{-1..1}":                   "! {-1..1} is neither alternatives, {a,b}, nor a range of numbers, {00..19}",
		"{1..2..3}":                 "! {1..2..3} is neither alternatives, {a,b}, nor a range of numbers, {00..19}",
		"a{":                        `! a "{" without a "}"`,
		"a}":                        `! a "}" without a "{"`,
		"}a{":                       `! a "}" without a "{"`,
		"{a,{b,c}}":                 "! braces inside braces",
		strings.Repeat("{a,b}", 14): "! more than 10000 names",
	} {
		names, reason := expand(entry)
		got := strings.Join(names, " ")
		switch {
		case reason != "":
			got = "! " + reason
		case len(names) == maxExpanded:
			got = "10000 names"
		}
		if got != want {
			t.Errorf("%s expands to %s, want %s", entry, got, want)
		}
		if slices.Contains(names, "") && entry != "" {
			t.Errorf("%s expands to nothing", entry)
		}
	}
}
