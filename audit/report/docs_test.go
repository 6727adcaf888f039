package report

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// docs/report.md names every member of the JSON and every column of the CSV.
func TestNamesAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/report.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := func(name string) {
		if !strings.Contains(string(text), "`"+name) {
			t.Errorf("docs/report.md does not tell of %s", name)
		}
	}
	r := smallReport(t)
	var whole any
	if err := json.Unmarshal([]byte(written(t, r, "json")), &whole); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	collect(whole, names)
	if len(names) < 70 {
		t.Fatalf("%d names in the JSON of a report", len(names))
	}
	for name := range names {
		documented(name)
	}
	head, err := csv.NewReader(strings.NewReader(written(t, r, "csv"))).Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range head {
		if !strings.HasPrefix(name, "state_") {
			documented(name + "`")
		}
	}
}

func collect(v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			names[name] = true
			collect(member, names)
		}
	case []any:
		for _, member := range v {
			collect(member, names)
		}
	}
}
