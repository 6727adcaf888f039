package source_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/source"
)

// added is a waiver that needs quotes in some places.
var added = &source.WaiverText{
	ID: "NEW-1", Clients: []string{"10.10.9.9", "fd00:10::/48", "mac:00:16:3e:aa:bb:cc"}, Users: []string{"jo, the second"}, Vendor: "acme",
	Channels: []string{"signatures", "codebase"}, Until: "2026-12-31T00:00:00Z", Owner: "ops@example.org", Reason: `it's "new": # 1`,
}

const (
	addedItem = `- id: NEW-1
  clients: [10.10.9.9, 'fd00:10::/48', 'mac:00:16:3e:aa:bb:cc']
  users: ['jo, the second']
  vendor: acme
  channels: [signatures, codebase]
  until: 2026-12-31T00:00:00Z
  owner: ops@example.org
  reason: 'it''s "new": # 1'
`
	addedBraces = `{id: NEW-1, clients: [10.10.9.9, 'fd00:10::/48', 'mac:00:16:3e:aa:bb:cc'], users: ['jo, the second'], vendor: acme, ` +
		`channels: [signatures, codebase], until: '2026-12-31T00:00:00Z', owner: ops@example.org, reason: 'it''s "new": # 1'}`
)

// indented is the new item as it stands behind so many spaces.
func indented(n int) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(strings.TrimSuffix(addedItem, "\n"), "\n", "\n"+pad) + "\n"
}

const old = "{id: OLD-1, vendor: acme, until: 2025-12-31T00:00:00Z, owner: me, reason: x}"

func TestAddWaiver(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ before, after string }{
		"block": {
			"version: 1\nwaivers:\n  # why\n  - " + old + "   # one\n\n# the rules\nrules: []\n",
			"version: 1\nwaivers:\n  # why\n  - " + old + "   # one\n" + indented(2) + "\n# the rules\nrules: []\n",
		},
		"dashes below the key": {
			"version: 1\nwaivers:\n- " + old + "\nrules: []\n",
			"version: 1\nwaivers:\n- " + old + "\n" + indented(0) + "rules: []\n",
		},
		"at the end": {
			"version: 1\nwaivers:\n    - " + old + "\n    # - " + old + "\n\n# the end\n",
			"version: 1\nwaivers:\n    - " + old + "\n    # - " + old + "\n" + indented(4) + "\n# the end\n",
		},
		"without an end of the last line": {
			"version: 1\nwaivers:\n  - " + old,
			"version: 1\nwaivers:\n  - " + old + "\n" + strings.TrimSuffix(indented(2), "\n"),
		},
		"carriage returns and a byte order mark": {
			"\ufeffwaivers:\r\n  - " + old + "\r\nversion: 1\r\n",
			"\ufeffwaivers:\r\n  - " + old + "\r\n" + strings.ReplaceAll(indented(2), "\n", "\r\n") + "version: 1\r\n",
		},
		"a text on several lines": {
			"version: 1\nwaivers:\n  - id: OLD-1\n    vendor: acme\n    until: 2025-12-31T00:00:00Z\n    owner: me\n    reason: |+\n      x\n      # no comment\n\n\nrules:\n",
			"version: 1\nwaivers:\n  - id: OLD-1\n    vendor: acme\n    until: 2025-12-31T00:00:00Z\n    owner: me\n    reason: |+\n      x\n      # no comment\n\n\n" + indented(2) + "rules:\n",
		},
		"absent":                 {"version: 1\nrules: []\n", "version: 1\nrules: []\n\nwaivers:\n" + indented(2)},
		"absent, after a blank":  {"version: 1\n\n", "version: 1\n\nwaivers:\n" + indented(2)},
		"absent, a closed file":  {"---\nversion: 1\n...\n# closed\n", "---\nversion: 1\n\nwaivers:\n" + indented(2) + "...\n# closed\n"},
		"absent, indented":       {"  version: 1", "  version: 1\n\n  waivers:\n" + strings.TrimSuffix(indented(4), "\n")},
		"no value":               {"version: 1\nwaivers:   # none\nrules: []\n", "version: 1\nwaivers:   # none\n" + indented(2) + "rules: []\n"},
		"no value, and comments": {"version: 1\nwaivers:\n  # such as\n  # - x\n\nrules: []\n", "version: 1\nwaivers:\n  # such as\n  # - x\n" + indented(2) + "\nrules: []\n"},
		"null":                   {"version: 1\nwaivers: ~  # none\n", "version: 1\nwaivers:  # none\n" + indented(2)},
		"empty":                  {"version: 1\nwaivers: []  # none\nrules: []\n", "version: 1\nwaivers:  # none\n" + indented(2) + "rules: []\n"},
		"empty below the key":    {"version: 1\nwaivers:\n  []\n", "version: 1\nwaivers:\n  [" + addedBraces + "]\n"},
		"brackets":               {"version: 1\nwaivers: [" + old + "]  # one\n", "version: 1\nwaivers: [" + old + ", " + addedBraces + "]  # one\n"},
		"brackets, a comma":      {"version: 1\nwaivers: [" + old + ",]\n", "version: 1\nwaivers: [" + old + ", " + addedBraces + ",]\n"},
		"brackets on lines": {
			"version: 1\nwaivers: [\n    " + old + "   # one ] \"\n]\n",
			"version: 1\nwaivers: [\n    " + old + ",   # one ] \"\n    " + addedBraces + "\n]\n",
		},
		"brackets on lines, a comma": {
			"version: 1\nwaivers: [\n  " + old + ", # one\n  # two\n]\n",
			"version: 1\nwaivers: [\n  " + old + ", # one\n  " + addedBraces + ",\n  # two\n]\n",
		},
		"brackets, and a comment close by": {
			"version: 1\nwaivers: [\n  " + old + "# ]\n]\n", "version: 1\nwaivers: [\n  " + old + ",# ]\n  " + addedBraces + "\n]\n",
		},
		"all in braces, no colon": {"{version: 1, waivers # : []\n}\n", "{version: 1, waivers: [" + addedBraces + "] # : []\n}\n"},
		"all in braces":           {"{version: 1, waivers: [" + old + "]}", "{version: 1, waivers: [" + old + ", " + addedBraces + "]}"},
		"all in braces, absent":   {"{version: 1}\n", "{version: 1, waivers: [" + addedBraces + "]}\n"},
		"all in braces, null":     {"{version: 1, waivers: null}\n", "{version: 1, waivers: [" + addedBraces + "]}\n"},
		"all in braces, nothing":  {"{version: 1, 'waivers': , rules: []}\n", "{version: 1, 'waivers': [" + addedBraces + "] , rules: []}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := source.AddWaiver(source.File{Name: "policy.yaml", Data: []byte(tt.before)}, added)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.after, string(out)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			isOneMore(t, []byte(tt.before), out)
		})
	}
}

