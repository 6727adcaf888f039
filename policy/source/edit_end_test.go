package source_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/source"
)

const ended = "{id: OLD-1, vendor: acme, until: 2025-06-30T12:00:00Z, owner: me, reason: x}"

func TestEndAndDropWaiver(t *testing.T) {
	t.Parallel()
	const other = "{id: OLD-2, vendor: acme, until: 2026-01-01T00:00:00Z, owner: me, reason: y}"
	for name, tt := range map[string]struct{ before, ended, dropped string }{
		"a line": {
			"version: 1\nwaivers:\n  # one\n  - " + old + "  # why\n\n  # two\n  - " + other + "\n# end\n",
			"version: 1\nwaivers:\n  # one\n  # OLD-1 revoked 2025-06-30T12:00:00Z, was to end 2025-12-31T00:00:00Z: not needed\n  - " + ended +
				"  # why\n\n  # two\n  - " + other + "\n# end\n",
			"version: 1\nwaivers:\n  # one\n  # OLD-1 revoked 2025-06-30T12:00:00Z, before it began: not needed\n\n  # two\n  - " + other + "\n# end\n",
		},
		"lines, and the last": {
			"version: 1\r\nwaivers:\r\n- " + other + "\r\n-\r\n  id: \"OLD-1\"\r\n  until:   # noon\r\n    through: 2025-12-30\r\n    zone: UTC\r\n" +
				"  vendor: acme\r\n  owner: me\r\n  reason: x\r\nrules: []\r\n",
			"version: 1\r\nwaivers:\r\n- " + other + "\r\n# OLD-1 revoked 2025-06-30T12:00:00Z, was to end through 2025-12-30 zone UTC: not needed\r\n-\r\n" +
				"  id: \"OLD-1\"\r\n  until: 2025-06-30T12:00:00Z   # noon\r\n  vendor: acme\r\n  owner: me\r\n  reason: x\r\nrules: []\r\n",
			"version: 1\r\nwaivers:\r\n- " + other + "\r\n# OLD-1 revoked 2025-06-30T12:00:00Z, before it began: not needed\r\nrules: []\r\n",
		},
		"the only one, without an end of the line": {
			"waivers:\n  - id: OLD-1\n    until: '2025-12-31T00:00:00Z' # noon\n    vendor: acme\n    owner: me\n    reason: x\nversion: 1",
			"waivers:\n  # OLD-1 revoked 2025-06-30T12:00:00Z, was to end 2025-12-31T00:00:00Z: not needed\n" +
				"  - id: OLD-1\n    until: 2025-06-30T12:00:00Z # noon\n    vendor: acme\n    owner: me\n    reason: x\nversion: 1",
			"waivers:\n  # OLD-1 revoked 2025-06-30T12:00:00Z, before it began: not needed\nversion: 1",
		},
		"brackets": {
			"version: 1\nwaivers: [" + old + ", " + other + "]",
			"version: 1\n# OLD-1 revoked 2025-06-30T12:00:00Z, was to end 2025-12-31T00:00:00Z: not needed\nwaivers: [" + ended + ", " + other + "]",
			"version: 1\n# OLD-1 revoked 2025-06-30T12:00:00Z, before it began: not needed\nwaivers: [" + other + "]",
		},
		"brackets, and the last": {
			"version: 1\nwaivers: [\n  " + other + ",\n  " + old + "\n]\n",
			"version: 1\n# OLD-1 revoked 2025-06-30T12:00:00Z, was to end 2025-12-31T00:00:00Z: not needed\nwaivers: [\n  " + other + ",\n  " + ended + "\n]\n",
			"version: 1\n# OLD-1 revoked 2025-06-30T12:00:00Z, before it began: not needed\nwaivers: [\n  " + other + "\n]\n",
		},
		"brackets, and a comment": {
			"version: 1\nwaivers: [\n  # one\n  " + old + " # two\n]\n",
			"version: 1\n# OLD-1 revoked 2025-06-30T12:00:00Z, was to end 2025-12-31T00:00:00Z: not needed\nwaivers: [\n  # one\n  " + ended + " # two\n]\n",
			"version: 1\n# OLD-1 revoked 2025-06-30T12:00:00Z, before it began: not needed\nwaivers: [\n  # one\n   # two\n]\n",
		},
		"all in braces": {
			"\ufeff{version: 1, waivers: [" + old + "]}",
			"\ufeff# OLD-1 revoked 2025-06-30T12:00:00Z, was to end 2025-12-31T00:00:00Z: not needed\n{version: 1, waivers: [" + ended + "]}",
			"\ufeff# OLD-1 revoked 2025-06-30T12:00:00Z, before it began: not needed\n{version: 1, waivers: []}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := source.File{Name: "policy.yaml", Data: []byte(tt.before)}
			got, err := source.EndWaiver(f, "OLD-1", at("2025-06-30T12:00:00Z"), " not\nneeded ")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.ended, string(got)); diff != "" {
				t.Errorf("ended: -want +got:\n%s", diff)
			}
			if got, err = source.DropWaiver(f, "OLD-1", at("2025-06-30T12:00:00Z"), " not\nneeded "); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.dropped, string(got)); diff != "" {
				t.Errorf("dropped: -want +got:\n%s", diff)
			}
			if _, problems := source.Operator(source.File{Name: "policy.yaml", Data: got}); len(problems) > 0 {
				t.Error(problems)
			}
		})
	}
}

// What cannot be edited is left to people, and said as a mistake with its place.
func TestNotEdited(t *testing.T) {
	t.Parallel()
	add := func(f source.File) ([]byte, error) { return source.AddWaiver(f, added) }
	end := func(reason string) func(source.File) ([]byte, error) {
		return func(f source.File) ([]byte, error) {
			return source.EndWaiver(f, "OLD-1", at("2025-06-30T12:00:00Z"), reason)
		}
	}
	for _, tt := range []struct {
		text string
		edit func(source.File) ([]byte, error)
		want string
	}{
		{"", add, "p.yaml:1:1: the file is empty"},
		{"a: [", add, "p.yaml:1:1: not YAML"},
		{"- a", add, "p.yaml: a file with mistakes is not edited"},
		{"version: 1\n? waivers", add, `p.yaml:2:3: this layout cannot be edited without changing more of the file (write waivers: on a line of its own, and below it each waiver behind "- ")`},
		{"version: 1", end(""), `p.yaml: no waiver "OLD-1" in this file`},
		{"waivers:\n  - {id: OLD-1}", end(""), "p.yaml:2:5: this layout"},
		{"waivers:\n  - {id: OLD-1, until: 2025-12-31T00:00:00Z}", end("a\u202eb"), "the reason has an invisible character"},
		{"waivers:\n  - id: OLD-1\n    until: |-\n      2025-12-31T00:00:00Z", end(""), "p.yaml:3:12: this layout"},
	} {
		_, err := tt.edit(source.File{Name: "p.yaml", Data: []byte(tt.text)})
		problems, ok := errors.AsType[policy.Problems](err)
		if !ok || !slices.ContainsFunc(problems, func(p policy.Problem) bool { return strings.HasPrefix(p.String(), tt.want) }) {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
}