// isOneMore holds for all that a waiver is added to: it says the same and the waiver, and each of its lines is still there, in
// order, but for the one with the brackets that were opened.
func isOneMore(t *testing.T, before, after []byte) {
	t.Helper()
	was, problems := source.Operator(source.File{Name: "policy.yaml", Data: before})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	is, problems := source.Operator(source.File{Name: "policy.yaml", Data: after})
	if err := problems.Err(); err != nil {
		t.Fatalf("%v\n%s", err, after)
	}
	alone, problems := source.Waivers(added.File("new"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	w := is.Waivers[len(is.Waivers)-1]
	w.Until.Zone = alone[0].Until.Zone // which the file may state
	if diff := differs(alone[0], w); diff != "" {
		t.Errorf("the waiver: -want +got:\n%s", diff)
	}
	is.Waivers = slices.Concat(is.Waivers[:len(is.Waivers)-1]) // nil, as before, where it was the only one
	if diff := differs(was, is); diff != "" {
		t.Errorf("the rest: -want +got:\n%s", diff)
	}
	changed := 0
	rest := slices.Collect(bytes.Lines(after))
	for line := range bytes.Lines(before) {
		i := slices.IndexFunc(rest, func(l []byte) bool { return bytes.Equal(bytes.TrimRight(l, "\r\n"), bytes.TrimRight(line, "\r\n")) })
		if i < 0 {
			changed++
			continue
		}
		rest = rest[i+1:]
	}
	if changed > 1 {
		t.Errorf("%d lines are not as they were:\n%s", changed, after)
	}
}

// TestAddWaiverToAnyLayout puts files together from ways to write their parts.
func TestAddWaiverToAnyLayout(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	for range 1500 {
		entry := func(dash string) string {
			id := fmt.Sprintf("W-%d", random.Int())
			return pick(
				dash+"- {id: "+id+", vendor: acme, until: 2025-12-31T00:00:00Z, owner: me, reason: "+pick("x", "'it''s # x'", `"] \" # x"`, "it's 'x")+"}\n",
				dash+"-   id: "+id+"\n"+dash+"    vendor: acme\n"+dash+"    until: 2025-12-31T00:00:00Z\n"+dash+"    owner: me\n"+dash+"    reason: "+
					pick("x", "|+\n"+dash+"      x\n"+dash+"      # x\n\n", ">-\n"+dash+"     x\n\n"+dash+"     y", `"x # y`+"\n\n"+dash+`      z"`, "x\n"+dash+"      y")+"\n",
				dash+"-\n"+dash+" # why\n"+dash+"  {id: "+id+",\n"+dash+"   vendor: acme,\n"+dash+"   until: 2025-12-31T00:00:00Z, # x\n"+dash+"   owner: me, reason: x\n"+dash+"  }\n",
			)
		}
		between := func() string { return pick("", "", "\n", "# x: [\n", "\n# x\n\n", "  # - {x\n") }
		list := ""
		dash := pick("", "  ", "     ")
		for range random.IntN(3) {
			list += between() + entry(dash)
		}
		waivers := pick("waivers:", `"waivers":`, "waivers :") + pick("", "  # x") + "\n" + list
		switch random.IntN(4) {
		case 0:
			waivers = "waivers: [" + pick("", "\n", " # x\n ") + "]" + pick("", " # ]") + "\n"
		case 1:
			item := strings.TrimPrefix(entry(""), "- ")
			waivers = "waivers: [" + pick("", "\n  ", " # x ]\n   ") + strings.TrimSuffix(item, "\n") + pick("", ",", " # ]\n", "\n  ,\n # x\n") + " ]\n"
			if !strings.HasPrefix(item, "{") {
				waivers = ""
			}
		case 2:
			waivers = pick("", "waivers: ~\n", "waivers: null # x\n")
		}
		before := pick("", "", "\ufeff") + pick("", "# x\n", "---\n", "%YAML 1.1\n---\n") + pick("version: 1\n", "version: 1\nsites: [] # x\n") + between() + waivers +
			between() + pick("", "rules: []\n", "settings:\n  unseen:\n    ech: block\n", "zone: Europe/Berlin\n") + between() + pick("", "...\n", "...\n# x\n")
		if random.IntN(3) == 0 {
			before = strings.TrimSuffix(before, "\n")
		}
		if random.IntN(3) == 0 {
			before = strings.ReplaceAll(before, "\n", "\r\n")
		}
		if _, problems := source.Operator(source.File{Name: "policy.yaml", Data: []byte(before)}); len(problems) > 0 {
			t.Fatalf("%v\n%s", problems, before)
		}
		after, err := source.AddWaiver(source.File{Name: "policy.yaml", Data: []byte(before)}, added)
		if err != nil {
			t.Fatalf("%v\n%s", err, before)
		}
		if isOneMore(t, []byte(before), after); t.Failed() {
			t.Fatalf("before:\n%s\nafter:\n%s", before, after)
		}
	}
}

func FuzzAddWaiver(f *testing.F) {
	seed(f, "policy")
	builtin, err := os.ReadFile("../catalog/policy.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, more := range []string{
		string(builtin),
		"version: 1\nwaivers:\n- " + old, "{version: 1, waivers: [" + old + ", ]}", "version: 1\r\nwaivers: [\r\n" + old + "\r\n] # x\r\nrules:\r\n",
		"--- # a\nversion: 1\n...", "version: 1\nwaivers:\n  -\n    id: a\n    vendor: v\n    until: 2025-01-01T00:00:00Z\n    owner: |+\n     # a\n\n    reason: 'a\n\n    # b'\n",
	} {
		f.Add([]byte(more))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		op, problems := source.Operator(source.File{Name: "policy.yaml", Data: data})
		if len(problems) > 0 || slices.ContainsFunc(op.Waivers, func(w policy.Waiver) bool { return w.ID == added.ID }) {
			return
		}
		out, err := source.AddWaiver(source.File{Name: "policy.yaml", Data: data}, added)
		if err != nil {
			if !bytes.ContainsAny(data, "?!") { // explicit keys and tags are left to people
				t.Fatalf("%v\n%s", err, data)
			}
			return
		}
		isOneMore(t, data, out)
		// What was added can be taken away again, and ended.
		for name, edit := range map[string]func(source.File, string, time.Time, string) ([]byte, error){"drop": source.DropWaiver, "end": source.EndWaiver} {
			again, err := edit(source.File{Name: "policy.yaml", Data: out}, added.ID, at("2026-01-01T00:00:00Z"), "why")
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, out)
			}
			is, problems := source.Operator(source.File{Name: "policy.yaml", Data: again})
			if err := problems.Err(); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, again)
			}
			if name == "end" && len(is.Waivers) > 0 {
				is.Waivers = is.Waivers[:len(is.Waivers)-1]
			}
			is.Waivers = slices.Concat(is.Waivers)
			op.Waivers = slices.Concat(op.Waivers)
			if diff := differs(op, is); diff != "" {
				t.Errorf("%s: -want +got:\n%s", name, diff)
			}
		}
	})
}
